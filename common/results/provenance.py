"""The provenance of a result: code, versions, data, device and times; no host name and no path of a machine."""

import contextlib
import functools
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

from common.results.processor import processor

_PACKAGES = (
    "gradient-estimators",
    "tensorflow",
    "keras",
    "tensorflow-datasets",
    "scikit-learn",
    "numpy",
    "pandas",
    "pyarrow",
)
# Variables of the environment that change the numbers of a run. They are stored with the versions where they are set.
_SWITCHES = (
    "TF_ENABLE_ONEDNN_OPTS",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "NVIDIA_TF32_OVERRIDE",
)
# Folders that a run itself writes to: they say nothing about the code that ran.
_PRODUCTS = ("results", "figures", "logs")
# Folders in which a file that is not tracked may well run.
_CODE = ("common", "notebooks", "workflow")


def provenance(*, parameters: Mapping[str, Any], data_checksum: str, device: str) -> dict[str, Any]:
    """Return the provenance of a result; call it before training, since it describes the code at that moment.

    Args:
        parameters: the notebook's parameters. Absolute paths are shortened to the part inside the repository, or to the
            last name, so that no result file describes a machine.
        data_checksum: `Dataset.checksum`.
        device: the device, e.g. "CPU, 2 threads"; the model of the processor is added.

    Returns:
        A JSON-able dict: parameters, commit (None outside a git checkout), dirty, versions, data_checksum, device and
        started (ISO 8601, UTC). `results.write` adds the time when it ended. The value of dirty is true if tracked
        files differ, except results, figures and logs. It is also true if common/, notebooks/ or workflow/ has
        untracked files. It is None if git does not tell. With the versions are the variables of the environment that
        change a run's numbers, where they are set, such as TF_ENABLE_ONEDNN_OPTS.
    """
    commit, dirty = _git_state(Path(__file__).resolve().parent)
    return {
        "parameters": _portable(dict(parameters)),
        "commit": commit,
        "dirty": dirty,
        "versions": dict(_versions()),
        "data_checksum": data_checksum,
        "device": _with_processor(device),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def run_provenance(device: str, data_checksum: str | None = None) -> dict[str, Any]:
    """Return the provenance of one run; call it when its training begins.

    Args:
        device: the device, e.g. `training.device()`, "CPU, 2 threads"; the model of the processor is added.
        data_checksum: `Dataset.checksum`.

    Returns:
        Values for columns of `PROVENANCE`: commit, dirty, versions, data_checksum, device, threads (None if the device
        does not tell) and begun (ISO 8601, UTC). The values of commit and dirty are those of `provenance` at its first
        call, since the code of a long process is that of its start. `Store.begin` adds resumed, and `run_frame` adds
        ended. The training code adds digest and identity, the digest's content as JSON, from which the run can be made
        again. It also adds energy_joules and peak_memory, if the machine reports them; see `Consumption`.
    """
    commit, dirty = _loaded_code()
    name, threads = device_and_threads(_with_processor(device))
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": dict(_versions()),
        "data_checksum": data_checksum,
        "device": name,
        "threads": threads,
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def device_and_threads(text: str | None) -> tuple[str | None, int | None]:
    """Split "CPU, 2 threads" into ("CPU", 2); without a number of threads, the second is None."""
    match = re.fullmatch(r"(.*), (\d+) threads?", text or "")
    return (match[1], int(match[2])) if match else (text, None)


def _with_processor(device: str) -> str:
    return re.sub("^CPU(?=,|$)", lambda _: f"CPU, {processor()}", device)


@functools.cache
def _loaded_code() -> tuple[str | None, bool | None]:
    return _git_state(Path(__file__).resolve().parent)


def _portable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    if isinstance(value, str | PurePath) and (Path(value).is_absolute() or str(value).startswith("~")):
        root, path = Path(__file__).resolve().parents[2], Path(value)
        return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
    return value.item() if hasattr(value, "item") else value


@functools.cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions | {name: os.environ[name] for name in _SWITCHES if os.environ.get(name)}


def _git(folder: Path, *arguments: str) -> tuple[int | None, str]:
    """Return git's exit code, or None if it cannot be called, and its output."""
    # Inside a git hook GIT_DIR and its kin point elsewhere; the locks are left to whoever commits meanwhile.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # A clone may belong to another user, on a shared machine or outside of a container. Its code runs here already, so
    # it may be read; but no program that its own settings name is started.
    settings = ("safe.directory=*", "core.fsmonitor=false", f"core.hooksPath={os.devnull}")
    options = [part for setting in settings for part in ("-c", setting)]
    command = ["git", "--no-optional-locks", *options, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, env=clean, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return None, ""
    return done.returncode, done.stdout.decode(errors="replace").strip()  # names may be in any encoding


def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return commit and dirty of the checkout that contains this common/, or of common/ itself; None: unknown."""
    tracked, _ = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
    if tracked == 1:  # a copy installed below some other repository (in its .venv, say) is not that repository's code
        return None, None
    if tracked != 0:
        packages = (package for package in (folder, *folder.parents) if package.name == "common")
        commit = next((commit_of(package.parent) for package in packages), None)
        if commit:
            print(
                "Whether files differ from the commit is not known: git is missing or refuses this folder, as the "
                "older ones do if it belongs to another user (git config --global --add safe.directory allows it).",
                file=sys.stderr,
            )
        return commit, None
    _, commit = _git(folder, "rev-parse", "HEAD")
    products = (f":(top,exclude){name}" for name in _PRODUCTS)
    changes = [
        _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", *products),
        _git(folder, "ls-files", "--others", "--exclude-standard", "--", *(f":/{name}" for name in _CODE)),
        # Python imports what git is told to ignore, too.
        _git(folder, "ls-files", "--others", "--", ":(top,glob)common/**/*.py"),
    ]
    dirty = any(names for _, names in changes)
    return commit, dirty if dirty or all(code == 0 for code, _ in changes) else None


def commit_of(root: Path) -> str | None:
    """Read the commit of the checkout in a folder from git's own files, without git; None if there is none."""
    git = root / ".git"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if git.is_file():  # of a worktree
            git = root / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        shared = git / "commondir"
        common = git / shared.read_text(encoding="utf-8").strip() if shared.is_file() else git
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return _hexadecimal(head)
        name = head.removeprefix("ref: ")
        if (common / name).is_file():
            return _hexadecimal((common / name).read_text(encoding="utf-8").strip())
        for line in (common / "packed-refs").read_text(encoding="utf-8").splitlines():
            if line.endswith(f" {name}"):
                return _hexadecimal(line.split()[0])
    return None


def _hexadecimal(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else None
