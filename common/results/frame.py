"""Tidy frames: one run becomes one frame, with a row per epoch and columns in fixed order; many runs combine.

The columns are experiment, method and seed; the run's parameters; epoch, step and measures; the run's status; its
diagnostics, which may be arrays; and its provenance. Each run keeps its own status. Summaries count diverged runs, but
never average them.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from common.checks import nearest
from common.results.arrays import array_columns, cells

STATUSES = ("finished", "diverged", "stopped")
METRICS = ("accuracy", "mean_squared_error")
# One value for each run, said in `provenance.py`; they tell no run from another.
PROVENANCE = (
    "commit",
    "dirty",
    "versions",
    "data_checksum",
    "device",
    "threads",
    "begun",
    "ended",
    "energy_joules",
    "peak_memory",
    "resumed",
    "digest",
    "identity",
    "note",
)

_LEADING = ("experiment", "method", "seed")
_COUNTERS = ("epoch", "step")
_MEASURES = (
    "seconds",
    "cost",
    "train_loss",
    "train_metric",
    "validation_loss",
    "validation_metric",
    "test_loss",
    "test_metric",
)
_TRAILING = ("status", "diverged_step", "metric")
FIXED = (*_LEADING, *_COUNTERS, *_MEASURES, *_TRAILING)
# What Keras' own callbacks log, such as ReduceLROnPlateau, is no second meaning: both are kept.
_LOGGED = ("learning_rate",)


def run_frame(
    epochs: Sequence[Mapping[str, Any]],
    *,
    experiment: str,
    method: str,
    seed: int,
    status: str,
    metric: str,
    diverged_step: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> pd.DataFrame:
    """Return the tidy frame of one run: one row per epoch, with a fixed column order.

    Args:
        epochs: `History.epochs`, one record per epoch. A measure that a record lacks becomes NaN. Other keys (e.g.
            noise_scale) become columns after `metric`: numbers, or arrays of any shape as float64. An empty list
            (diverged in the first epoch) gives one row with epoch 0, so that the run is not lost.
        experiment: the notebook's stem, e.g. "01_baseline_sgd".
        method: label of the method, e.g. "Backpropagation".
        seed: the run's seed.
        status: "finished", "diverged" or "stopped".
        metric: the meaning of the columns *_metric: "accuracy" (in [0, 1]) or "mean_squared_error".
        diverged_step: the step with a non-finite loss or gradient; None otherwise.
        provenance: the result of `run_provenance` or `Store.begin`; None: no such columns.
        **parameters: one column each, between `seed` and `epoch`; scalars, or lists, stored as JSON.

    Returns:
        Columns experiment, method, seed, <parameters>, epoch, step, seconds, cost, train_loss, train_metric,
        validation_loss, validation_metric, test_loss, test_metric, status, diverged_step (Int64), metric,
        <diagnostics>, <provenance>.

    Raises:
        ValueError: status or metric is unknown, or a parameter has the name of a fixed column, a column of the
            provenance or a diagnostic.

    Example:
        >>> frame = run_frame(
        ...     [{"epoch": 1, "step": 4, "test_metric": None}, {"epoch": 2, "step": 8, "test_metric": 0.95}],
        ...     experiment="00_one", method="SGD", seed=0, status="finished", metric="accuracy", run="plain", sigma=0.1,
        ... )
        >>> frame[["run", "sigma", "epoch", "test_metric"]].values.tolist()
        [['plain', 0.1, 1, nan], ['plain', 0.1, 2, 0.95]]
        >>> parameter_columns(frame), run_columns(frame)
        (['run', 'sigma'], ['experiment', 'method', 'seed', 'run', 'sigma'])
    """
    check_choice("status", status, STATUSES)
    check_choice("metric", metric, METRICS)
    records = [dict(record) for record in epochs] or [{"epoch": 0, "step": diverged_step or 0}]
    diagnostics = list(dict.fromkeys(key for record in records for key in record if key not in FIXED))
    _refuse_taken_names(parameters, diagnostics)
    columns: dict[str, Any] = {"experiment": experiment, "method": method, "seed": int(seed)}
    columns |= {name: plain(value) for name, value in parameters.items()}
    columns |= {name: [int(record[name]) for record in records] for name in _COUNTERS}
    columns |= {name: _floats(records, name) for name in _MEASURES}
    columns |= {"status": status, "diverged_step": pd.NA, "metric": metric}
    columns |= {f"logged_{name}" if name in parameters else name: _values(records, name) for name in diagnostics}
    frame = pd.DataFrame(columns, index=range(len(records)))
    step = None if diverged_step is None else int(diverged_step)
    frame = frame.assign(diverged_step=pd.array([step] * len(frame), dtype="Int64"))
    return frame if provenance is None else with_provenance(frame, provenance)


def with_provenance(frame: pd.DataFrame, provenance: Mapping[str, Any]) -> pd.DataFrame:
    """Append the columns of the provenance to a run's frame.

    Args:
        frame: the frame of one run.
        provenance: values by the names in `PROVENANCE`; missing values are NA, except that `ended` is now.

    Raises:
        ValueError: a name is not a column of the provenance.
    """
    check_provenance(provenance)
    values = {"ended": now(), **provenance}
    kinds = {"dirty": "boolean", "threads": "Int64", "energy_joules": "Float64", "peak_memory": "Int64"}
    columns = {}
    for name in PROVENANCE:
        value = values.get(name)
        value = plain(value) if kinds.get(name) or value is None else str(plain(value))
        columns[name] = pd.array([value] * len(frame), dtype=kinds.get(name, "str"))
    bare = frame.drop(columns=[name for name in PROVENANCE if name in frame])
    return pd.concat([bare, pd.DataFrame(columns, index=frame.index)], axis=1)


def check_provenance(provenance: Mapping[str, Any]) -> None:
    """Raise a ValueError for a name that is not a column of the provenance; the message gives the nearest."""
    for name in provenance:
        check_choice("provenance", name, PROVENANCE)


def combine(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Combine runs with different parameters or diagnostics into one frame, in the fixed column order.

    Args:
        frames: frames of `run_frame` or `read`; one without columns is left out, such as that of no trials.

    Returns:
        All rows, or a frame without columns if no other is given. A column that a run does not have is NA there, or
        None if it holds arrays. Integers and booleans keep their types; a column with strings and numbers becomes
        strings.

    Raises:
        ValueError: a name is a parameter in one frame and a diagnostic in another.
    """
    frames = [bare(frame) for frame in frames if len(frame.columns)]
    if not frames:
        return pd.DataFrame()
    refuse_two_meanings([(_experiments(frame), frame) for frame in frames])
    parameters = list(dict.fromkeys(name for frame in frames for name in parameter_columns(frame)))
    known = {*parameters, *FIXED, *PROVENANCE}
    extras = list(dict.fromkeys(name for frame in frames for name in frame if name not in known))
    origin = [name for name in PROVENANCE if any(name in frame for frame in frames)]
    order = [*_LEADING, *parameters, *_COUNTERS, *_MEASURES, *_TRAILING, *extras, *origin]
    frames = _without_empty_columns(_joined_where_alike(frames))
    partial = {name for name in order if any(name not in frame for frame in frames)}
    ready = [frame.astype(_nullable(frame, partial)) for frame in frames]
    # Copied: it then holds a block for each kind and not for each column, of which pandas warns from a hundred on.
    whole = pd.concat(ready, ignore_index=True).reindex(columns=order).copy()
    objects = [name for name in whole if whole[name].dtype == object]
    return whole.assign(**{name: _of_one_kind(whole[name]) for name in objects})


def parameter_columns(frame: pd.DataFrame) -> list[str]:
    """Return the parameter columns of a tidy frame: those between `seed` and `epoch`."""
    names = list(frame.columns)
    return names[names.index("seed") + 1 : names.index("epoch")]


def diagnostic_columns(frame: pd.DataFrame) -> list[str]:
    """Return the diagnostic columns of a tidy frame: those that are not fixed, parameter or provenance columns."""
    known = {*parameter_columns(frame), *FIXED, *PROVENANCE}
    return [name for name in frame.columns if name not in known]


def run_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that distinguish runs: experiment, method, seed and the parameters."""
    return [*_LEADING, *parameter_columns(frame)]


def refuse_two_meanings(frames: Sequence[tuple[str, pd.DataFrame]]) -> None:
    """Raise a ValueError for a name that is a parameter in one frame and a diagnostic in another.

    Args:
        frames: each frame with its name for the message.
    """
    parameters = {name: place for place, frame in reversed(frames) for name in parameter_columns(frame)}
    for place, frame in frames:
        for name in diagnostic_columns(frame):
            if name in parameters:
                raise ValueError(
                    f"the column {name!r} has two meanings, a parameter in {parameters[name]} and a diagnostic in "
                    f"{place}; give one of them another name"
                )


def bare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without its attributes: they name the files that it was read from, and fit no other frame."""
    # A copy would first copy them, which takes a second where they tell of thousands of files.
    return pd.DataFrame(frame)


def plain(value: Any) -> Any:
    """Return a parameter as a cell's value: a scalar; JSON for lists, arrays and dictionaries; a string for a path.

    Example:
        >>> plain([32, 64]), plain(np.float32(0.5)), plain(PurePath("data"))
        ('[32, 64]', 0.5, 'data')
    """
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=plain)
    if isinstance(value, PurePath):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def now() -> str:
    """Return the current time as ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def check_choice(role: str, value: str, allowed: Sequence[str]) -> None:
    """Raise a ValueError that lists the allowed values and the nearest one, unless the value is allowed."""
    if value not in allowed:
        raise ValueError(f"{role} {value!r} is unknown; there is {', '.join(allowed)}{nearest(value, allowed)}")


def _refuse_taken_names(parameters: Iterable[str], diagnostics: Iterable[str]) -> None:
    for role, names in (("parameter", parameters), ("diagnostic", diagnostics)):
        for name in names:
            if name in FIXED or name in PROVENANCE:
                raise ValueError(f"{role} {name!r} has the name of a fixed result column; give it another name")
    for name in diagnostics:
        if name in parameters and name not in _LOGGED:
            raise ValueError(f"parameter {name!r} has the name of a diagnostic of the run; give it another name")


def _floats(records: list[dict[str, Any]], name: str) -> list[float]:
    return [float("nan") if record.get(name) is None else float(record[name]) for record in records]


def _values(records: list[dict[str, Any]], name: str) -> list[float] | pd.Series:
    values = [record.get(name) for record in records]
    return cells(values) if any(np.ndim(value) for value in values if value is not None) else _floats(records, name)


def _experiments(frame: pd.DataFrame) -> str:
    return " and ".join(map(str, frame["experiment"].unique())) or "an empty frame"


def _joined_where_alike(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Join neighbours with the same columns and types in one step; a sweep has thousands of them."""
    alike = itertools.groupby(frames, key=lambda frame: (*frame.columns, *map(str, frame.dtypes)))
    groups = [list(group) for _, group in alike]
    return [group[0] if len(group) == 1 else pd.concat(group, ignore_index=True) for group in groups]


def _without_empty_columns(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Drop columns that are None in all of a run's rows, since they have no type."""
    empty = [{name for name in frame if frame[name].dtype == object and frame[name].isna().all()} for frame in frames]
    known = {name for frame, lacks in zip(frames, empty, strict=True) for name in frame if name not in lacks}
    return [frame.drop(columns=list(lacks & known)) for frame, lacks in zip(frames, empty, strict=True)]


def _nullable(frame: pd.DataFrame, names: set[str]) -> dict[str, str]:
    kinds = {"i": "Int64", "b": "boolean"}
    present = [name for name in frame.columns if name in names]
    return {name: kinds[frame[name].dtype.kind] for name in present if frame[name].dtype.kind in kinds}


def _of_one_kind(column: pd.Series) -> pd.Series:
    """Replace missing values by None, and numbers by strings if the column also has strings."""
    values = [None if _is_missing(value) else value for value in column]
    if array_columns(column.to_frame()):
        return cells(values)
    present = [value for value in values if value is not None]
    if any(all(map(is_kind, present)) for is_kind in (_is_truth, _is_number)):
        return pd.Series(values, dtype=object)
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


def _is_missing(value: Any) -> bool:
    return not isinstance(value, np.ndarray) and pd.isna(value)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
