"""With which parameters a result file was made, read from its notes alone: no frame is loaded."""

import json
import os
from typing import Any

# Parameters that say where something is written, and decide no number.
FILES = ("result_file", "store", "tensorboard_dir", "weights_file")


def stored_parameters(path: str | os.PathLike) -> dict[str, Any] | None:
    """Return the parameters of the notebook that wrote a result file; None where they cannot be read."""
    import pyarrow.parquet  # takes a moment, and often there is no file to ask
    from pyarrow import ArrowException

    try:
        notes = pyarrow.parquet.read_schema(path).metadata or {}
        return json.loads(notes[b"provenance"])["parameters"]
    except (ArrowException, OSError, KeyError, ValueError):
        return None
