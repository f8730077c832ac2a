"""Tables of final values: mean ± standard deviation over the seeds, number of seeds, number of diverged runs.

`final_table` gives a frame of text that a notebook shows, `latex_tables` writes it for a paper; `printed` says how.
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
        digits: decimals shown.
        outcome: whether it says "diverged" where every run did; what a run costs has no value there.
    """

    header: str
    scale: float = 1.0
    digits: int = 2
    outcome: bool = True


@dataclass(frozen=True)
class Printed:
    """How a table is printed, see `printed`.

    Attributes:
        caption: its first sentences; what ±, bold numbers and left-out columns mean is added.
        lowest: columns whose lowest number is the best.
        highest: columns whose highest number is.
        groups: the column whose values head groups of rows, which are rivals among themselves; empty: all rows are.
    """

    caption: str = ""
    lowest: tuple[str, ...] = ()
    highest: tuple[str, ...] = ()
    groups: str = ""


@dataclass(frozen=True)
class Page:
    """A table that is to be sorted and filtered, see `plotting.page`.

    Attributes:
        table: of text and numbers.
        title: of the page.
        words: what the columns mean.
        digits: decimals of columns of numbers.
        missing: what stands for a number that there is not, for columns of numbers.
        curves: a column of texts that are drawn as curves: for each point two digits, 00 at the bottom to 99 at the
            top, or "--" for none; empty: no such column.
        details: texts that unfold under each row, a column for each, with the table's rows; an empty text is left out.
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
    """Tabulate the runs' last rows, one row per setting.

    Args:
        frame: a tidy frame.
        by: column -> header of what makes a setting, in the order of the columns; rows are sorted by it.
        values: column -> how it is shown: "mean ± standard deviation" (ddof=1), the mean alone for one seed,
            "diverged" when every run did, "-" without a value.

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
    """Return a table that knows how a paper prints it.

    Args:
        table: of text and numbers.
        caption: what is seen, in sentences; what ±, bold numbers and left-out columns mean is added.
        lowest: columns in which the lowest number is the best. Only where rows are rivals on the same data.
        highest: columns in which the highest number is.
        groups: a column whose values head groups of rows, which are rivals among themselves; empty: all rows are.

    Returns:
        A copy with a `Printed` in its `attrs`, for `latex_tables.write_latex`.
    """
    described = table.copy()
    described.attrs["printed"] = Printed(caption, tuple(lowest), tuple(highest), groups)
    return described


def accuracy_table(frame: pd.DataFrame, by: Mapping[str, str] = MappingProxyType({"run": "Run"})) -> pd.DataFrame:
    """Tabulate validation and test accuracies in the plan's order, the first of `by` as the index: for a notebook."""
    table = setting_table(frame, by, ACCURACIES)
    return table.set_index(next(iter(by.values())))


def setting_table(frame: pd.DataFrame, by: Mapping[str, str], values: Mapping[str, Value]) -> pd.DataFrame:
    """Tabulate as `final_table` does, in the order of the column `order`: that of the plan."""
    return final_table(frame, {"order": "order", **by}, values).drop(columns="order")


def signed(value: float) -> str:
    """Return a difference with its sign and two decimals, "-" for none.

    Example:
        >>> signed(0.128), signed(-0.001), signed(math.nan)
        ('+0.13', '0.00', '-')
    """
    return "-" if math.isnan(value) else f"{value:+.2f}".replace("-0.00", "0.00").replace("+0.00", "0.00")


def mean_and_spread(mean: float, std: float, digits: int) -> str:
    """Return "mean ± standard deviation", the mean alone where one seed has no deviation, "-" without a mean.

    Args:
        mean: of `results.summarize`, scaled at will; NaN without a value.
        std: likewise; NaN for one seed.
        digits: decimals shown.

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
