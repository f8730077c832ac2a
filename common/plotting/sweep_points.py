"""The points of a sweep: the swept settings, each record once, and summaries over the seeds of a point.

A sweep runs one notebook at many points. Its frame, from `results.read("results/sweeps/{name}")`, has a parameter
column `sweep.{name}` for each swept setting; these columns identify the points. A run may be the same at every point,
such as the baseline of the swept method. It is then the same record with the same digest, and counts once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from common import results
from common.plotting.curves import column
from common.results.frame import bare

PREFIX = "sweep."
ANY = "any"  # the value shown for a swept setting on which a run does not depend
_NONE = "none"
_NUMBER = re.compile(r"(\d+\.?\d*(?:e[-+]?\d+)?)")


def sweep_names(frame: pd.DataFrame) -> list[str]:
    """Return the names of the swept settings, in the order of the frame's columns.

    Example:
        >>> sweep_names(pd.DataFrame(columns=["seed", "sweep.sigma", "sweep.optimizer", "epoch"]))
        ['sigma', 'optimizer']
    """
    return [name.removeprefix(PREFIX) for name in frame.columns if str(name).startswith(PREFIX)]


def columns_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns of the swept settings."""
    return [PREFIX + name for name in sweep_names(frame)]


def headers(frame: pd.DataFrame, others: Iterable[str]) -> dict[str, str]:
    """Return a header for each swept column: its name, unless another column of the table has it.

    Example:
        >>> headers(pd.DataFrame(columns=["sweep.sigma", "sweep.n"]), ["run", "n"])
        {'sweep.sigma': 'sigma', 'sweep.n': 'sweep.n'}
    """
    taken, names = set(others), {PREFIX + name: name for name in sweep_names(frame)}
    return {full: full if name in taken else name for full, name in names.items()}


def filled_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns of swept strings that vary only through the values of other swept columns.

    A sweep file fills in such values: if `sigma` is swept, the estimator "SPSA({sigma})" is one more swept setting.

    Args:
        rows: rows of `swept_rows`.
    """
    filled: list[str] = []
    for name in columns_of(rows):
        others = [other for other in columns_of(rows) if other not in (name, *filled) and _holds(rows, name, other)]
        if others and (rows.groupby(others)[name].nunique() <= 1).all():
            filled.append(name)
    return filled


def _holds(rows: pd.DataFrame, name: str, other: str) -> bool:
    """Return whether each string of a column contains the value of another column, which varies."""
    if is_numeric(rows, name) or rows[other].nunique() < 2:
        return False
    pairs = rows[[name, other]].dropna().drop_duplicates()
    return all(written(value) in text for text, value in pairs.itertuples(index=False, name=None))


def swept_rows(frame: pd.DataFrame, *, trials: bool = False) -> pd.DataFrame:
    """Return the last row of every record, each record once.

    Args:
        frame: the frame of a sweep.
        trials: whether to include the runs by which a notebook chose settings (group "trial").

    Returns:
        Rows with the frame's index. The columns `sweep.*` hold numbers, or strings if some value is not a number
        ("none" for a missing value). If a run does not depend on a swept setting, the value is NA and its record occurs
        once.
    """
    rows = results.last_rows(bare(frame))
    if "run" not in rows:
        rows = rows.assign(run=rows["method"])
    if not trials:
        rows = rows[~(column(rows, "group") == "trial").fillna(False).astype(bool)]
    swept = columns_of(rows)
    rows = rows.assign(**{name: _of_one_kind(rows[name]) for name in swept})
    parts = [_each_record_once(own, swept) for _, own in rows.groupby("run", sort=False)]
    return pd.concat(parts).sort_index() if parts else rows


def record_numbers(frame: pd.DataFrame) -> pd.Series:
    """Return the number of each row's record; the rows of a frame are the epochs of its records."""
    return frame.groupby(results.run_columns(frame), sort=False, dropna=False).ngroup()


def summaries(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Summarize a value over the seeds of each point and run.

    Args:
        rows: rows of `swept_rows`.
        value: a column of numbers.

    Returns:
        One row per point and run, in the order of the values and of the plan. The columns are `sweep.*` (NA: any
        value), run, mean, low, high (the 95 % t interval, NaN for one seed), n and diverged (runs in no mean).

    Raises:
        ValueError: a run has several records of one seed at a point; the message names the column in which they differ.
    """
    by = [*columns_of(rows), "run"]
    _refuse_mixture(rows, by)
    table = results.with_interval(results.summarize(rows, by, value))
    return _in_order(table, rows)[[*by, "mean", "low", "high", "n", "diverged"]]


def levels(rows: pd.DataFrame, name: str) -> list[Any]:
    """Return the values of a column in order: numbers by size, strings by the numbers in them, runs as in the plan."""
    values = list(rows[name].dropna().unique())
    if name == "run":
        order = column(rows, "order", 0).groupby(rows["run"], sort=False).min()
        return sorted(values, key=lambda run: order[run])
    return sorted(values, key=_natural)


def is_numeric(rows: pd.DataFrame, name: str) -> bool:
    """Return whether a swept column holds numbers and can be an axis."""
    return name != "run" and pd.api.types.is_numeric_dtype(rows[name])


def written(value: Any) -> str:
    """Return a swept value as text for a label.

    Example:
        >>> written(0.1), written(2048.0), written("SGD(0.1)")
        ('0.1', '2048', 'SGD(0.1)')
    """
    return value if isinstance(value, str) else f"{value:.12g}"


def _of_one_kind(values: pd.Series) -> pd.Series:
    """Return numbers as floats and all other values as strings."""
    numbers = pd.api.types.is_numeric_dtype(values) or all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
    if numbers and not pd.api.types.is_bool_dtype(values) and values.notna().all():
        return values.astype(float)
    return pd.Series([_as_text(value) for value in values], values.index, dtype="str")


def _as_text(value: Any) -> str:
    if pd.isna(value):
        return _NONE
    return str(value) if isinstance(value, bool | np.bool_) else written(value)


def _each_record_once(rows: pd.DataFrame, swept: Sequence[str]) -> pd.DataFrame:
    """Keep each record of one run once, with NA in the swept columns on which the run does not depend."""
    independent = _independent(rows, swept)
    if not independent:
        return rows
    return rows.assign(**{name: rows[name].mask([True] * len(rows)) for name in independent}).drop_duplicates(
        [*swept, "seed"]
    )


def _independent(rows: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Return the swept columns on which a run does not depend: the other columns and the seed identify its records.

    This requires records that occur at several points. If every point has its own records, as in a random search, some
    columns identify them too, although the run depends on all columns.
    """
    digests = column(rows, "digest")
    if digests.isna().any() or (digests == "").any() or digests.nunique() == len(rows):
        return []
    for size in range(len(swept)):
        for kept in combinations(swept, size):
            groups = rows.groupby([*kept, "seed"], sort=False)
            if groups.ngroups == digests.nunique() and (groups["digest"].nunique() == 1).all():
                return [name for name in swept if (groups[name].nunique() > 1).any()]
    return []


def _refuse_mixture(rows: pd.DataFrame, by: Sequence[str]) -> None:
    twice = rows[rows.duplicated([*by, "seed"], keep=False)]
    if twice.empty:
        return
    first = twice[twice.groupby([*by, "seed"], dropna=False, sort=False).ngroup() == 0]
    names = [name for name in results.run_columns(rows) if first[name].nunique(dropna=False) > 1]
    values = {name.removeprefix(PREFIX): first[name].iloc[0] for name in by}
    point = ", ".join(f"{name} = {ANY if pd.isna(value) else written(value)}" for name, value in values.items())
    raise ValueError(
        f"the sweep holds several runs of seed {first['seed'].iloc[0]} at {point}, which differ in "
        f"{', '.join(names) or 'nothing but their file'}; read their folders by themselves"
    )


def _in_order(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    ranks = {
        name: table[name].map({value: rank for rank, value in enumerate(levels(rows, name))})
        for name in [*columns_of(rows), "run"]
    }
    order = pd.DataFrame(ranks).sort_values(list(ranks), na_position="first", kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _natural(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = _NUMBER.split(value)
    return [float(part) if number % 2 else part for number, part in enumerate(parts)]
