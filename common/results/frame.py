"""One run -> one tidy frame with its provenance, written atomically; many files -> one frame again.

A result file is parquet: its rows are the epochs of one or several runs; its schema metadata hold the
provenance (key ``provenance``) and the notebook's measurements (key ``measurements``) as JSON. Figures and
tables are drawn from such files alone. A run that diverged keeps its curve and its status; it is counted
wherever runs are summarized, and never averaged in.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from common.atomic import replacing
from common.checks import nearest
from common.results.provenance import provenance

__all__ = [
    "combine",
    "last_rows",
    "parameter_columns",
    "provenance",
    "read",
    "run_columns",
    "run_frame",
    "summarize",
    "write",
]

STATUSES = ("finished", "diverged", "stopped")
METRICS = ("accuracy", "mean_squared_error")

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
_FIXED = (*_LEADING, *_COUNTERS, *_MEASURES, *_TRAILING)


def run_frame(
    epochs: Sequence[Mapping[str, Any]],
    *,
    experiment: str,
    method: str,
    seed: int,
    status: str,
    metric: str,
    diverged_step: int | None = None,
    **parameters: Any,
) -> pd.DataFrame:
    """Make the tidy frame of one run: one row per epoch, fixed column order.

    Args:
        epochs: `History.epochs`, one record per epoch. A measure that a record lacks becomes NaN; other keys
            (e.g. noise_scale) become columns at the end. An empty list (diverged in the first epoch) gives
            one row with epoch 0, so that the run is not lost.
        experiment: the notebook's stem, e.g. "01_baseline_sgd".
        method: label of the method, e.g. "backpropagation".
        seed: the run's seed.
        status: "finished", "diverged" or "stopped".
        metric: what the columns *_metric hold, "accuracy" (in [0, 1]) or "mean_squared_error".
        diverged_step: the step where a loss or gradient was not finite; None otherwise.
        **parameters: one column each, between `seed` and `epoch`; scalars, or lists, stored as JSON.

    Returns:
        Columns experiment, method, seed, <parameters>, epoch, step, seconds, cost, train_loss, train_metric,
        validation_loss, validation_metric, test_loss, test_metric, status, diverged_step (Int64), metric,
        <extras>.

    Raises:
        ValueError: for an unknown status or metric, or a parameter named like a fixed column.
    """
    _check_choice("status", status, STATUSES)
    _check_choice("metric", metric, METRICS)
    if taken := [name for name in parameters if name in _FIXED]:
        raise ValueError(f"parameter {taken[0]!r} has the name of a fixed result column; give it another name")
    records = [dict(record) for record in epochs] or [{"epoch": 0, "step": diverged_step or 0}]
    extras = list(dict.fromkeys(key for record in records for key in record if key not in _FIXED))
    columns: dict[str, Any] = {"experiment": experiment, "method": method, "seed": int(seed)}
    columns |= {name: _scalar(value) for name, value in parameters.items()}
    columns |= {name: [int(record[name]) for record in records] for name in _COUNTERS}
    columns |= {name: _floats(records, name) for name in _MEASURES}
    columns |= {"status": status, "diverged_step": pd.NA, "metric": metric}
    # A callback may log what is also a parameter, e.g. a scheduled learning_rate; both are kept.
    columns |= {f"logged_{name}" if name in parameters else name: _floats(records, name) for name in extras}
    frame = pd.DataFrame(columns, index=range(len(records)))
    step = None if diverged_step is None else int(diverged_step)
    return frame.assign(diverged_step=pd.array([step] * len(frame), dtype="Int64"))


def write(
    frame: pd.DataFrame,
    path: str | os.PathLike,
    provenance: Mapping[str, Any],
    measurements: Mapping[str, Any] | None = None,
) -> None:
    """Write a result file: the whole file appears at once, or the old one stays.

    Args:
        frame: rows of `run_frame`, of one or several runs.
        path: the file, usually results/{preset}/{experiment}/{name}.parquet; its folder is made if needed.
        provenance: what `provenance` returned.
        measurements: small JSON-able dict of numbers that belong to no epoch, e.g. timings.

    Raises:
        ValueError: when a fixed column is missing.
    """
    if lacking := [name for name in _FIXED if name not in frame.columns]:
        raise ValueError(f"the frame for {os.fspath(path)} lacks the column {lacking[0]!r}; build it with run_frame")
    table = pa.Table.from_pandas(_bare(frame), preserve_index=False)
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    notes = {b"provenance": _json({**provenance, "ended": ended}), b"measurements": _json(measurements or {})}
    table = table.replace_schema_metadata({**table.schema.metadata, **notes})
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def read(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    expected: Iterable[str | os.PathLike] | None = None,
) -> pd.DataFrame:
    """Read result files back as one frame; what is missing or unreadable is named, not passed over.

    Args:
        paths: a result file, a folder (searched with its subfolders), or several of them.
        expected: files that should be there; those that are not are listed in attrs["missing"].

    Returns:
        All rows; parameters that a file does not know are NA in its rows. In `attrs`: "files" (those read),
        "missing" (list), "unreadable" (file -> reason), "provenance" and "measurements" (one dict per file).

    Raises:
        FileNotFoundError: when not a single file can be read.
        ValueError: when two files hold the same run (experiment, method, parameters and seed).
    """
    roots = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files = sorted({file for root in roots for file in _result_files(Path(root))})
    wanted = dict.fromkeys([*files, *map(Path, expected or ())])
    missing = [str(path) for path in wanted if not path.is_file()]
    loaded, unreadable = _load_all([path for path in files if path.is_file()])
    if not loaded:
        raise FileNotFoundError(_nothing_read(roots, missing, unreadable))
    frames = {path: frame for path, (frame, _, _) in loaded.items()}
    _refuse_duplicates(frames)
    frame = combine(frames.values())
    frame.attrs = {
        "files": list(frames),
        "missing": missing,
        "unreadable": unreadable,
        "provenance": [origin for _, origin, _ in loaded.values()],
        "measurements": [measured for _, _, measured in loaded.values()],
    }
    return frame


def combine(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put runs with different parameters or extra columns into one frame, in the fixed column order.

    Args:
        frames: frames of `run_frame` or `read`.

    Returns:
        All rows; a column that a run does not have is NA there, and integers and booleans stay such.
    """
    frames = list(frames)
    parameters = list(dict.fromkeys(name for frame in frames for name in parameter_columns(frame)))
    known = {*parameters, *_FIXED}
    extras = list(dict.fromkeys(name for frame in frames for name in frame if name not in known))
    order = [*_LEADING, *parameters, *_COUNTERS, *_MEASURES, *_TRAILING, *extras]
    partial = {name for name in order if any(name not in frame for frame in frames)}
    ready = [frame.astype(_nullable(frame, partial)) for frame in map(_bare, frames)]
    # Copied: it then holds a block for each kind and not for each column, of which pandas warns from a hundred on.
    return pd.concat(ready, ignore_index=True).reindex(columns=order).copy()


def parameter_columns(frame: pd.DataFrame) -> list[str]:
    """Name the parameter columns of a tidy frame: those between `seed` and `epoch`."""
    names = list(frame.columns)
    return names[names.index("seed") + 1 : names.index("epoch")]


def run_columns(frame: pd.DataFrame) -> list[str]:
    """Name the columns that tell one run from another: experiment, method, seed and the parameters."""
    return [*_LEADING, *parameter_columns(frame)]


def last_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each run's last row, where the test metric stands."""
    ordered = _bare(frame).sort_values("epoch", kind="stable")
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
        ValueError: for a column that the frame does not have, with the nearest one.
    """
    for name in (*by, value):
        _check_choice("column", name, list(frame.columns))
    rows = last_rows(frame)
    failed = rows["status"] == "diverged"
    rows = rows.assign(_value=rows[value].astype(float).mask(failed), _failed=failed)
    groups = rows.groupby(list(by), dropna=False, sort=True)
    return groups.agg(
        mean=("_value", "mean"), std=("_value", "std"), n=("_value", "count"), diverged=("_failed", "sum")
    ).reset_index()


def _check_choice(role: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{role} {value!r} is unknown; there is {', '.join(allowed)}{nearest(value, allowed)}")


def _scalar(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value)
    if isinstance(value, PurePath):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def _floats(records: list[dict[str, Any]], name: str) -> list[float]:
    return [float("nan") if record.get(name) is None else float(record[name]) for record in records]


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, default=_scalar, sort_keys=True).encode()


def _result_files(root: Path) -> list[Path]:
    if not root.is_dir():
        return [root]
    found = ((path, path.relative_to(root)) for path in root.rglob("*.parquet"))
    return [path for path, inner in found if not any(part.startswith(".") for part in inner.parts)]


def _load(path: Path) -> tuple[pd.DataFrame, dict, dict]:
    with pq.ParquetFile(path) as file:
        table = file.read()
    notes = table.schema.metadata or {}
    if b"provenance" not in notes:
        raise ValueError("it holds no provenance, so it is no result file")
    if lacking := [name for name in _FIXED if name not in table.column_names]:
        raise ValueError(f"it lacks the column {lacking[0]!r}")
    measurements = json.loads(notes.get(b"measurements", b"{}"))
    return table.to_pandas(), json.loads(notes[b"provenance"]), measurements


def _load_all(paths: Iterable[Path]) -> tuple[dict[str, tuple[pd.DataFrame, dict, dict]], dict[str, str]]:
    loaded, unreadable = {}, {}
    for path in paths:
        try:
            loaded[str(path)] = _load(path)
        except (OSError, ValueError, pa.ArrowException) as error:
            unreadable[str(path)] = " ".join(str(error).split())
    return loaded, unreadable


def _nothing_read(roots: Iterable[Any], missing: list[str], unreadable: dict[str, str]) -> str:
    places = ", ".join(str(root) for root in roots) or "an empty list of paths"
    reasons = [f"{path} is missing" for path in missing]
    reasons += [f"{path} is unreadable: {reason}" for path, reason in unreadable.items()]
    return f"no result file could be read from {places}" + (f" ({'; '.join(reasons)})" if reasons else "")


def _refuse_duplicates(frames: Mapping[str, pd.DataFrame]) -> None:
    runs = combine(_one_row_per_run(frame).assign(_file=path) for path, frame in frames.items())
    columns = run_columns(runs)
    twice = runs[runs.duplicated(columns, keep=False)]
    if twice.empty:
        return
    first = twice.iloc[0]
    same = twice[(twice[columns].astype(str) == first[columns].astype(str)).all(axis=1)]
    run = ", ".join(f"{name}={first[name]}" for name in columns)
    raise ValueError(f"the same run ({run}) is stored twice, in {' and in '.join(same['_file'])}; remove one")


def _one_row_per_run(frame: pd.DataFrame) -> pd.DataFrame:
    columns = run_columns(frame)
    again = frame.duplicated([*columns, "epoch"])  # the same run twice in one file keeps two rows
    return frame.loc[~frame.duplicated(columns) | again, [*columns, "epoch"]]


def _bare(frame: pd.DataFrame) -> pd.DataFrame:
    # The attributes tell which files a frame was read from: they belong to no other frame or file.
    bare = frame.copy(deep=False)
    bare.attrs = {}
    return bare


def _nullable(frame: pd.DataFrame, names: set[str]) -> dict[str, str]:
    kinds = {"i": "Int64", "b": "boolean"}
    present = [name for name in frame.columns if name in names]
    return {name: kinds[frame[name].dtype.kind] for name in present if frame[name].dtype.kind in kinds}
