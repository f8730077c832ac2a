"""The paths to which a notebook writes: they are resolved, created and tried before anything is trained.

A path that a parameter names may begin with ~, and have $NAMES of the environment. A relative path is relative to this
repository, whatever the working directory of the notebook's process. For JupyterLab this is the notebook's folder, for
papermill its caller's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.atomic import try_folder, try_replacing
from common.checks import require
from common.notebook_parameters import FILES, stored_parameters
from common.user_paths import REPOSITORY, user_path


def resolved(path: str) -> Path:
    """Return the path to which a parameter refers; see above.

    Raises:
        ValueError: the user after ~ is unknown, or a variable is not set.
    """
    return REPOSITORY / user_path(path)


def prepare_file(name: str, path: Path) -> None:
    """Create the folder of a file to be written at the end, and try to write there, without touching the file.

    Raises:
        ValueError: nothing can be written; the message has the parameter's name and the reason.
    """
    require(not path.is_dir(), f"parameter {name!r}", "a file that can be written, not a folder", str(path))
    require(
        not path.exists() or os.access(path, os.W_OK),
        f"parameter {name!r}",
        "a file that can be written; this one may only be read",
        str(path),
    )
    prepare_folder(name, path.parent)
    try:
        try_replacing(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ValueError(
            f"parameter {name!r} must be a file that can be written ({reason}), got {str(path)!r}"
        ) from None


def prepare_folder(name: str, path: Path) -> None:
    """Create a folder, and try to write there.

    Raises:
        ValueError: nothing can be written; the message has the parameter's name and the reason.
    """
    try:
        try_folder(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        where = error.filename if isinstance(error.filename, str) and error.filename else str(path)
        allowed = f"in a folder where files can be written ({reason.lower()}: {where})"
        raise ValueError(f"parameter {name!r} must be {allowed}, got {str(path)!r}") from None


def replaced(path: Path, parameters: Mapping[str, Any]) -> str:
    """Return the differing parameters of the existing result; empty if there is no result or no difference.

    Args:
        path: the path of a result file.
        parameters: the parameters of the new result. Files and folders do not count.
    """
    if not path.is_file():
        return ""
    stored = stored_parameters(path)
    if stored is None:
        return "no parameters that can be read"
    wanted = json.loads(json.dumps(dict(parameters)))
    other = [name for name, value in wanted.items() if name not in FILES and stored.get(name, value) != value]
    return ", ".join(f"{name} {stored[name]!r} (now {wanted[name]!r})" for name in other)
