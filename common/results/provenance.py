"""Where a result comes from: code, versions, data, device and times; no host name, no path of a machine."""

import functools
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

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
# Folders that a run itself writes to: they say nothing about the code that ran.
_PRODUCTS = ("results", "figures", "logs")


def provenance(*, parameters: Mapping[str, Any], data_checksum: str, device: str) -> dict[str, Any]:
    """Say where a result comes from; call it before training, for what it says of the code is true of that moment.

    Args:
        parameters: the notebook's parameters. Absolute paths in it are cut to what lies inside the
            repository, or to the last name, so that no result file tells about a machine.
        data_checksum: `Dataset.checksum`.
        device: what it ran on, e.g. "CPU, 2 threads".

    Returns:
        A JSON-able dict: parameters, commit (None outside a git checkout), dirty (whether tracked files differ, those
        of results, figures and logs aside, or common/ has files that are not tracked), versions, data_checksum, device
        and started (ISO 8601, UTC); `results.write` adds when it ended.
    """
    commit, dirty = _git_state(Path(__file__).resolve().parent)
    return {
        "parameters": _portable(dict(parameters)),
        "commit": commit,
        "dirty": dirty,
        "versions": dict(_versions()),
        "data_checksum": data_checksum,
        "device": device,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def run_provenance(device: str, data_checksum: str | None = None) -> dict[str, Any]:
    """Say where one run comes from; call it when its training begins.

    Args:
        device: what it runs on, e.g. `training.device()`, "CPU, 2 threads".
        data_checksum: `Dataset.checksum`.

    Returns:
        Values for columns of `PROVENANCE`: commit and dirty as in `provenance`, as they were when they were first
        asked for (the code of a long process is that of its start), versions, data_checksum, device, threads (None
        where the device does not say) and begun (ISO 8601, UTC). `Store.begin` adds resumed, `run_frame` ended, and
        whoever trains digest and identity, what the digest is of, as JSON: from it the run can be made again; and
        energy_joules and peak_memory, where the machine tells, see `Consumption`.
    """
    commit, dirty = _loaded_code()
    name, threads = device_and_threads(device)
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
    """Take "CPU, 2 threads" apart: ("CPU", 2); a device without threads has None of them."""
    match = re.fullmatch(r"(.*), (\d+) threads?", text or "")
    return (match[1], int(match[2])) if match else (text, None)


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
    return versions


def _git(folder: Path, *arguments: str) -> str | None:
    # Inside a git hook GIT_DIR and its kin point elsewhere; the locks are left to whoever commits meanwhile.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    # A copy installed below some other repository (in its .venv, say) is not that repository's code.
    if _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None
    commit = _git(folder, "rev-parse", "HEAD")
    excluded = [f":(top,exclude){name}" for name in _PRODUCTS]
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", *excluded)
    added = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", ":/common")  # may well be imported
    return commit, None if changes is None or added is None else bool(changes or added)
