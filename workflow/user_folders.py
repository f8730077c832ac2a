"""User folders to which a program writes, tried before it starts: `python -m workflow.user_folders lab`.

Matplotlib, Keras and IPython use a temporary folder if theirs cannot be written, and common.data gives
tensorflow-datasets another folder. Snakemake and JupyterLab end with an error of the operating system.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from workflow.experiments import WorkflowError


def _snakemake() -> Path:
    return _home("XDG_CACHE_HOME", ".cache") / "snakemake"


def _jupyter_runtime() -> Path:
    return Path(os.environ.get("JUPYTER_RUNTIME_DIR") or _jupyter_data() / "runtime")


def _jupyter_data() -> Path:
    return Path(os.environ.get("JUPYTER_DATA_DIR") or _home("XDG_DATA_HOME", ".local/share") / "jupyter")


def _jupyter_configuration() -> Path:
    return Path(os.environ.get("JUPYTER_CONFIG_DIR") or Path("~/.jupyter").expanduser())


def _home(variable: str, folder: str) -> Path:
    return Path(os.environ.get(variable) or Path("~", folder).expanduser())


# Of each program what it writes to: the variable that says where, and where that is.
FOLDERS: dict[str, dict[str, Callable[[], Path]]] = {
    "Snakemake": {"XDG_CACHE_HOME": _snakemake},
    "JupyterLab": {"JUPYTER_RUNTIME_DIR": _jupyter_runtime, "JUPYTER_CONFIG_DIR": _jupyter_configuration},
}


def require(program: str) -> None:
    """Create the folders of a program and try to write there.

    Raises:
        WorkflowError: a folder cannot be written; the message names the folder and the variable to set.
    """
    for variable, place in FOLDERS[program].items():
        try:
            folder = place()
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except RuntimeError:  # of expanduser
            reason = "no home folder is known"
        except OSError as error:
            reason = f"{folder} is none ({(error.strerror or type(error).__name__).lower()})"
        else:
            continue
        raise WorkflowError(
            f"{program} needs a folder that it can write to, and {reason}: set {variable}, or HOME, to one such as "
            f"{variable}={tempfile.gettempdir()}/{program.lower()}"
        )


def main(arguments: Sequence[str]) -> int:
    """Try the folders of the programs that the command line names; return the exit code."""
    programs = {"figures": "Snakemake", "lab": "JupyterLab"}
    try:
        for name in arguments:
            require(programs[name])
    except WorkflowError as error:
        print(f"Error: {error}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
