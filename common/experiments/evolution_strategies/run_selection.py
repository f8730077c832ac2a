"""Selection of rows of 04_evolution_strategies: groups of runs, and estimates compared with the exact gradient.

Runs have a `group`: "source", "full" or "sweep". An estimator's `repr` gives its objective, noise and samples.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from common.experiments.estimator_calls import arguments, compared, with_settings
from common.plotting import captions
from common.plotting.curves import Series, select, series_by_run

GROUPS = ("source", "full", "sweep")
REFERENCE = "source: smoothed accuracy"  # the run with the source's settings
LIKELIHOOD = "full: likelihood"  # the run along which estimates are compared
OBJECTIVES = {"SmoothedAccuracy": "smoothed accuracy", "Likelihood": "likelihood", "MovedTarget": "moved target"}
# What `LogitAlignment` measures; the last three are missing in records of older code.
MEASURED = (
    "logit_bias",
    "logit_variance",
    "logit_cosine",
    "logit_unseen_bias",
    "logit_longest_share",
    "logit_longest_probability",
)
_DEFAULTS = {"samples": 200, "antithetic": False}  # those of LogitEvolution


def described(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with errors and the columns `objective`, `sigma`, `samples` and `antithetic`.

    Raises:
        ValueError: the frame mixes data sets, networks, precisions or sizes of the training split.
    """
    return captions.prepared(with_settings(frame, frame["estimator"].map(_settings)))


def series_of_group(frame: pd.DataFrame, group: str) -> list[Series]:
    """Return one series per run of a group, in the plan's order."""
    return series_by_run(select(frame, group=group), f"{group}: ")


def estimates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per estimate compared with the exact gradient, with its settings among the columns."""
    rows = compared(captions.prepared(frame), "logit_estimators", MEASURED)
    return with_settings(rows, rows["logit_estimators"].map(_settings))


def counted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a confusion matrix, and the column `never`: the number of never predicted classes."""
    matrices = rows["confusion"] if "confusion" in rows else pd.Series(None, rows.index, dtype=object)
    kept = np.array([isinstance(matrix, np.ndarray) for matrix in matrices], bool)
    return rows[kept].assign(never=[float((matrix.sum(0) == 0).sum()) for matrix in matrices[kept]])


def _settings(call: str) -> dict[str, Any]:
    """Return the settings in an estimator's `repr`; NaN without noise, and 0 without samples."""
    if not call.startswith(("LogitEvolution", "ExactLogitGradient")):
        return {"objective": "cross-entropy", "sigma": math.nan, "samples": 0, "antithetic": False}
    known = arguments(call, ("objective", "sigma"), _DEFAULTS)
    sigma = known["sigma"] if isinstance(known["sigma"], int | float) else math.nan  # a level that changes has none
    sampled = known["samples"] if call.startswith("LogitEvolution") else 0
    named = OBJECTIVES.get(known["objective"], known["objective"])
    return {"objective": named, "sigma": sigma, "samples": sampled, "antithetic": known["antithetic"]}
