"""Tables of stored results as Markdown, which cog writes into README and the pages of docs/.

    <!-- [[[cog
    from common.plotting.markdown import show_comparisons
    show_comparisons("04_evolution_strategies", [("full: likelihood", "full: cross-entropy")])
    ]]] -->

`cog -r` fills in the text between this and the end mark. `cog --check`, in the tests, reports whether the file still
shows the stored results.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from common import results
from common.plotting.tables import mean_and_spread, signed
from common.results.collection import PAPER
from common.results.frame import check_choice

ACCURACY_MARGIN = 0.0025  # 0.25 points of accuracy count as level; fixed before the runs


@functools.cache
def stored(experiment: str, variant: str = "") -> pd.DataFrame:
    """Return the committed results of a notebook, such as "04_evolution_strategies", or of a variant of it."""
    return results.read(PAPER / experiment / f"{variant}.parquet" if variant else PAPER / experiment)


def show_runs(experiment: str, runs: Mapping[str, str], *, what: str = "what is done", rates: bool = False) -> None:
    """Print a table of runs: validation and test error after the last epoch, mean ± standard deviation, seeds.

    Errors are in per cent where the metric is accuracy.

    Args:
        experiment: a notebook.
        runs: maps names of runs to a few words on each.
        what: the header of the column with these words.
        rates: whether a column gives each run's learning rate, or the first one of its schedule.

    Raises:
        ValueError: the results do not have a name; the message gives the nearest one.
    """
    frame = _of(stored(experiment), runs)
    unit = "%" if frame["metric"].iloc[0] == "accuracy" else "mean squared error"
    parts = {}
    for part in ("validation", "test"):
        errors = frame.assign(error=_errors(frame, f"{part}_metric"))
        parts[part] = results.summarize(errors, ["run"], "error").set_index("run")
    rows = []
    for name, words in runs.items():
        row = {what: words, "run": name}
        if rates:
            row["rate"] = f"{frame.loc[frame['run'] == name, 'learning_rate'].iloc[0]:.3g}"
        row |= {f"{part} error ({unit})": _spread(summary.loc[name]) for part, summary in parts.items()}
        rows.append(row | {"seeds": int(parts["test"].loc[name, ["n", "diverged"]].sum())})
    print(as_markdown(pd.DataFrame(rows)))


def show_grid(experiment: str, rows: Sequence[str], columns: Sequence[str], *, what: str) -> None:
    """Print the test errors of runs named "row, column" as a grid: mean ± standard deviation after the last epoch.

    Args:
        experiment: a notebook whose metric is accuracy.
        rows: how the names of the runs begin.
        columns: how they end.
        what: the header of the rows.

    Raises:
        ValueError: the results do not have a name; the message gives the nearest one.
    """
    frame = _of(stored(experiment), [f"{row}, {column}" for row in rows for column in columns])
    errors = results.summarize(frame.assign(error=_errors(frame, "test_metric")), ["run"], "error").set_index("run")
    grid = [
        {what: row}
        | {column: _spread(errors.loc[f"{row}, {column}"]) for column in columns}
        | {"seeds": int(errors.loc[f"{row}, {columns[0]}", ["n", "diverged"]].sum())}
        for row in rows
    ]
    print(as_markdown(pd.DataFrame(grid)))


def show_comparisons(
    experiment: str, pairs: Sequence[tuple[str, str]], *, margin: float = ACCURACY_MARGIN, variant: str = ""
) -> None:
    """Print a table of paired comparisons after the last epoch, each with its interval and the verdict.

    Args:
        experiment: a notebook.
        pairs: pairs of a run and the run with which it is compared.
        margin: equivalence margin, in units of the metric.
        variant: a variant of the preset, if it has several.

    Raises:
        ValueError: the results do not have a name; the message gives the nearest one.
    """
    frame = stored(experiment, variant)
    unit = "points of error" if frame["metric"].iloc[0] == "accuracy" else "mean squared error"
    rows = [
        {
            "run": row.run,
            "compared with": row.baseline,
            f"difference ({unit})": row.error,
            "95 % interval": row.interval,
            "seeds": row.n,
            "the run is": row.verdict,
        }
        for row in comparisons(frame, pairs, margin=margin).itertuples()
    ]
    print(as_markdown(pd.DataFrame(rows)))


def comparisons(frame: pd.DataFrame, pairs: Sequence[tuple[str, str]], *, margin: float) -> pd.DataFrame:
    """Compare the errors of runs after the last epoch, seed by seed; a negative difference is better.

    Args:
        frame: a frame of `results.read`, with one metric.
        pairs: pairs of a run and the run with which it is compared.
        margin: equivalence margin, in units of the metric.

    Returns:
        The rows of `results.paired_comparisons`, whose p and verdict have Holm's correction over the pairs, with the
        columns `error` and `interval`: difference and interval as text, in points of error if the metric is accuracy,
        else in the metric's unit.

    Raises:
        ValueError: the results do not have a name; the message gives the nearest one.
    """
    frame = _of(frame, [name for pair in pairs for name in pair])
    scale = _scale(frame)
    if frame["metric"].iloc[0] != "accuracy":  # lower is better
        frame = frame.assign(test_metric=-frame["test_metric"])
    compared = results.paired_comparisons(frame, pairs, margin=margin)
    differences = [signed(-scale * value) for value in compared["difference"]]
    intervals = [_interval(-scale * row.high, -scale * row.low) for row in compared.itertuples()]
    return compared.assign(error=differences, interval=intervals)


def as_markdown(table: pd.DataFrame) -> str:
    """Return a table of text as a Markdown table with right-aligned numbers."""
    right = [pd.api.types.is_numeric_dtype(table[name]) or _looks_numeric(table[name]) for name in table]
    sides = ["right" if numeric else "left" for numeric in right]
    return table.to_markdown(index=False, colalign=sides, disable_numparse=True)


def _of(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    known, names = list(frame["run"].unique()), list(names)
    for name in names:
        check_choice("run", name, known)
    return frame[frame["run"].isin(names)]


def _scale(frame: pd.DataFrame) -> float:
    return 100.0 if frame["metric"].iloc[0] == "accuracy" else 1.0


def _errors(frame: pd.DataFrame, column: str) -> pd.Series:
    return 100 * (1 - frame[column]) if frame["metric"].iloc[0] == "accuracy" else frame[column]


def _spread(summary: pd.Series) -> str:
    """Return mean ± spread of the seeds that did not diverge, and how many did; "diverged" if all did."""
    if not summary["n"]:
        return "diverged"
    lost, seeds = int(summary["diverged"]), int(summary["n"] + summary["diverged"])
    shown = mean_and_spread(summary["mean"], summary["std"], digits=2)
    return f"{shown}, {lost} of {seeds} diverged" if lost else shown


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{signed(low)} to {signed(high)}"


def _looks_numeric(column: pd.Series) -> bool:
    return column.astype(str).str.match(r"[-+]?\d[\d.,]*( [±t\[]|$)|diverged$|-$").all()
