"""Cells that hold arrays of any shape, such as images, spectra or confusion matrices; files have nested lists.

A column holds float64 or strings; strings may be the names that belong to another column's numbers.

The file's schema metadata hold the shapes (key ``shapes``), because nested lists do not give the shape of an empty
array.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

_SHAPES = b"shapes"


def cells(values: Iterable[Any]) -> pd.Series:
    """Return a column of arrays, as float64 or as strings; None stays None."""
    values = [None if value is None else np.asarray(value) for value in values]
    values = [None if value is None else value if _is_text(value) else value.astype(np.float64) for value in values]
    column = np.empty(len(values), object)  # filled one by one: numpy would stack arrays of one shape
    for row, value in enumerate(values):
        column[row] = value
    return pd.Series(column, dtype=object)


def array_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that hold an array in some row."""
    objects = (name for name in frame.columns if frame[name].dtype == object)
    return [name for name in objects if any(isinstance(value, np.ndarray) for value in frame[name])]


def to_table(frame: pd.DataFrame) -> pa.Table:
    """Convert a frame to a table, and arrays to nested lists."""
    names = array_columns(frame)
    table = pa.Table.from_pandas(frame.drop(columns=names), preserve_index=False)
    shapes = {}
    for name in names:
        arrays = list(frame[name])
        table = table.add_column(list(frame.columns).index(name), name, _nested(arrays))
        shapes[name] = [array.shape for array in arrays if array is not None]
        if len(set(shapes[name])) == 1:
            shapes[name] = shapes[name][:1]
    return table.replace_schema_metadata({**table.schema.metadata, _SHAPES: json.dumps(shapes).encode()})


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert a table of `to_table` back to the frame, with the original arrays and shapes."""
    shapes = json.loads((table.schema.metadata or {}).get(_SHAPES, b"{}"))
    frame = table.drop_columns(list(shapes)).to_pandas()
    for name in (name for name in table.column_names if name in shapes):
        frame.insert(table.column_names.index(name), name, _arrays(table[name].to_pylist(), shapes[name]))
    return frame


def to_frames(tables: Sequence[pa.Table]) -> list[pd.DataFrame]:
    """Turn many tables into frames; neighbours that are alike, of which a sweep has thousands, in one step."""
    frames: list[pd.DataFrame] = []
    for _, group in itertools.groupby(tables, key=_kind):
        alike = list(group)
        if len(alike) == 1 or json.loads((alike[0].schema.metadata or {}).get(_SHAPES, b"{}")):
            frames += [to_frame(table) for table in alike]
            continue
        whole = to_frame(pa.concat_tables(table.replace_schema_metadata(alike[0].schema.metadata) for table in alike))
        ends = list(itertools.accumulate(len(table) for table in alike))
        pieces = [whole.iloc[end - len(table) : end] for end, table in zip(ends, alike, strict=True)]
        frames += [piece.set_axis(pd.RangeIndex(len(piece))) for piece in pieces]
    return frames


def _kind(table: pa.Table) -> tuple:
    """Return what the kinds of a frame's columns depend on: a column of integers with gaps becomes one of floats."""
    notes = table.schema.metadata or {}
    gaps = tuple(column.null_count > 0 for column in table.columns)
    return table.schema.remove_metadata(), notes.get(b"pandas"), notes.get(_SHAPES), gaps


def _nested(arrays: list[np.ndarray | None]) -> pa.Array:
    """Return arrays with leading axes of length 1, so that all have the same number of dimensions and type."""
    present = [array for array in arrays if array is not None]
    most = max(array.ndim for array in present)
    kind = pa.string() if any(map(_is_text, present)) else pa.float64()
    for _ in range(most):
        kind = pa.list_(kind)
    lists = [None if array is None else array[(None,) * (most - array.ndim)].tolist() for array in arrays]
    return pa.array(lists, kind)


def _arrays(lists: list[Any], shapes: list[list[int]]) -> pd.Series:
    present = sum(nested is not None for nested in lists)
    remaining = iter(shapes if len(shapes) == present else shapes * present)
    return cells(None if nested is None else _array(nested).reshape(next(remaining)) for nested in lists)


def _array(nested: list[Any]) -> np.ndarray:
    array = np.array(nested)
    return array if _is_text(array) else np.array(nested, np.float64)


def _is_text(array: np.ndarray) -> bool:
    return array.dtype.kind == "U"
