"""Tables of final values: mean ± standard deviation over the seeds, number of seeds, number of diverged runs.

`final_table` gives a frame of text that a notebook shows. `latex_tables` writes it for a paper, as `printed` specifies.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pandas as pd

from common import results
from common.plotting.curves import error_name


@dataclass(frozen=True)
class Value:
    """A column of a table.

    Attributes:
        header: its title.
        scale: factor on the stored value, e.g. 100 for percent.
        digits: number of decimals.
        outcome: whether the column shows "diverged" if every run diverged; a column of costs then has no value.
    """

    header: str
    scale: float = 1.0
    digits: int = 2
    outcome: bool = True


@dataclass(frozen=True)
class Printed:
    """Settings for printing a table, see `printed`.

    Attributes:
        caption: its first sentences; explanations of ±, bold numbers and left-out columns are added.
        lowest: columns in which the lowest number is the best.
        highest: columns in which the highest number is the best.
        groups: the column whose values are headings of groups of rows; rows compete within a group. If empty, all rows
            compete.
    """

    caption: str = ""
    lowest: tuple[str, ...] = ()
    highest: tuple[str, ...] = ()
    groups: str = ""


@dataclass(frozen=True)
class Page:
    """A table for sorting and filtering in a browser, see `plotting.page`.

    Attributes:
        table: table of text and numbers.
        title: title of the page.
        words: explanation of the columns.
        digits: number of decimals, for columns of numbers.
        missing: text in place of a missing number, for columns of numbers.
        curves: a column of strings that are drawn as curves; empty: no such column. Each point has two digits, from 00
            at the bottom to 99 at the top, or "--" for no value.
        details: strings that unfold under each row, one column each, with the table's rows; an empty string is left
            out.
    """

    table: pd.DataFrame
    title: str
    words: str
    digits: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    curves: str = ""
    details: pd.DataFrame | None = None


ACCURACIES = {
    "validation_metric": Value("Validation accuracy (%)", scale=100, digits=2),
    "test_metric": Value("Test accuracy (%)", scale=100, digits=2),
}


def final_table(frame: pd.DataFrame, by: Mapping[str, str], values: Mapping[str, Value]) -> pd.DataFrame:
    """Return a table of the runs' last rows, with one row per setting.

    Args:
        frame: a tidy frame.
        by: maps the columns that define a setting to their headers, in order; rows are sorted by these columns.
        values: maps columns to their format. Cells are "mean ± standard deviation" (ddof=1), only the mean for one
            seed, "diverged" if every run diverged, or "-" without a value.

    Returns:
        A frame of text and counts: the headers of `by` and `values`, "Seeds" (runs in the mean), "Diverged".
    """
    summaries = {name: results.summarize(frame, list(by), name) for name in values}
    first = next(iter(summaries.values()))
    table = first[list(by)].rename(columns=dict(by))
    for name, value in values.items():
        table[value.header] = [_cell(row, value) for row in summaries[name].itertuples()]
    return table.assign(Seeds=first["n"], Diverged=first["diverged"])


def errors(frame: pd.DataFrame) -> dict[str, Value]:
    """Return the columns of validation and test error of a frame with errors, see `curves.with_errors`."""
    unit = " (%)" if (frame["metric"] == "accuracy").all() else ""
    return {f"{part}_error": Value(f"{error_name(frame, part)}{unit}") for part in ("validation", "test")}


def printed(
    table: pd.DataFrame, caption: str, *, lowest: Sequence[str] = (), highest: Sequence[str] = (), groups: str = ""
) -> pd.DataFrame:
    """Return a table with settings for printing it in a paper.

    Args:
        table: table of text and numbers.
        caption: sentences that describe the table; explanations of ±, bold numbers and left-out columns are added.
        lowest: columns in which the lowest number is the best; only for rows that compete on the same data.
        highest: columns in which the highest number is the best.
        groups: a column whose values are headings of groups of rows; rows compete within a group. If empty, all rows
            compete.

    Returns:
        A copy with a `Printed` in its `attrs`, for `latex_tables.write_latex`.
    """
    described = table.copy()
    described.attrs["printed"] = Printed(caption, tuple(lowest), tuple(highest), groups)
    return described


def accuracy_table(frame: pd.DataFrame, by: Mapping[str, str] = MappingProxyType({"run": "Run"})) -> pd.DataFrame:
    """Return a notebook's table of validation and test accuracies in the plan's order; `by`'s first is the index."""
    table = setting_table(frame, by, ACCURACIES)
    return table.set_index(next(iter(by.values())))


def setting_table(frame: pd.DataFrame, by: Mapping[str, str], values: Mapping[str, Value]) -> pd.DataFrame:
    """Return `final_table` in the order of the column `order`, which is the plan's order."""
    return final_table(frame, {"order": "order", **by}, values).drop(columns="order")


def signed(value: float) -> str:
    """Return a difference with its sign and two decimals, or "-" for a missing one.

    Example:
        >>> signed(0.128), signed(-0.001), signed(math.nan)
        ('+0.13', '0.00', '-')
    """
    return "-" if math.isnan(value) else f"{value:+.2f}".replace("-0.00", "0.00").replace("+0.00", "0.00")


def mean_and_spread(mean: float, std: float, digits: int) -> str:
    """Return "mean ± standard deviation"; only the mean for one seed; "-" without a mean.

    Args:
        mean: mean from `results.summarize`, with any scale; NaN without a value.
        std: standard deviation with the same scale; NaN for one seed.
        digits: number of decimals.

    Example:
        >>> mean_and_spread(98.127, 0.061, digits=2), mean_and_spread(98.127, math.nan, digits=2)
        ('98.13 ± 0.06', '98.13')
    """
    if math.isnan(mean):
        return "-"
    shown = f"{round(mean, digits) + 0.0:.{digits}f}"  # + 0.0: no "-0.00"
    return shown if math.isnan(std) else f"{shown} ± {std:.{digits}f}"


def _cell(row: Any, value: Value) -> str:
    if not row.n and row.diverged:
        return "diverged" if value.outcome else "-"
    return mean_and_spread(value.scale * row.mean, value.scale * row.std, value.digits)
