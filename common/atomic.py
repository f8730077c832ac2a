"""Files that appear completely or not at all, whenever the program is killed."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.user_paths import user_path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path in the same folder, whose file replaces `path` when the block succeeds.

    Args:
        path: the file to write; its folder is created if needed. ~ and $NAMES are replaced, see `user_path`.

    Yields:
        The temporary path. It is hidden, so that no search for result files finds it. It has the suffix of `path`, from
        which Keras and others recognize the format.
    """
    path = user_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())  # otherwise a power cut could leave an empty file under the new name
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def try_folder(path: Path) -> None:
    """Create a folder, and try to write there.

    Raises:
        OSError: nothing can be written there.
    """
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
        pass


def try_replacing(path: Path) -> None:
    """Write an empty file where `replacing` would write, in a folder that exists, and remove it.

    Raises:
        OSError: nothing can be written there, or the name is too long.
    """
    temporary = _temporary(path)
    temporary.touch()
    temporary.unlink()


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
