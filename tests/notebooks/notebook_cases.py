"""Every notebook with parameters that make it tiny: one line more for one notebook more."""

from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

TINY = {
    "01_baseline_sgd": {
        "batch_sizes": [128, 512],
        "reference_batch_size": 128,
        "epochs": 1,
        "seeds": [3],
        "eager_steps": 2,
    },
    "02_noisy_gradients": {
        "epochs": 2,
        "sweep_epochs": 1,
        "sigmas": [0],
        "learning_rates": [0.01],
        "dimensions": [100],
        "devices": [8],
        "decibels": [10],
        "seeds": [3],
    },
}
