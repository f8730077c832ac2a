"""Files that appear whole or not at all, whenever the program is killed."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name in the same folder that takes the place of `path` when the block succeeds.

    Args:
        path: the file to write; its folder is made if needed.

    Yields:
        The temporary path: hidden, so that no search for result files finds it, and with the ending of `path`,
        from which Keras and others tell the format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())  # else a power cut could leave the new name with no content
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
