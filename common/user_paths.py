"""Paths as a user writes them: with ~ and with $NAMES of the environment."""

import os
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def user_path(path: str | os.PathLike) -> Path:
    """Return the path that a user means: ~, ~name, $NAME and ${NAME} are replaced.

    A path that exists as it is written is left as it is.

    Raises:
        ValueError: a variable is not set, or no home folder is known; the message has the path.

    Example:
        >>> os.environ["MY_FOLDER"] = "/data/mine"
        >>> str(user_path("$MY_FOLDER/runs"))
        '/data/mine/runs'
        >>> user_path("$NO_SUCH_FOLDER/runs")
        Traceback (most recent call last):
        ValueError: the path '$NO_SUCH_FOLDER/runs' names the variable NO_SUCH_FOLDER, which is not set
    """
    written = os.fspath(path)
    if os.path.lexists(written):
        return Path(written)
    text = os.path.expandvars(written)
    if unset := re.search(r"\$\{?(\w+)", text):
        raise ValueError(f"the path {written!r} names the variable {unset[1]}, which is not set")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"no home folder is known for {written!r}; write the folder itself") from None


def located(path: str | os.PathLike) -> Path:
    """Return a path that the working folder has or, where it has none of this name, that of this repository."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"a path must be a string or a Path, got {type(path).__name__}")
    given = user_path(path)
    of_ours = REPOSITORY / given
    return of_ours if not given.exists() and of_ours.exists() else given
