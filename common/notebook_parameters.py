"""Parameters of a notebook: what its own cell sets, and with which a result file was made. Nothing of either is run."""

import ast
import functools
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

# Parameters that say where something is written, and decide no number.
FILES = ("result_file", "store", "tensorboard_dir", "weights_file")


def notebook_defaults(path: str | os.PathLike) -> dict[str, Any]:
    """Read what a notebook's cell "parameters" sets to plain values; nothing of a notebook that cannot be read.

    Papermill's own reading takes seconds to import. A notebook that cannot be read tells so itself when it runs.
    """
    path = Path(path)
    try:
        return dict(_defaults(path, path.stat().st_mtime_ns))
    except OSError:
        return {}


@functools.lru_cache(maxsize=32)  # a sweep asks for the same thousands of times
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
                with suppress(ValueError):  # an expression: only the run itself knows its value
                    values[name] = ast.literal_eval(value)
    return values


def stored_notes(path: str | os.PathLike) -> dict[bytes, bytes]:
    """Return what a result file says of its making, beside its rows; nothing of a file that cannot be read."""
    import pyarrow.parquet  # takes a moment, and often there is no file to ask
    from pyarrow import ArrowException

    try:
        return dict(pyarrow.parquet.read_schema(path).metadata or {})
    except (ArrowException, OSError, ValueError):
        return {}


def parameters_in(notes: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    """Return the parameters of the notebook that wrote a result file, from its notes; None where they say none."""
    try:
        return json.loads(notes[b"provenance"])["parameters"]
    except (KeyError, ValueError):
        return None


def stored_parameters(path: str | os.PathLike) -> dict[str, Any] | None:
    """Return the parameters of the notebook that wrote a result file; None where they cannot be read."""
    return parameters_in(stored_notes(path))
