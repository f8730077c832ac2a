"""Notebooks whose code differs from the commit, since JupyterLab also saves experiments automatically."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

_LISTED = 5


def changed_notebooks(notebooks: Iterable[str]) -> list[str]:
    """Return the notebooks in notebooks/ whose code differs from the commit; none if there is no git.

    Outputs, texts and other changes by an editor do not count, since they change no run.

    Args:
        notebooks: names, without folder and extension.
    """
    changed = []
    for name in dict.fromkeys(notebooks):
        path = Path("notebooks", f"{name}.ipynb")
        committed = _committed(path)
        if committed is not None and _code(committed) != _code(path.read_bytes()):
            changed.append(name)
    return changed


def sentence(notebooks: Iterable[str]) -> str:
    """Return which notebooks differ from the commit, and how to see and undo it; empty if none does."""
    names = changed_notebooks(notebooks)
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    what = "The code of a notebook differs" if len(names) == 1 else f"The code of {len(names)} notebooks differs"
    return (
        f"{what} from what is committed: {', '.join(names[:_LISTED])}{more} (to see how: git diff notebooks; to undo "
        f"it: git restore notebooks/{names[0]}.ipynb)."
    )


def _committed(path: Path) -> bytes | None:
    # Inside a git hook GIT_DIR and its kin point elsewhere.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    call = ["git", "-c", "safe.directory=*", "show", f"HEAD:./{path.as_posix()}"]
    try:
        return subprocess.run(call, env=clean, capture_output=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _code(content: bytes) -> list[str] | bytes:
    """Return the sources of the code cells, or the content itself if it is not a notebook."""
    try:
        cells = json.loads(content)["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        return content
