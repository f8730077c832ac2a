"""A result frame that looks like one of 05_low_rank_hessian on MNIST, made from formulas in milliseconds."""

import math

import numpy as np

from common import results

EXPERIMENT = "05_low_rank_hessian"
CONSTANT_COLUMNS = {"dataset": "mnist", "network": "leaky_convnet", "precision": "float32", "batch_size": 128}
RECIPE = {"SaddleFreeNewton.rank": 20, "SaddleFreeNewton.hessian_batch": 64, "SaddleFreeNewton.refresh_every": 50}
RECIPE |= {"SaddleFreeNewton.first_interval": 3, "learning_rate": 0.05}
METHODS = ("saddle-free Newton", "Newton, conjugate gradients", "Adam")
CAUSES = ("the recipe", "γ damps", "all of these, as the source")
SWEEPS = {"rank 5": {"SaddleFreeNewton.rank": 5}, "Hessian batch 16": {"SaddleFreeNewton.hessian_batch": 16}}
for steps in (50, 200):
    constant = {"SaddleFreeNewton.refresh_every": steps, "SaddleFreeNewton.first_interval": steps}
    SWEEPS[f"refresh every {steps}"] = constant
PLAN = {name: ("full", RECIPE) for name in METHODS} | {name: ("cause", RECIPE) for name in CAUSES}
PLAN |= {name: ("sweep", RECIPE | change) for name, change in SWEEPS.items()}
PLAN |= {f"large batch: {name}": ("large batch", RECIPE) for name in ("saddle-free Newton", "Adam")}
WALKS = {"saddle: gradient descent": 0.01, "saddle: saddle-free Newton": 0.4}  # by what factor less one v grows
TRIALS = {"Adam": {0.001: 0.97, 0.002: 0.9825}, "saddle-free Newton": {0.01: 0.96, 0.02: None}}  # None: diverged
NODES = 5
MEASURED = {
    "overlaps": {"from the start": {"1": 0.99, "50": 0.7}, "after an epoch": {"0": 0.98, "1": 0.97, "50": 0.95}},
    "target_accuracies": [0.97, 0.985],
    "classes": 2,
}


def fake_run(name, seed, *, diverge=None):
    """Return a run; `diverge`: the epoch in which it does."""
    group, settings = PLAN[name]
    order = list(PLAN).index(name)
    generator, records = np.random.default_rng([order, seed]), []
    for epoch in range(1, 2 if group in ("cause", "sweep") else 5):
        error = (0.02 + 0.002 * order) / epoch * math.exp(generator.normal(0, 0.05))
        record = {"epoch": epoch, "step": 430 * epoch, "seconds": (40.0 + order) * epoch, "cost": 55_000.0 * epoch}
        record |= {"train_loss": error, "train_metric": 1 - error, "validation_loss": error}
        record["validation_metric"] = 1 - error
        if group == "full":
            record |= {"curve_test_loss": error, "curve_test_metric": 1 - 0.9 * error}
        records.append(record)
    if name == METHODS[0]:
        records = [{"epoch": 0, "step": 0}, *records]
        for row in (0, 2, 4):
            powers = np.arange(NODES)
            records[row] |= {"spectrum_nodes": (powers - 1.5) * 2.0**powers * (row + 1)}
            records[row] |= {"spectrum_weights": 10.0 ** -(powers + 1.0)}
    if diverge:
        records = [row for row in records if row["epoch"] <= diverge]
        records[-1] |= {"train_loss": math.nan, "validation_loss": math.nan, "validation_metric": 0.098}
    else:
        records[-1] |= {"test_loss": error, "test_metric": 1 - 0.9 * error}
    label = CONSTANT_COLUMNS | settings | {"group": group, "run": name, "order": order, "metric": "accuracy"}
    label |= {"train_examples": 27_500 if group in ("cause", "sweep") else 55_000}
    return _frame(records, seed, label, diverge)


def fake_walk(name, seed):
    """Return a path of ten steps at the saddle."""
    records = []
    for step in range(1, 11):
        place = {"u": 0.5**step, "v": min(1.0, 0.01 * (1 + WALKS[name]) ** step)}
        records.append({"epoch": step, "step": step, "validation_loss": 0.1, "validation_metric": 0.1} | place)
    records[-1] |= {"test_loss": 0.1, "test_metric": 0.1}
    label = {"dataset": "saddle", "network": "SaddleSurface", "precision": "float32", "batch_size": 2}
    label |= {"group": "saddle", "run": name, "order": len(PLAN) + list(WALKS).index(name), "train_examples": 2}
    return _frame(records, seed, label | {"metric": "mean_squared_error", "SaddleSurface.mu": 0.02}, None)


def fake_trials():
    """Return the trials of two methods' learning rates, with a seed of their own."""
    frames = []
    for name, tried in TRIALS.items():
        for rate, accuracy in tried.items():
            record = {"epoch": 1, "step": 430, "validation_metric": 0.1 if accuracy is None else accuracy}
            label = (
                CONSTANT_COLUMNS | RECIPE | {"group": "trial", "run": f"trial: {name}, {rate:g}", "order": len(frames)}
            )
            label |= {"trial_of": name, "learning_rate": rate, "train_examples": 55_000, "metric": "accuracy"}
            frames.append(_frame([record], 100, label, accuracy is None))
    return results.combine(frames)


def fake_seed(seed, *, without=(), diverge=()):
    """Return the frame of a seed: every run but those whose name holds a word of `without`."""
    names = [name for name in PLAN if not any(word in name for word in without)]
    runs = [fake_run(name, seed, diverge=1 if name in diverge else None) for name in names]
    return results.combine([*runs, *(fake_walk(name, seed) for name in WALKS)])


def _frame(records, seed, label, diverge):
    label = label | {"experiment": EXPERIMENT, "seed": seed, "method": "SaddleFreeNewton"}
    status = {"status": "diverged", "diverged_step": records[-1]["step"]} if diverge else {"status": "finished"}
    return results.run_frame(records, **status, **label)
