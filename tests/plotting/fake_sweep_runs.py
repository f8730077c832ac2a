"""Made-up sweeps: notebook 00 at points of a grid, each point and seed a result file of two runs."""

import hashlib
import itertools
import json
import math

import numpy as np
import pandas as pd
from fake_runs import ended

from common import results
from common.results.result_file import write_table

NOTEBOOK = "00_one_direction"
DIRECTION = "this direction"
VERSIONS = {"python": "3.11.2", "tensorflow": "2.21.0", "numpy": "2.4.1"}
DEFAULTS = {
    "dataset": "digits",
    "validation": None,
    "network": "mlp",
    "hidden": [32],
    "estimator": "NoisyGradient(Backpropagation(), ConstantNoise(0.1))",
    "optimizer": "SGD(0.05)",
    "batch_size": 32,
    "epochs": 8,
    "precision": "float32",
    "result_file": "results/sweeps/made_up/point0/seed0.parquet",
    "store": "",
    "tensorboard_dir": "",
    "weights_file": "",
}


def grid(**values):
    """The points of a product of values."""
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def error_at(point):
    """A test error in (0, 1) that depends on every number in a point."""
    numbers = [value for value in point.values() if isinstance(value, int | float)]
    texts = [sum(map(ord, value)) % 7 for value in point.values() if isinstance(value, str)]
    return min(
        0.9, 0.02 * math.prod(1 + abs(math.log10(abs(value) + 0.01)) for value in numbers) * (1 + sum(texts) / 10)
    )


def parameters_at(point, seed):
    """What the notebook is called with: swept names that are parameters, the others within the estimator."""
    noise = f"ConstantNoise({point.get('sigma', 0.1)})"
    called = {"estimator": f"NoisyGradient(Backpropagation(), {noise})"}
    return DEFAULTS | called | {name: point[name] for name in point if name in DEFAULTS} | {"seeds": [seed]}


def fake_run(point, seed, run=DIRECTION, *, epochs=5, diverge=None, depends_on=None, **columns):
    """The rows of one run; its record depends on the named swept values: None for all."""
    known = {name: value for name, value in point.items() if depends_on is None or name in depends_on}
    digest = _digest(run, known, seed)
    error = error_at(known) * math.exp(np.random.default_rng(int(digest[:8], 16)).normal(0, 0.08))
    parameters = parameters_at(point, seed)
    label = {"experiment": NOTEBOOK, "method": "m", "seed": seed, "run": run, "group": ""}
    label |= {"order": int(run != "backpropagation"), "dataset": parameters["dataset"]}
    label |= {"network": parameters["network"], "precision": "float32", "train_examples": 1297}
    label |= {"estimator": parameters["estimator"] if run == DIRECTION else "Backpropagation()"}
    label |= {"optimizer": parameters["optimizer"]} | columns
    label |= {f"sweep.{name}": value for name, value in point.items()}
    state = {"status": "diverged" if diverge else "finished", "diverged_step": 40 if diverge else None}
    origin = {"commit": "0123456789abcdef", "dirty": False, "versions": json.dumps(VERSIONS), "data_checksum": "feed"}
    origin |= {"device": "CPU", "threads": 2, "begun": f"2026-01-01T00:00:{seed % 60:02}+00:00"}
    origin |= {"ended": "2026-01-01T01:00:00+00:00", "resumed": "[]", "digest": digest, "note": None}
    records = [
        {"epoch": epoch, "step": 40 * epoch, "seconds": 0.5 * epoch, "cost": 1000.0 * epoch}
        | {"train_loss": 3 * error, "train_metric": 1 - error, "validation_loss": 3 * error}
        | {"validation_metric": 1 - min(1, error * (1 + 1 / epoch)), "test_loss": math.nan, "test_metric": math.nan}
        for epoch in range(1, epochs + 1)
    ]
    records = ended(records, diverge, test_metric=1 - error)
    return [label | record | state | {"metric": "accuracy"} | origin for record in records]


def as_frame(rows):
    """What `results.combine` makes of such runs."""
    frame = pd.DataFrame(rows)
    return frame.astype({"diverged_step": "Int64", "threads": "Int64", "dirty": "boolean", "note": "str"})


def _digest(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def fake_sweep(points, seeds=(0, 1, 2), *, baseline_depends_on=(), diverge=lambda point, seed: False, **options):
    """The frame that reading a sweep gives: this direction, and beside it the baseline, which depends on less."""
    rows = []
    for point, seed in itertools.product(points, seeds):
        rows += fake_run(point, seed, diverge=1 if diverge(point, seed) else None, **options)
        if baseline_depends_on is not None:
            rows += fake_run(point, seed, "backpropagation", depends_on=baseline_depends_on, **options)
    frame = as_frame(rows)
    frame.attrs = {"files": [], "missing": [], "unreadable": {}, "measurements": []}
    frame.attrs["provenance"] = origins(points, seeds)
    return frame


def origins(points, seeds):
    """The provenance of the sweep's files."""
    return [
        {"parameters": parameters_at(point, seed), "sweep": dict(point), "commit": "0123456789abcdef", "dirty": False}
        | {"versions": VERSIONS, "data_checksum": "feed", "device": "CPU", "threads": 2}
        for point, seed in itertools.product(points, seeds)
    ]


def write_sweep(folder, points, seeds=(0, 1), **options):
    """Write the sweep's files, one for each point and seed, as a sweep leaves them."""
    for number, point in enumerate(points):
        for seed in seeds:
            (origin,) = origins([point], [seed])
            notes = {"provenance": {name: origin[name] for name in origin if name != "sweep"}, "sweep": point}
            path = folder / NOTEBOOK / f"point{number}-seed{seed}.parquet"
            write_table(fake_sweep([point], [seed], **options), path, notes | {"measurements": {}})


def large_sweep(points, seeds=range(5), epochs=15):
    """A sweep of many points in seconds: the records of one point with the values, digests and numbers of each."""
    first = fake_sweep(points[:1], seeds, baseline_depends_on=tuple(points[0]), epochs=epochs)
    place = np.repeat(np.arange(len(points)), len(first))
    generator = np.random.default_rng(0)
    frame = results.frame.bare(first).iloc[np.tile(np.arange(len(first)), len(points))].reset_index(drop=True)
    worse = pd.Series(generator.uniform(0, 0.1, len(frame)))
    metrics = ("train_metric", "validation_metric", "test_metric")
    frame = frame.assign(
        digest=[_digest(digest, int(at)) for digest, at in zip(frame["digest"], place, strict=True)],
        **{f"sweep.{name}": [points[at][name] for at in place] for name in points[0]},
        **{name: frame[name] - worse for name in metrics},
    )
    frame.attrs = first.attrs | {"provenance": origins(points, seeds)}
    return frame


def final_errors(frame, run, **point):
    """The test errors, in per cent, of one run at one point, diverged ones left out: read off the frame."""
    rows = results.last_rows(frame)
    rows = rows[(rows["run"] == run) & (rows["status"] != "diverged")]
    for name, value in point.items():
        rows = rows[rows[f"sweep.{name}"] == value]
    return 100 * (1 - rows["test_metric"].drop_duplicates())
