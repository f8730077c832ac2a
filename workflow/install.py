"""Create .venv with exactly the packages of requirements.txt, and this project: `python workflow/install.py`.

The script needs only Python's standard library. Its last step writes a mark. The Makefile calls it if requirements.txt
or pyproject.toml is newer than the mark, so an interrupted installation is resumed.
"""

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MARK = VENV / ".installed"
LOCK = ROOT / "requirements.txt"


def main() -> int:
    """Install, and return the exit code."""
    with open(ROOT / ".venv.lock", "w") as lock:
        # Held by the process, so it ends with it. The kernel's, for `filelock` is not installed yet.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current():  # made by another call while this one waited
            return 0
        try:
            install()
        except subprocess.CalledProcessError as error:
            print(
                f"Error: {' '.join(map(str, error.cmd[1:5]))} ... failed (its own message is above); "
                "mend that and run the same command again, it goes on from here.",
                file=sys.stderr,
            )
            return 1
    return 0


def is_current() -> bool:
    """Return whether the mark is newer than the files that determine the installation."""
    sources = (LOCK, ROOT / "pyproject.toml")
    return MARK.exists() and all(MARK.stat().st_mtime >= source.stat().st_mtime for source in sources)


def install() -> None:
    """Create the environment unless a working one exists, install the lock and the project, and write the mark."""
    packages = sum("==" in line for line in LOCK.read_text(encoding="utf-8").splitlines())
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Installing up to {packages} packages for Python {version} into .venv: 3 GB, a few minutes.", flush=True)
    if not runs():
        venv.create(VENV, with_pip=True, symlinks=True, clear=True)
    pip("install", "--require-hashes", "--requirement", LOCK.name)
    # --no-deps: the lock has them all. --no-build-isolation: setuptools is in the lock, too.
    pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    MARK.touch()


def runs() -> bool:
    """Return whether .venv has a working Python with pip; an interrupted creation or a removed Python does not."""
    try:
        return subprocess.run([PYTHON, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def pip(*arguments: str) -> None:
    """Call the environment's pip with the user's own settings, such as an index; its output shows the progress."""
    # Inside another environment, PYTHONHOME and its kin would point pip there; the others, away from .venv.
    elsewhere = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON")
    clean = {name: value for name, value in os.environ.items() if name not in elsewhere}
    # Over a configuration file, too. The project itself, which comes from this folder, can have no hash.
    clean |= {"PIP_USER": "0", "PIP_DRY_RUN": "0", "PIP_REQUIRE_HASHES": "0"}
    subprocess.run([str(PYTHON), "-m", "pip", *arguments], cwd=ROOT, env=clean, check=True)


if __name__ == "__main__":
    sys.exit(main())
