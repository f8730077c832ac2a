"""A result frame that looks like one of 05_low_rank_hessian on MNIST, made from formulas in milliseconds."""

import math

import numpy as np

from common import results

EXPERIMENT = "05_low_rank_hessian"
SUBJECT = {"dataset": "mnist", "network": "leaky_convnet", "precision": "float32", "batch_size": 128}
RECIPE = {"rank": 20, "hessian_batch": 64, "refresh_every": 50, "first_interval": 3, "learning_rate": 0.05}
METHODS = ("saddle-free Newton", "Newton, conjugate gradients", "Adam")
CAUSES = ("the recipe", "γ damps", "all of these, as the source")
SWEEPS = {"rank 5": {"rank": 5}, "Hessian batch 16": {"hessian_batch": 16}}
SWEEPS |= {f"refresh every {steps}": {"refresh_every": steps, "first_interval": steps} for steps in (50, 200)}
PLAN = {name: ("full", RECIPE) for name in METHODS} | {name: ("cause", RECIPE) for name in CAUSES}
PLAN |= {name: ("sweep", RECIPE | change) for name, change in SWEEPS.items()}
WALKS = {"gradient descent": 0.01, "saddle-free Newton": 0.4}  # by what factor less one v grows
NODES = 5
MEASURED = {
    "trials": {"Adam": [[0.97, 0.001]]},
    "overlaps": {"from the start": {"1": 0.99, "50": 0.7}, "after an epoch": {"0": 0.98, "1": 0.97, "50": 0.95}},
    "saddle_mu": 0.02,
    "target_accuracies": [0.97, 0.985],
    "classes": 2,
}


def fake_run(name, seed, *, diverge=None):
    """Return a run; `diverge`: the epoch in which it does."""
    budget, setting = PLAN[name]
    order = list(PLAN).index(name)
    generator, records = np.random.default_rng([order, seed]), []
    for epoch in range(1, 5 if budget == "full" else 2):
        error = (0.02 + 0.002 * order) / epoch * math.exp(generator.normal(0, 0.05))
        record = {"epoch": epoch, "step": 430 * epoch, "seconds": (40.0 + order) * epoch, "cost": 430.0 * epoch}
        record |= {"train_loss": error, "train_metric": 1 - error, "validation_loss": error}
        record["validation_metric"] = 1 - error
        if budget == "full":
            record |= {"curve_test_loss": error, "curve_test_metric": 1 - 0.9 * error}
        records.append(record)
    if name == METHODS[0]:
        records = [{"epoch": 0, "step": 0}, *records]
        for row in (0, 2, 4):
            records[row] |= {f"lanczos_node {i}": (i - 1.5) * 2.0**i * (row + 1) for i in range(NODES)}
            records[row] |= {f"lanczos_weight {i}": 10.0 ** -(i + 1) for i in range(NODES)}
    if diverge:
        records = [row for row in records if row["epoch"] <= diverge]
        records[-1] |= {"train_loss": math.nan, "validation_loss": math.nan, "validation_metric": 0.098}
    else:
        records[-1] |= {"test_loss": error, "test_metric": 1 - 0.9 * error}
    label = SUBJECT | setting | {"budget": budget, "setting": name, "order": order, "part": "methods"}
    label |= {"train_examples": 55_000 if budget == "full" else 27_500, "metric": "accuracy"}
    return _frame(records, name, seed, label, diverge)


def fake_walk(name, seed):
    """Return a path of ten steps at the saddle."""
    records = []
    for step in range(1, 11):
        place = {"u": 0.5**step, "v": min(1.0, 0.01 * (1 + WALKS[name]) ** step)}
        records.append({"epoch": step, "step": step, "validation_loss": 0.1, "validation_metric": 0.1} | place)
    records[-1] |= {"test_loss": 0.1, "test_metric": 0.1}
    label = {"dataset": "saddle", "network": "two weights", "precision": "float32", "batch_size": 2, "part": "saddle"}
    label |= {"setting": name, "order": list(WALKS).index(name), "metric": "mean_squared_error"}
    return _frame(records, name, seed, label, None)


def fake_seed(seed, *, without=(), diverge=()):
    """Return the frame of a seed: every setting but those whose name holds a word of `without`."""
    names = [name for name in PLAN if not any(word in name for word in without)]
    runs = [fake_run(name, seed, diverge=1 if name in diverge else None) for name in names]
    return results.combine([*runs, *(fake_walk(name, seed) for name in WALKS)])


def _frame(records, method, seed, label, diverge):
    how = {"experiment": EXPERIMENT, "method": method, "seed": seed, "status": "diverged" if diverge else "finished"}
    return results.run_frame(records, diverged_step=records[-1]["step"] if diverge else None, **how, **label)
