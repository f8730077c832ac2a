"""Result files that look like those of 04_evolution_strategies on MNIST, made from formulas in milliseconds."""

import math
import zlib

import numpy as np
from fake_runs import ended, run_frame

from common import results

EXPERIMENT = "04_evolution_strategies"
TRAIN, BATCH, CLASSES, VALIDATION = 55_000, 128, 10, 5_000
SUBJECT = {"dataset": "mnist", "network": "lenet5", "precision": "float32", "train_examples": TRAIN}
SAMPLE_COUNTS, SIGMAS = (2, 20, 200), (0.5, 1.0, 4.0)
POPULATIONS = (32, 128, 512)

_REFERENCE = {"gradient": "samples", "eta": 0.0, "samples": 200, "batch_size": BATCH, "coordinates": 61_706}
_SOURCE = _REFERENCE | {"budget": "source", "objective": "smoothed accuracy", "antithetic": False, "sigma": 4.0}
_SOURCE |= {"epochs": 15, "learning_rate": 9e-5, "schedule": "constant"}
_FULL = _REFERENCE | {"budget": "full", "objective": "likelihood", "antithetic": True, "sigma": 1.0}
_FULL |= {"epochs": 15, "learning_rate": 1e-3, "schedule": "linear"}
_SWEEP = _FULL | {"budget": "sweep", "epochs": 5}
_EXACT = {"gradient": "quadrature", "samples": 0, "antithetic": False}
_BACKPROPAGATED = _EXACT | {"gradient": "backpropagation", "objective": "cross-entropy", "sigma": 0.0}


def make_plan():
    """Return every setting of the notebook by its name, with its final error."""
    plan = {
        "source: smoothed accuracy": (_SOURCE, 0.15),
        "source: exact gradient": (_SOURCE | _EXACT, 0.15),
        "source: moved target": (_SOURCE | {"objective": "moved target"}, 0.15),
        "source: annealed σ": (_SOURCE | {"sigma": 0.0, "eta": 16.0}, 0.08),
        "full: likelihood": (_FULL, 0.011),
        "full: exact likelihood": (_FULL | _EXACT, 0.0105),
        "full: cross-entropy": (_FULL | _BACKPROPAGATED, 0.01),
    }
    for count in SAMPLE_COUNTS:
        plan[f"likelihood, {count} samples"] = (_SWEEP | {"samples": count}, 0.013 + 0.3 / count)
    for sigma in SIGMAS:
        if sigma != 1.0:
            plan[f"likelihood, σ = {sigma:g}"] = (_SWEEP | {"sigma": sigma}, 0.014 + abs(math.log(sigma)) / 50)
    for sigma in SIGMAS:
        plan[f"smoothed accuracy, σ = {sigma:g}"] = (_SWEEP | {"objective": "smoothed accuracy", "sigma": sigma}, 0.12)
    return plan | {"cross-entropy": (_SWEEP | _BACKPROPAGATED, 0.012)}


PLAN = make_plan()


def fake_run(name, seed, *, diverge=None):
    """Return the frame of one setting's run; `diverge`: the epoch in which it ends."""
    setting, final = PLAN[name]
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    final *= math.exp(generator.normal(0, 0.05))
    records = []
    for epoch in range(1, setting["epochs"] + 1):
        error = min(0.9, final * (1 + 1.5 / epoch**1.3 - 1.5 / setting["epochs"] ** 1.3))
        record = {"epoch": epoch, "step": 430 * epoch, "seconds": 12.0 * epoch, "cost": 430.0 * epoch}
        record |= {"train_loss": error, "train_metric": 1 - error, "validation_loss": error}
        record |= {"validation_metric": 1 - error}
        if setting["budget"] != "sweep":
            never = 2 if setting["objective"] == "smoothed accuracy" and epoch < 15 else int(final > 0.1)
            record |= fake_confusion(never)
        records.append(record)
    records = ended(records, diverge, test_loss=error, test_metric=1 - 0.97 * error)
    return _frame(records, name, seed, setting, list(PLAN).index(name), diverge)


def fake_confusion(never):
    """Return counts in which the last `never` classes are taken for the first and all others are right."""
    counts = np.zeros((CLASSES, CLASSES))
    for label in range(CLASSES):
        counts[label, label if label < CLASSES - never else 0] = VALIDATION / CLASSES
    return {f"confusion_{i}_{j}": float(count) for (i, j), count in np.ndenumerate(counts)}


def fake_alignment(seed):
    """Return the frames of the estimates compared on the untrained and on the trained network."""
    frames = []
    for objective in ("likelihood", "smoothed accuracy"):
        for antithetic in (False, True):
            for count in SAMPLE_COUNTS:
                setting = _FULL | {"objective": objective, "antithetic": antithetic, "samples": count}
                setting |= {"budget": "alignment"}
                name = f"alignment: {objective}, {count} samples{', antithetic' if antithetic else ''}"
                records = [_compared(epoch, objective, antithetic, count, seed) for epoch in (0, 15)]
                records[-1] |= {"test_metric": 0.99}
                frames.append(_frame(records, name, seed, setting, len(PLAN), None))
    return frames


def _compared(epoch, objective, antithetic, count, seed):
    variance = (1 + seed / 10) * (10 if epoch else 30) / count * (1 if antithetic else 4)
    bias = 0.9**count if objective == "likelihood" else 0.0
    measured = {"logit_bias": bias, "logit_variance": variance, "logit_cosine": 1 / math.sqrt(1 + variance)}
    return {"epoch": epoch, "step": 430 * epoch} | measured


def fake_weights(seed):
    """Return the frames of what has no backpropagation: two runs, and cosines by population and rank."""
    frames, known = [], {"budget": "weights", "learning_rate": 0.01, "batch_size": 512, "coordinates": 11_000}
    for order, rank in enumerate((0, 1)):
        records = [
            {"epoch": it, "step": 100 * it, "seconds": 30.0 * it * (3 - 2 * rank), "evaluations": 1e7 * it}
            | {"validation_metric": 1 - 0.5 / it, "train_metric": 1 - 0.5 / it}
            for it in range(1, 7)
        ]
        records[-1] |= {"test_metric": 0.9}
        setting = known | {"rank": rank, "population": 512, "epochs": 6}
        frames.append(_frame(records, f"weights: {'low' if rank else 'full'} rank", seed, setting, 100 + order, None))
        for population in POPULATIONS:
            setting = known | {"budget": "weights alignment", "rank": rank, "population": population, "epochs": 1}
            cosine = math.sqrt(population / 2 / (population / 2 + 11_000)) * (1 + seed / 50)
            record = {"epoch": 1, "step": 1, "cosine": cosine, "test_metric": 0.9}
            frames.append(_frame([record], f"population {population}, rank {rank}", seed, setting, 200, None))
    return frames


def _frame(records, name, seed, setting, order, diverge):
    return run_frame(
        records,
        diverge,
        experiment=EXPERIMENT,
        method="logit_evolution",
        seed=seed,
        setting=name,
        order=order,
        **{key: value for key, value in setting.items() if key != "epochs"},
        **SUBJECT,
    )


def fake_seed(seed, *, without=(), diverge=()):
    """Return the frame of a seed: every setting but those whose name holds a word of `without`."""
    names = [name for name in PLAN if not any(word in name for word in without)]
    frames = [fake_run(name, seed, diverge=1 if name in diverge else None) for name in names]
    return results.combine([*frames, *fake_alignment(seed), *fake_weights(seed)])
