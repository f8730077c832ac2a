"""Result files in the parquet format: rows of one or several runs, with notes in the schema's metadata.

The notes are JSON: the provenance of the process that wrote the file (key ``provenance``) and the notebook's
measurements (key ``measurements``). In a file of a sweep, they include the swept parameters (key ``sweep``), which
`load` returns as a part of the provenance. The file appears completely or not at all, and its pages carry checksums.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from common.atomic import replacing
from common.results.arrays import to_frame, to_table
from common.results.frame import FIXED, bare, now, plain, with_provenance
from common.results.provenance import device_and_threads


@dataclass(frozen=True)
class ResultFile:
    """The content of a result file.

    Attributes:
        frame: the rows, provenance columns included.
        provenance: one dict for each set of runs that share it; see `read`.
        measurements: one dict for each notebook or record with measurements.
        notes: all of the schema's metadata.
    """

    frame: pd.DataFrame
    provenance: list[dict[str, Any]]
    measurements: list[dict[str, Any]]
    notes: dict[bytes, bytes]


def write(
    frame: pd.DataFrame,
    path: str | os.PathLike,
    provenance: Mapping[str, Any],
    measurements: Mapping[str, Any] | None = None,
) -> None:
    """Write a result file; the whole file appears at once, or the old one stays.

    Args:
        frame: rows of `run_frame`, for one or several runs.
        path: the file, usually results/{preset}/{experiment}/{name}.parquet; its folder is created if needed.
        provenance: the result of `provenance`.
        measurements: a small JSON-able dict of numbers that belong to no epoch, e.g. timings.

    Raises:
        ValueError: a fixed column is missing.
    """
    write_table(frame, path, {"provenance": {**provenance, "ended": now()}, "measurements": measurements or {}})


def write_table(frame: pd.DataFrame, path: str | os.PathLike, notes: Mapping[str, Any]) -> None:
    """Write rows and notes, completely or not at all; the notes must contain `provenance`, which marks result files."""
    if lacking := [name for name in FIXED if name not in frame.columns]:
        raise ValueError(f"the frame for {os.fspath(path)} lacks the column {lacking[0]!r}; build it with run_frame")
    table = to_table(bare(frame))
    encoded = {key.encode(): json.dumps(value, default=plain, sort_keys=True).encode() for key, value in notes.items()}
    table = table.replace_schema_metadata({**table.schema.metadata, **encoded})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def load(path: Path) -> ResultFile:
    """Read one result file.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: the file cannot be read, or is not a result file.
    """
    table = read_table(path)
    return result_file(to_frame(table), table.schema.metadata)


def read_table(path: Path) -> pa.Table:
    """Read a result file's columns and notes, which `result_file` makes out; raises as `load`."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read()
    if b"provenance" not in (table.schema.metadata or {}):
        raise ValueError("it holds no provenance, so it is no result file")
    if lacking := [name for name in FIXED if name not in table.column_names]:
        raise ValueError(f"it lacks the column {lacking[0]!r}")
    return table


def result_file(frame: pd.DataFrame, notes: dict[bytes, bytes]) -> ResultFile:
    """Make out where the rows come from, which the notes and the frame's own columns say."""
    origin = json.loads(notes[b"provenance"])
    if b"sweep" in notes:
        origin["sweep"] = json.loads(notes[b"sweep"])
    measurements = json.loads(notes.get(b"measurements", b"{}"))
    listed = measurements if isinstance(measurements, list) else [measurements]
    if "digest" in frame:
        return ResultFile(frame, _provenance_of_runs(frame, origin), listed, notes)
    return ResultFile(with_provenance(frame, _columns_of(origin)), [origin], listed, notes)


def _columns_of(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return provenance columns for old files, which only have the provenance of the process that wrote them."""
    device, threads = device_and_threads(origin.get("device"))
    known = {name: origin.get(name) for name in ("commit", "dirty", "versions", "data_checksum", "ended")}
    return known | {"device": device, "threads": threads, "begun": origin.get("started")}


def _provenance_of_runs(frame: pd.DataFrame, origin: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the provenance as `provenance` does, once for all runs that differ only in their times."""
    shared = ["commit", "dirty", "versions", "data_checksum", "device", "threads", "resumed"]
    # By hand: pandas' groups take longer than to read the file, and a sweep has thousands of files.
    columns = [_values(frame, name) for name in (*shared, "begun", "ended")]
    times: dict[tuple, list[tuple[str | None, str | None]]] = {}
    for *values, begun, ended in zip(*columns, strict=True):
        times.setdefault(tuple(values), []).append((begun, ended))
    rows = []
    for known, pairs in times.items():
        begun, ended = (list(filter(None, moments)) for moments in zip(*pairs, strict=True))
        row = dict(zip(shared, known, strict=True))
        rows.append(row | {"started": min(begun, default=None), "ended": max(ended, default=None)})
    return [{**origin, **_as_json(row)} for row in rows]


def _values(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return a column's values, with None for missing ones; all are None if there is no such column."""
    values = frame[name].tolist() if name in frame else [None] * len(frame)
    return [None if value is pd.NA or value != value else value for value in values]  # noqa: PLR0124 - NaN


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: None if pd.isna(value) else plain(value) for name, value in row.items()}
    unpacked = {name: json.loads(known[name] or empty) for name, empty in (("versions", "{}"), ("resumed", "[]"))}
    if known["data_checksum"] is None:
        del known["data_checksum"]  # the file's own stands
    return known | unpacked


def reasons(error: BaseException) -> str:
    """Return an error's message in one line."""
    return " ".join(str(error).split()) or type(error).__name__


UNREADABLE: tuple[type[Exception], ...] = (OSError, ValueError, pa.ArrowException)
