"""With which parameters a result file was made, read from its notes alone: no frame is loaded."""

import json
import os
from collections.abc import Mapping
from typing import Any

# Parameters that say where something is written, and decide no number.
FILES = ("result_file", "store", "tensorboard_dir", "weights_file")


def stored_notes(path: str | os.PathLike) -> dict[bytes, bytes]:
    """Return what a result file says of its making, beside its rows; nothing of a file that cannot be read."""
    import pyarrow.parquet  # takes a moment, and often there is no file to ask
    from pyarrow import ArrowException

    try:
        return dict(pyarrow.parquet.read_schema(path).metadata or {})
    except (ArrowException, OSError, ValueError):
        return {}


def stored_parameters(path: str | os.PathLike) -> dict[str, Any] | None:
    """Return the parameters of the notebook that wrote a result file; None where they cannot be read."""
    return parameters_in(stored_notes(path))


def parameters_in(notes: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    """Return the parameters that a result file's notes say; None where they say none."""
    try:
        return json.loads(notes[b"provenance"])["parameters"]
    except (KeyError, ValueError):
        return None
