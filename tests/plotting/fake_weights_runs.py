"""Result files that look like those of 07_evolution_on_weights on MNIST, made from formulas in milliseconds."""

import math
from itertools import product

import numpy as np
from fake_runs import ended, run_frame

from common import results

EXPERIMENT = "07_evolution_on_weights"
POPULATIONS, WEIGHTS = (32, 128, 512), 6_670
LONGER, AT_ONCE, MLP = "a layer at a time, longer", "at once, alike", "at once, MLP"
DRAWN, EXACT = "at once", "backpropagation"
# Estimator, batch size, network, weights and final error; the evaluations of a step can be counted by hand.
PLAN = {
    LONGER: ("LayerwiseEvolution([1, 4, 16], 0.02, keep=0.25)", 512, "tiny_convnet", WEIGHTS, 0.02),
    AT_ONCE: ("ParameterEvolution(256, 0.02, rank=None, shaping='none')", 128, "tiny_convnet", WEIGHTS, 0.2),
    DRAWN: ("ParameterEvolution(256, 0.02, rank=None, shaping='none', keep=0.25)", 512, "tiny_convnet", WEIGHTS, 0.3),
    EXACT: ("Backpropagation()", 128, "tiny_convnet", WEIGHTS, 0.01),
    MLP: ("ParameterEvolution(256, 0.02, shaping='none', own_data=False)", 128, "mlp", 101_770, 0.1),
}
EVALUATIONS = {LONGER: 2 * 128 * 21, AT_ONCE: 2 * 128, DRAWN: 2 * 128, MLP: 256 * 128, EXACT: math.nan}
GROUPS = {LONGER: "longer", MLP: "MLP"}
COMPARED = list(product(POPULATIONS, (1, None)))


def fake_run(name, seed, *, diverge=None):
    """Return the frame of one run, recorded every second epoch; `diverge`: how many records it has then."""
    estimator, batch, network, weights, final = PLAN[name]
    records = [
        {"epoch": epoch, "step": 100 * epoch, "seconds": 30.0 * epoch, "cost": 1e5 * epoch}
        | dict.fromkeys(("train_metric", "validation_metric"), 1 - final * (7 - epoch + seed / 10))
        for epoch in (2, 4, 6)
    ]
    records = ended(records, diverge, test_metric=1 - final)
    if name == LONGER and not diverge:
        records[-1] |= fake_alignment(seed)
    label = {"experiment": EXPERIMENT, "method": estimator.split("(")[0], "seed": seed, "run": name}
    label |= {"group": GROUPS.get(name, "parts"), "order": list(PLAN).index(name)}
    label |= {"dataset": "mnist", "network": network, "precision": "float32", "train_examples": 55_000}
    return run_frame(records, diverge, estimator=estimator, batch_size=batch, coordinates=weights, **label)


def fake_alignment(seed):
    """Return what EstimatorAlignment measures: arrays, an entry for each estimate that it compares."""
    ranks = {1: "", None: ", rank=None"}
    names = [f"ParameterEvolution({n}, 0.02{ranks[rank]}, shaping='none', own_data=False)" for n, rank in COMPARED]
    cosines = [math.sqrt(n / 2 / (n / 2 + WEIGHTS)) * (1 + seed / 50) for n, _ in COMPARED]
    measured = {"aligned_cosine": np.array(cosines), "aligned_signal_to_noise": np.ones(len(names))}
    return {"aligned_estimators": np.array(names)} | measured


def fake_seed(seed, *, diverge=()):
    """Return the frame of a seed: every run of the plan; `diverge`: the names of those that do."""
    return results.combine([fake_run(name, seed, diverge=1 if name in diverge else None) for name in PLAN])
