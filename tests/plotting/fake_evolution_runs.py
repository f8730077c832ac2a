"""Result files that look like those of 04_evolution_strategies on MNIST, made from formulas in milliseconds."""

import math
import zlib
from itertools import product

import numpy as np
from fake_runs import ended, run_frame

from common import results

EXPERIMENT = "04_evolution_strategies"
TRAIN, BATCH, CLASSES, VALIDATION = 55_000, 128, 10, 5_000
CONSTANT_COLUMNS = {"dataset": "mnist", "network": "lenet5", "precision": "float32", "train_examples": TRAIN}
CONSTANT_COLUMNS |= {"batch_size": BATCH, "coordinates": 61_706}
SAMPLE_COUNTS, SIGMAS = (2, 20, 200), (0.5, 1.0, 4.0)

_SOURCE = {"group": "source", "epochs": 15, "learning_rate": 9e-5, "schedule": "constant"}
_FULL = {"group": "full", "epochs": 15, "learning_rate": 1e-3, "schedule": "LinearDecay"}
_SWEEP = _FULL | {"group": "sweep", "epochs": 5}


def estimate(objective, sigma, samples=200, antithetic=True):
    """Return the text of a LogitEvolution, which leaves out what is the default."""
    parts = [f"{objective}()", str(sigma), *([f"samples={samples}"] if samples != 200 else [])]
    return f"LogitEvolution({', '.join([*parts, *(['antithetic=True'] if antithetic else [])])})"


def make_plan():
    """Return every run of the notebook by its name: estimator, the rest of its settings, final error."""
    sampled = estimate("SmoothedAccuracy", 4.0, antithetic=False)
    annealed = sampled.replace("4.0", "AnnealedNoise(16.0, 0.55)")
    plan = {
        "source: smoothed accuracy": (sampled, _SOURCE, 0.15),
        "source: exact gradient": ("ExactLogitGradient(SmoothedAccuracy(), 4.0)", _SOURCE, 0.15),
        "source: moved target": (sampled.replace("SmoothedAccuracy()", "MovedTarget(1.0)"), _SOURCE, 0.15),
        "source: annealed σ": (annealed, _SOURCE, 0.08),
        "full: likelihood": (estimate("Likelihood", 1.0), _FULL, 0.011),
        "full: exact likelihood": ("ExactLogitGradient(Likelihood(), 1.0)", _FULL, 0.0105),
        "full: cross-entropy": ("Backpropagation()", _FULL, 0.01),
    }
    for count in SAMPLE_COUNTS:
        plan[f"likelihood, {count} samples"] = (estimate("Likelihood", 1.0, count), _SWEEP, 0.013 + 0.3 / count)
    for sigma in SIGMAS:
        if sigma != 1.0:
            final = 0.014 + abs(math.log(sigma)) / 50
            plan[f"likelihood, σ = {sigma:g}"] = (estimate("Likelihood", sigma), _SWEEP, final)
    for sigma in SIGMAS:
        plan[f"smoothed accuracy, σ = {sigma:g}"] = (estimate("SmoothedAccuracy", sigma), _SWEEP, 0.12)
    return plan | {"cross-entropy": ("Backpropagation()", _SWEEP, 0.012)}


PLAN = make_plan()
COMPARED = list(product(("SmoothedAccuracy", "Likelihood"), SAMPLE_COUNTS, (False, True)))


def fake_run(name, seed, *, diverge=None):
    """Return the frame of one run; `diverge`: the epoch in which it ends."""
    estimator, setting, final = PLAN[name]
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    final *= math.exp(generator.normal(0, 0.05))
    records = []
    for epoch in range(1, setting["epochs"] + 1):
        error = min(0.9, final * (1 + 1.5 / epoch**1.3 - 1.5 / setting["epochs"] ** 1.3))
        record = {"epoch": epoch, "step": 430 * epoch, "seconds": 12.0 * epoch, "cost": float(TRAIN * epoch)}
        record |= {"train_loss": error, "train_metric": 1 - error, "validation_loss": error}
        record |= {"validation_metric": 1 - error}
        if setting["group"] != "sweep":
            never = 2 if "source: smoothed" in name and epoch < 15 else int(final > 0.1)
            record |= {"confusion": fake_confusion(never)}
        records.append(record)
    records = ended(records, diverge, test_loss=error, test_metric=1 - 0.97 * error)
    if name == "full: likelihood":
        records = [{"epoch": 0, "step": 0, "seconds": 0.0, "cost": 0.0}, *records]
        for record in (records[0], *([] if diverge else records[-1:])):
            record.update(fake_alignment(record["epoch"], seed))
    method, rest = estimator.split("(")[0], {key: value for key, value in setting.items() if key != "epochs"}
    label = {"experiment": EXPERIMENT, "method": method, "seed": seed, "run": name, "order": list(PLAN).index(name)}
    return run_frame(records, diverge, estimator=estimator, **label, **rest, **CONSTANT_COLUMNS)


def fake_confusion(never):
    """Return counts in which the last `never` classes are taken for the first and all others are right."""
    counts = np.zeros((CLASSES, CLASSES))
    for label in range(CLASSES):
        counts[label, label if label < CLASSES - never else 0] = VALIDATION / CLASSES
    return counts


def fake_alignment(epoch, seed):
    """Return what LogitAlignment measures: arrays, an entry for each estimate that it compares."""
    scale = (1 + seed / 10) * (10 if epoch else 30)
    variance = np.array([scale / count * (1 if antithetic else 4) for _, count, antithetic in COMPARED])
    bias = np.array([0.9**count if objective == "Likelihood" else 0.0 for objective, count, _ in COMPARED])
    names = np.array([estimate(objective, 1.0, count, antithetic) for objective, count, antithetic in COMPARED])
    measured = {"logit_bias": bias, "logit_variance": variance, "logit_cosine": 1 / np.sqrt(1 + variance)}
    share = np.full(len(COMPARED), 0.9)
    measured |= {"logit_unseen_bias": bias, "logit_longest_share": share, "logit_longest_probability": share / 1e6}
    return {"logit_estimators": names} | measured


def fake_seed(seed, *, diverge=()):
    """Return the frame of a seed: every run of the plan; `diverge`: the names of those that do."""
    return results.combine([fake_run(name, seed, diverge=1 if name in diverge else None) for name in PLAN])
