"""What remains of runs: the last row of each, and means over seeds."""

from collections.abc import Sequence

import pandas as pd

from common.results.arrays import array_columns
from common.results.frame import bare, check_choice, run_columns


def last_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each run's last row, where the test metric stands."""
    ordered = bare(frame).sort_values("epoch", kind="stable")
    return ordered.drop_duplicates(run_columns(frame), keep="last").sort_index()


def summarize(frame: pd.DataFrame, by: Sequence[str], value: str = "test_metric") -> pd.DataFrame:
    """Summarize a value of each run's last row over the seeds.

    Args:
        frame: a tidy frame.
        by: columns that make a group, e.g. ["method", "batch_size"].
        value: the column to average.

    Returns:
        One row per group: the columns of `by`, mean and std (ddof=1; NaN for one run) over the runs that did
        not diverge and have the value, n (their number), diverged (number of diverged runs, in no mean).

    Raises:
        ValueError: for a column that the frame does not have, with the nearest one, or that holds arrays.

    Example:
        >>> names = {"experiment": "01_baseline_sgd", "method": "Backpropagation", "run": "SGD"}
        >>> rows = {"seed": [0, 1, 2], "epoch": 1, "status": ["finished", "finished", "diverged"]}
        >>> frame = pd.DataFrame(names | rows | {"test_metric": [0.97, 0.99, 0.1]})
        >>> summarize(frame, ["run"]).round(3).to_dict("records")
        [{'run': 'SGD', 'mean': 0.98, 'std': 0.014, 'n': 2, 'diverged': 1}]
    """
    for name in (*by, value):
        check_choice("column", name, list(frame.columns))
    if arrays := array_columns(frame[list(dict.fromkeys((*by, value)))]):
        raise ValueError(f"column {arrays[0]!r} holds arrays, not numbers; choose another column")
    rows = last_rows(frame)
    failed = rows["status"] == "diverged"
    rows = rows.assign(_value=rows[value].astype(float).mask(failed), _failed=failed)
    groups = rows.groupby(list(by), dropna=False, sort=True)
    return groups.agg(
        mean=("_value", "mean"), std=("_value", "std"), n=("_value", "count"), diverged=("_failed", "sum")
    ).reset_index()
