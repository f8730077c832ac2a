"""Summaries of runs: the last row of each, and means over seeds."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from common.checks import require
from common.results.arrays import array_columns
from common.results.frame import bare, check_choice, run_columns


def last_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each run's last row, which holds the test metric."""
    _require_frame(frame)
    ordered = bare(frame).sort_values("epoch", kind="stable")
    return ordered.drop_duplicates(run_columns(frame), keep="last").sort_index()


def validation_scores(frame: pd.DataFrame) -> dict[str, float]:
    """Return how good each run is on validation data, by name: the mean over seeds of the last rows, higher is better.

    Accuracy counts as it is, the mean squared error with a minus sign; a diverged seed makes a run minus infinity.
    """
    rows = last_rows(frame)
    sign = rows["metric"].map({"accuracy": 1.0, "mean_squared_error": -1.0})
    scores = (sign * rows["validation_metric"].astype(float)).mask(rows["status"] == "diverged", -math.inf)
    return scores.groupby(rows["run"]).mean().to_dict()


def summarize(frame: pd.DataFrame, by: str | Sequence[str], value: str = "test_metric") -> pd.DataFrame:
    """Summarize a value of each run's last row over the seeds.

    Args:
        frame: a tidy frame.
        by: column(s) that define a group, e.g. ["method", "batch_size"].
        value: the column to average.

    Returns:
        One row per group: the columns of `by`, mean and std (ddof=1; NaN for one run) over the runs that did not
        diverge and have the value, n (their number), and diverged (number of diverged runs, which enter no mean).

    Raises:
        ValueError: the frame does not have a column, and the message gives the nearest; a column holds arrays; or a
            group has several metrics.

    Example:
        >>> names = {"experiment": "01_baseline_sgd", "method": "Backpropagation", "run": "SGD"}
        >>> rows = {"seed": [0, 1, 2], "epoch": 1, "status": ["finished", "finished", "diverged"]}
        >>> frame = pd.DataFrame(names | rows | {"test_metric": [0.97, 0.99, 0.1]})
        >>> summarize(frame, ["run"]).round(3).to_dict("records")
        [{'run': 'SGD', 'mean': 0.98, 'std': 0.014, 'n': 2, 'diverged': 1}]
    """
    _require_frame(frame)
    by = _names(by)
    for name in (*by, value):
        check_choice("column", name, list(frame.columns))
    if arrays := array_columns(frame[list(dict.fromkeys((*by, value)))]):
        raise ValueError(f"column {arrays[0]!r} holds arrays, not numbers; choose another column")
    rows = last_rows(frame)
    _require_one_metric(rows, by, value)
    failed = rows["status"] == "diverged"
    rows = rows.assign(_value=rows[value].astype(float).mask(failed), _failed=failed)
    groups = rows.groupby(list(by), dropna=False, sort=True)
    return groups.agg(
        mean=("_value", "mean"), std=("_value", "std"), n=("_value", "count"), diverged=("_failed", "sum")
    ).reset_index()


def pivot(
    frame: pd.DataFrame,
    rows: str | Sequence[str] = "method",
    columns: str | Sequence[str] = "optimizer",
    value: str = "test_metric",
) -> pd.DataFrame:
    """Tabulate the mean of a value over the seeds, by method and setting; no cell mixes two settings.

    Args:
        frame: a tidy frame.
        rows: column(s) whose values make the table's rows, "method" or "run".
        columns: likewise for its columns.
        value: the column to average, of each run's last row; runs that diverged are in no mean.

    Returns:
        The means, in a table; NaN where no run is left, or there was none.

    Raises:
        ValueError: a column that the frame does not have, with the nearest; runs of several data sets, networks or
            precisions, unless they make rows or columns; a cell whose runs differ in anything but their seed, such as a
            setting or the number of epochs, or hold a seed twice. It says in what: add that to `rows` or `columns`, or
            take a part of the frame.

    Example:
        >>> runs = {"experiment": "mine", "method": "SPSA", "seed": [0, 1, 0]}
        >>> runs |= {"optimizer": ["SGD(0.1)", "SGD(0.1)", "SGD(1)"]}
        >>> frame = pd.DataFrame(runs | {"epoch": 5, "status": "finished", "test_metric": [0.5, 0.75, 0.25]})
        >>> pivot(frame).loc["SPSA"].to_dict()
        {'SGD(0.1)': 0.625, 'SGD(1)': 0.25}
    """
    by = [*_names(rows), *_names(columns)]
    summary = summarize(frame, by, value)
    last = last_rows(frame)
    for name in (name for name in last if name in _COMMON or name.startswith("Network.")):
        if name not in by and last[name].nunique(dropna=False) > 1:
            raise ValueError(f"the runs have several values of {name!r}, {_listed(last[name])}: {_SEPARATE}")
    for key, cell in last.groupby(by, dropna=False, sort=False):
        _require_one_setting(cell, dict(zip(by, _as_tuple(key), strict=True)))
    return summary.pivot(index=_names(rows), columns=_names(columns), values="mean")


_COMMON = ("dataset", "network", "precision", "train_examples")
_LABELS = ("experiment", "run", "group", "order")
_SEPARATE = "add it to the rows or columns, or take a part of the frame"


def _require_one_setting(cell: pd.DataFrame, key: dict[str, Any]) -> None:
    """Refuse a cell of a table whose runs differ in more than their seed."""
    names = [name for name in run_columns(cell) if name not in (*_LABELS, "seed", *key)]
    finished = cell[cell["status"] == "finished"]
    for name, values in [*((name, cell[name]) for name in names), ("epoch", finished["epoch"])]:
        if values.nunique(dropna=False) > 1:
            what = "last epochs" if name == "epoch" else f"values of {name!r}"
            raise ValueError(f"the runs of the cell {key} have several {what}, {_listed(values)}: {_SEPARATE}")
    twice = cell.loc[cell["seed"].duplicated(), "seed"]
    if len(twice):
        raise ValueError(f"the cell {key} has several runs of seed {twice.iloc[0]}: {_SEPARATE.replace('it', 'run')}")


def _require_frame(frame: Any) -> None:
    allowed = "a tidy frame, such as that of train_all, results.read or History.frame"
    require(isinstance(frame, pd.DataFrame), "frame", allowed, frame)


def _names(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _listed(values: pd.Series) -> str:
    distinct = values.drop_duplicates().tolist()
    return ", ".join(map(repr, distinct[:4])) + (", …" if len(distinct) > 4 else "")


def with_interval(summary: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Add the t interval of each mean to what `summarize` returned.

    Args:
        summary: a frame with the columns mean, std (ddof=1) and n.
        confidence: confidence level of the interval, in (0, 1).

    Returns:
        The frame with the columns low and high, NaN if fewer than two runs are in the mean.

    Example:
        >>> summary = pd.DataFrame({"mean": [98.0, 97.0], "std": [1.0, math.nan], "n": [4, 1]})
        >>> with_interval(summary).round(2).values.tolist()
        [[98.0, 1.0, 4.0, 96.41, 99.59], [97.0, nan, 1.0, nan, nan]]
    """
    from scipy import stats  # see `_paired`

    count = summary["n"].clip(lower=2)
    half = stats.t.ppf((1 + confidence) / 2, count - 1) * summary["std"] / count**0.5
    return summary.assign(low=summary["mean"] - half, high=summary["mean"] + half)


def _require_one_metric(rows: pd.DataFrame, by: Sequence[str], value: str) -> None:
    """Raise a ValueError instead of averaging accuracies with mean squared errors."""
    if "metric" not in rows or not value.endswith("_metric"):
        return
    kinds = rows.groupby(list(by), dropna=False)["metric"].agg(lambda values: sorted(values.dropna().unique()))
    mixed = kinds[kinds.map(len) > 1]
    if len(mixed):
        group = dict(zip(by, _as_tuple(mixed.index[0]), strict=True))
        raise ValueError(
            f"{value!r} of the group {group} holds {' and '.join(mixed.iloc[0])}: "
            "add 'metric' to the columns that make a group"
        )


def _as_tuple(key: Any) -> tuple:
    return key if isinstance(key, tuple) else (key,)


def paired_differences(
    frame: pd.DataFrame, baseline: str, *, margin: float, value: str = "test_metric", confidence: float = 0.95
) -> pd.DataFrame:
    """Compare every run with a baseline, paired by seed: runs of one seed share initial weights and example order.

    Each difference has a t interval over the seeds. Holm's method corrects the p-values for the number of comparisons
    in the table. The verdict is "ahead" or "behind" if the corrected p-value is below 1 - confidence. Otherwise it is
    "level" if the interval lies within ± margin, else "not told apart". It is "diverged" if no seed is left, and "one
    seed" if there is no spread.

    Args:
        frame: a tidy frame with one setting for each name in the column "run".
        baseline: the run with which the others are compared.
        margin: equivalence margin, > 0, in units of the value, fixed before the runs.
        value: a column of the last rows; larger values are better.
        confidence: confidence level of the intervals, in (0, 1).

    Returns:
        A frame by run, in the order of the rows, without the baseline: difference (mean), low, high, n (common seeds
        that did not diverge), p (corrected), verdict.

    Raises:
        ValueError: the frame does not have the baseline; the message gives the nearest name.

    Example:
        >>> names, status = {"experiment": "01", "method": "SGD"}, {"status": "finished", "metric": "accuracy"}
        >>> accuracies = {"exact": (0.90, 0.91, 0.92), "noise": (0.91, 0.93, 0.95)}
        >>> frame = pd.DataFrame(
        ...     [
        ...         names | {"seed": seed, "run": run, "epoch": 1, "test_metric": accuracy} | status
        ...         for run, values in accuracies.items()
        ...         for seed, accuracy in enumerate(values)
        ...     ]
        ... )
        >>> compared = paired_differences(frame, "exact", margin=0.0025)  # 0.01, 0.02, 0.03: t = 2√3, p = 0.0742
        >>> compared.round(4).reset_index()[["difference", "low", "high", "p", "verdict"]].values.tolist()
        [[0.02, -0.0048, 0.0448, 0.0742, 'not told apart']]
    """
    check_choice("run", baseline, list(frame["run"].unique()))
    names = [name for name in last_rows(frame)["run"].drop_duplicates() if name != baseline]
    pairs = [(name, baseline) for name in names]
    differences = paired_comparisons(frame, pairs, margin=margin, value=value, confidence=confidence)
    return differences.drop(columns="baseline").set_index("run")


def paired_comparisons(
    frame: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    *,
    margin: float,
    value: str = "test_metric",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare runs with their own baselines, paired by seed; `paired_differences` has one baseline for all.

    Args:
        frame: a tidy frame with one setting for each name in the column "run".
        pairs: each run with the run that it is compared with; Holm's method corrects for their number.
        margin: equivalence margin, > 0, in units of the value, fixed before the runs.
        value: a column of the last rows; larger values are better.
        confidence: confidence level of the intervals, in (0, 1).

    Returns:
        A frame with one row per pair, in their order: run, baseline, difference (mean), low, high, n (common seeds that
        did not diverge), p (corrected), verdict.

    Raises:
        ValueError: the frame does not have a name; the message gives the nearest one.
    """
    require(margin > 0, "margin", "> 0", margin)
    rows = last_rows(frame)
    known = list(rows["run"].unique())
    values = rows.assign(_value=rows[value].astype(float).mask(rows["status"] == "diverged"))
    table = values.pivot(index="seed", columns="run", values="_value")
    compared = []
    for name, baseline in pairs:
        check_choice("run", name, known)
        check_choice("run", baseline, known)
        both = (table[name] - table[baseline]).dropna()
        compared.append({"run": name, "baseline": baseline} | _paired(both, confidence))
    columns = ["run", "baseline", "difference", "low", "high", "n", "p"]
    differences = pd.DataFrame(compared, columns=columns).assign(margin=margin)
    return with_verdicts(differences, confidence).drop(columns="margin")


def with_verdicts(differences: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return a table of comparisons with its p-values corrected for their number, by Holm's method, and verdicts.

    Args:
        differences: a row per pair, with the columns difference, low, high, n, p (of its row alone) and margin.
        confidence: confidence level of the intervals, in (0, 1).
    """
    corrected = differences.assign(p=_holm(differences["p"]))
    verdicts = [_verdict(row, row.margin, 1 - confidence) for row in corrected.itertuples()]
    return corrected.assign(verdict=verdicts)


def _paired(differences: pd.Series, confidence: float) -> dict[str, float]:
    count, mean = len(differences), differences.mean()
    if count < 2:
        return {"difference": mean, "low": math.nan, "high": math.nan, "n": count, "p": math.nan}
    error = differences.std(ddof=1) / math.sqrt(count)
    if error == 0:
        return {"difference": mean, "low": mean, "high": mean, "n": count, "p": 1.0 if mean == 0 else 0.0}
    from scipy import stats  # takes as long as all else here, and whoever reads or draws results needs none of it

    low, high = stats.t.interval(confidence, count - 1, mean, error)
    p = 2 * stats.t.sf(abs(mean) / error, count - 1)
    return {"difference": mean, "low": low, "high": high, "n": count, "p": p}


def _holm(probabilities: pd.Series) -> pd.Series:
    """Correct p-values for their number: the i-th smallest of m is multiplied by m - i + 1, kept in order."""
    known = probabilities.dropna().sort_values()
    factors = range(len(known), 0, -1)
    corrected = (known * list(factors)).cummax().clip(upper=1.0)
    return corrected.reindex(probabilities.index)


def _verdict(row: Any, margin: float, level: float) -> str:
    if row.n < 2:
        return "one seed" if row.n else "diverged"
    if row.p < level:
        return "ahead" if row.difference > 0 else "behind"
    return "level" if -margin < row.low and row.high < margin else "not told apart"
