"""Parameters of a notebook, read from its parameters cell or from a result file; neither is executed."""

import ast
import functools
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

# Parameters that name output files and change no number.
FILES = ("result_file", "store", "tensorboard_dir", "weights_file")


def notebook_defaults(path: str | os.PathLike) -> dict[str, Any]:
    """Return the plain values that a notebook's cell "parameters" sets; empty if the notebook cannot be read.

    Papermill's own reader takes seconds to import. A notebook that cannot be read raises its own error when it runs.
    """
    path = Path(path)
    try:
        return dict(_defaults(path, path.stat().st_mtime_ns))
    except OSError:
        return {}


@functools.lru_cache(maxsize=32)  # a sweep reads the same notebook thousands of times
def _defaults(path: Path, _changed: int) -> dict[str, Any]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
        statements = ast.parse("".join(tagged[0]) if tagged else "").body
    except (OSError, ValueError, KeyError, SyntaxError):
        return {}
    values: dict[str, Any] = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                with suppress(ValueError):  # for an expression, only the run itself knows the value
                    values[name] = ast.literal_eval(value)
    return values


def stored_notes(path: str | os.PathLike) -> dict[bytes, bytes]:
    """Return the schema metadata of a result file, beside its rows; empty if the file cannot be read."""
    import pyarrow.parquet  # the import takes time, and often there is no file
    from pyarrow import ArrowException

    try:
        return dict(pyarrow.parquet.read_schema(path).metadata or {})
    except (ArrowException, OSError, ValueError):
        return {}


def parameters_in(notes: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    """Return the parameters of the notebook that wrote a result file, from its notes; None if they have none."""
    try:
        return json.loads(notes[b"provenance"])["parameters"]
    except (KeyError, ValueError):
        return None


def stored_parameters(path: str | os.PathLike) -> dict[str, Any] | None:
    """Return the parameters of the notebook that wrote a result file; None if they cannot be read."""
    return parameters_in(stored_notes(path))
