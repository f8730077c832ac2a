"""Result files that look like those of 01_baseline_sgd on MNIST, made from formulas in milliseconds."""

import math

import numpy as np
from fake_runs import ended, run_frame

from common import results

EXPERIMENT = "01_baseline_sgd"
TRAIN = 55_000
PARAMETERS = {
    "dataset": "mnist",
    "network": "mnist_convnet",
    "precision": "float32",
    "train_examples": TRAIN,
}


def fake_run(trainer, batch, seed, *, scaled=False, tuned=False, dropout=False, noise=False, diverge=None, epochs=15):
    """Return the frame of a run whose error falls as a power of learning rate times steps."""
    generator = np.random.default_rng([batch, seed, scaled, dropout, trainer == "loop"])
    rate = 0.01 * (batch / 128 if scaled else 4 * (batch / 128) ** 0.5 if tuned else 1.0)
    shift = math.exp(generator.normal(0, 0.06))
    records = []
    for epoch in range(1, epochs + 1):
        steps = epoch * (TRAIN // batch)
        error = shift * min(0.9, 0.85 / (1 + rate * steps / 1.3) ** 0.82 + 0.008) * (1.12 if dropout else 1)
        error *= math.exp(generator.normal(0, 0.03))
        record = {
            "epoch": epoch,
            "step": steps,
            "seconds": epoch * (9.5 + 60 / batch) * (1.06 if trainer == "keras_fit" else 1.0),
            "cost": float(steps * batch),
            "train_loss": 3.4 * error,
            "train_metric": 1 - error,
            "validation_loss": 3.3 * error,
            "validation_metric": 1 - error,
        }
        if noise:
            record["noise_scale"] = 40 * 1.25**epoch * math.exp(generator.normal(0, 0.15))
        records.append(record)
    return run_frame(
        ended(records, diverge, test_loss=3.2 * error, test_metric=1 - error * 0.97),
        diverge,
        experiment=EXPERIMENT,
        method="Backpropagation",
        seed=seed,
        **PARAMETERS,
        run=f"{group_of(trainer, scaled, dropout, tuned)}, batch {batch}",
        group=group_of(trainer, scaled, dropout, tuned),
        order=batch + 10_000 * scaled + 20_000 * tuned - 10_000 * dropout - 10_000 * (trainer == "keras_fit"),
        batch_size=batch,
        learning_rate=rate,
    )


def group_of(trainer, scaled, dropout, tuned=False):
    """Name the group of a run as the notebook's plan does."""
    if trainer == "keras_fit":
        return "Keras fit"
    return "dropout" if dropout else "scaled rate" if scaled else "tuned rate" if tuned else "fixed rate"


def fake_seed(seed, diverge=None, noise=True):
    """Return the frame of all runs of a seed; `diverge`: epoch in which batch 2048, scaled, diverges."""
    runs = [fake_run("keras_fit", 128, seed, dropout=True), fake_run("loop", 128, seed, dropout=True)]
    for batch in (64, 128, 500, 2048):
        runs.append(fake_run("loop", batch, seed, noise=noise and batch == 128))
        runs.append(fake_run("loop", batch, seed, tuned=True))
        if batch != 128:
            stop = diverge if batch == 2048 else None
            runs.append(fake_run("loop", batch, seed, scaled=True, diverge=stop))
    return results.combine(runs)


def origin(seed):
    """Return provenance as a stored file has it."""
    return {
        "parameters": {"seeds": [seed]},
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "versions": {"python": "3.12.1", "tensorflow": "2.21.0"},
        "data_checksum": "9f" * 32,
        "device": "CPU",
        "started": "2025-01-01T00:00:00+00:00",
        "ended": "2025-01-01T01:00:00+00:00",
    }
