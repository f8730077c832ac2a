"""Where a notebook writes: resolved, made and tried before anything is trained.

A path that a parameter names may begin with ~. If it is relative, it is so to this repository, whatever folder the
notebook's process has been started in: JupyterLab's is the notebook's own, papermill's that of its caller.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.checks import require
from common.notebook_parameters import FILES, stored_parameters

REPOSITORY = Path(__file__).resolve().parents[2]


def resolved(path: str) -> Path:
    """Return where a parameter's path leads, see above.

    Raises:
        ValueError: a user after ~ who is not known.
    """
    try:
        return REPOSITORY / Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"no home folder is known for {path!r}; write the folder itself") from None


def prepare_file(name: str, path: Path) -> None:
    """Make the folder of a file that is to be written at the end, and try to write there; the file is not touched.

    Raises:
        ValueError: the parameter's name, and why nothing can be written.
    """
    require(not path.is_dir(), f"parameter {name!r}", "a file that can be written, not a folder", str(path))
    require(
        not path.exists() or os.access(path, os.W_OK),
        f"parameter {name!r}",
        "a file that can be written; this one may only be read",
        str(path),
    )
    prepare_folder(name, path.parent)


def prepare_folder(name: str, path: Path) -> None:
    """Make a folder, and try to write there.

    Raises:
        ValueError: the parameter's name, and why nothing can be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        where = error.filename if isinstance(error.filename, str) and error.filename else str(path)
        allowed = f"in a folder where files can be written ({reason.lower()}: {where})"
        raise ValueError(f"parameter {name!r} must be {allowed}, got {str(path)!r}") from None


def replaced(path: Path, parameters: Mapping[str, Any]) -> str:
    """Say with which other parameters the result that is there was made; empty where there is none, or no other.

    Args:
        path: of a result file.
        parameters: with which it is to be made anew. Files and folders do not count.
    """
    if not path.is_file():
        return ""
    stored = stored_parameters(path)
    if stored is None:
        return "no parameters that can be read"
    wanted = json.loads(json.dumps(dict(parameters)))
    other = [name for name, value in wanted.items() if name not in FILES and stored.get(name, value) != value]
    return ", ".join(f"{name} {stored[name]!r} (now {wanted[name]!r})" for name in other)
