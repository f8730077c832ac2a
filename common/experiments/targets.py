"""What runs spent until they first reached a target."""

from __future__ import annotations

import numpy as np
import pandas as pd


def spent_until(runs: pd.DataFrame, target: float, clock: str = "cost") -> pd.DataFrame:
    """Return what each run had spent when its validation error first reached a target.

    Between two measurements, the logarithm of the error is interpolated linearly. Before training, the error is that of
    a guess among equally likely classes, 90 % for ten.

    Args:
        runs: rows of several runs, one row per epoch.
        target: an error in per cent.
        clock: the column that is spent, such as "cost" or "step".

    Returns:
        Columns run, seed and spent; NaN if the target was not reached.
    """
    reached = []
    for (name, seed), own in runs.groupby(["run", "seed"], sort=False):
        rows = own.sort_values("epoch")
        error = np.log(np.maximum([90.0, *rows["validation_error"]], 1e-3))
        spent = np.array([0.0, *rows[clock]], float)
        below = np.flatnonzero(error <= np.log(target))
        value = np.nan
        if len(below) and below[0] > 0:
            last = below[0]
            share = (error[last - 1] - np.log(target)) / (error[last - 1] - error[last])
            value = spent[last - 1] + share * (spent[last] - spent[last - 1])
        reached.append({"run": name, "seed": seed, "spent": value})
    return pd.DataFrame(reached, columns=["run", "seed", "spent"])
