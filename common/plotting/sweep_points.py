"""The points of a sweep: what was swept, each record once, and what the seeds of a point give together.

A sweep runs one notebook at many points. Its frame, that of `results.read("results/sweeps/{name}")`, has a parameter
column `sweep.{name}` for each thing swept; everything here finds the points by them. A run that is the same at every
point, such as the baseline beside the swept method, is the same record with the same digest there, and counts once.
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
ANY = "any"  # stands for the value of a swept setting that a run does not depend on
_NONE = "none"
_NUMBER = re.compile(r"(\d+\.?\d*(?:e[-+]?\d+)?)")


def sweep_names(frame: pd.DataFrame) -> list[str]:
    """Name what was swept, in the order of the frame's columns.

    Example:
        >>> sweep_names(pd.DataFrame(columns=["seed", "sweep.sigma", "sweep.optimizer", "epoch"]))
        ['sigma', 'optimizer']
    """
    return [name.removeprefix(PREFIX) for name in frame.columns if str(name).startswith(PREFIX)]


def columns_of(frame: pd.DataFrame) -> list[str]:
    """Name the columns of what was swept."""
    return [PREFIX + name for name in sweep_names(frame)]


def headers(frame: pd.DataFrame, others: Iterable[str]) -> dict[str, str]:
    """Return what heads each swept column in a table with other columns: its name, unless that is one of theirs.

    Example:
        >>> headers(pd.DataFrame(columns=["sweep.sigma", "sweep.n"]), ["run", "n"])
        {'sweep.sigma': 'sigma', 'sweep.n': 'sweep.n'}
    """
    taken, names = set(others), {PREFIX + name: name for name in sweep_names(frame)}
    return {full: full if name in taken else name for full, name in names.items()}


def filled_columns(rows: pd.DataFrame) -> list[str]:
    """Name the columns of swept texts that hold the values of other swept columns and nothing else that varies.

    A sweep file fills such values in: with `sigma` swept, the estimator "SPSA({sigma})" is one more thing swept.

    Args:
        rows: of `swept_rows`.
    """
    filled: list[str] = []
    for name in columns_of(rows):
        others = [other for other in columns_of(rows) if other not in (name, *filled) and _holds(rows, name, other)]
        if others and (rows.groupby(others)[name].nunique() <= 1).all():
            filled.append(name)
    return filled


def _holds(rows: pd.DataFrame, name: str, other: str) -> bool:
    """Whether each text of a column holds the value of another column, which varies."""
    if is_numeric(rows, name) or rows[other].nunique() < 2:
        return False
    pairs = rows[[name, other]].dropna().drop_duplicates()
    return all(written(value) in text for text, value in pairs.itertuples(index=False, name=None))


def swept_rows(frame: pd.DataFrame, *, trials: bool = False) -> pd.DataFrame:
    """Return the last row of every record, each record once.

    Args:
        frame: of a sweep.
        trials: with the runs by which a notebook chose settings (group "trial").

    Returns:
        Rows with the frame's index. The columns `sweep.*` hold numbers, or texts where some value is no number ("none"
        for a value that is missing); where a run does not depend on what is swept, NA, and its record is there once.
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
    """Number the records of a frame, whose rows are their epochs."""
    return frame.groupby(results.run_columns(frame), sort=False, dropna=False).ngroup()


def summaries(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Summarize a value over the seeds of each point and run.

    Args:
        rows: of `swept_rows`.
        value: a column of numbers.

    Returns:
        A row for each point and run, in the order of the values and of the plan: the columns `sweep.*` (NA: at any
        value), run, mean, low, high (the 95 % t interval, NaN for one seed), n, diverged (in no mean).

    Raises:
        ValueError: when a run has several records of one seed at a point, with the column they differ in.
    """
    by = [*columns_of(rows), "run"]
    _refuse_mixture(rows, by)
    table = results.with_interval(results.summarize(rows, by, value))
    return _in_order(table, rows)[[*by, "mean", "low", "high", "n", "diverged"]]


def levels(rows: pd.DataFrame, name: str) -> list[Any]:
    """Return the values of a column in order: numbers by size, texts by the numbers in them, runs as in the plan."""
    values = list(rows[name].dropna().unique())
    if name == "run":
        order = column(rows, "order", 0).groupby(rows["run"], sort=False).min()
        return sorted(values, key=lambda run: order[run])
    return sorted(values, key=_natural)


def is_numeric(rows: pd.DataFrame, name: str) -> bool:
    """Whether a swept column holds numbers, so that it can be an axis."""
    return name != "run" and pd.api.types.is_numeric_dtype(rows[name])


def written(value: Any) -> str:
    """Write a swept value for a label.

    Example:
        >>> written(0.1), written(2048.0), written("SGD(0.1)")
        ('0.1', '2048', 'SGD(0.1)')
    """
    return value if isinstance(value, str) else f"{value:.12g}"


def _of_one_kind(values: pd.Series) -> pd.Series:
    """Return numbers as floats, all else as texts."""
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
    """Keep one run's records once each, with NA in the swept columns on which the run does not depend."""
    independent = _independent(rows, swept)
    if not independent:
        return rows
    return rows.assign(**{name: rows[name].mask([True] * len(rows)) for name in independent}).drop_duplicates(
        [*swept, "seed"]
    )


def _independent(rows: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Name the swept columns on which a run does not depend: the others, and the seed, tell its records apart.

    That needs records which are at several points. Where every point has records of its own, as those of a random
    search have, some columns tell them apart too, and the run depends on all the same.
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
