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
    "03_optimizers_from_scratch": {
        "learning_rates": [1e-6],
        "full_batch_epochs": 4,
        "minibatch_epochs": 2,
        "epochs": 2,
        "full_batch_record_every": 2,
        "record_every": 1,
        "newer_methods": ["Muon"],
        "nothing_held_out": True,
        "networks": [[8]],
        "network_epochs": 2,
        "line_epochs": 3,
        "seeds": [3],
    },
    "04_evolution_strategies": {
        "network": "lenet5",
        "hidden": [],
        "source_epochs": 1,
        "epochs": 2,
        "sweep_epochs": 1,
        "sample_counts": [4],
        "sigmas": [2],
        "alignment_examples": 50,
        "alignment_repeats": 2,
        "weights_batch_size": 128,
        "weights_chunk": 32,
        "weights_epochs": 1,
        "short_epochs": 1,
        "at_once_epochs": 1,
        "mlp_hidden": [8],
        "mlp_epochs": 1,
        "mlp_population": 4,
        "populations": [4],
        "seeds": [3],
    },
}
