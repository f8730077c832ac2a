"""The stored state of a job: its result, its parameters, and the end of its last run."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.notebook_parameters import FILES, notebook_defaults, parameters_in, stored_notes
from workflow.experiments import ERROR, NOT_STARTED, NOTEBOOK, RESULT, STOPPED, Job


def did_not_end(job: Job) -> bool:
    """Return whether the job failed, was killed, or has not started since a run asked for it."""
    return Path(job.path(ERROR)).exists()


def is_stored(job: Job) -> bool:
    """Return whether the job's result exists and its last run succeeded."""
    return Path(job.path(RESULT)).exists() and not did_not_end(job)


def was_cut_off(job: Job) -> bool:
    """Return whether the job's last run was killed, or is still running."""
    return text_of(job.path(ERROR)).strip() == STOPPED


def failure_of(job: Job) -> str:
    """Return the sentence of a job that failed by itself; empty if it was interrupted or has not begun."""
    text = text_of(job.path(ERROR)).strip()
    return "" if text in (STOPPED, NOT_STARTED) else text


def has_other_parameters(job: Job) -> bool:
    """Return whether a stored result has parameters other than the job's over the notebook's defaults.

    Snakemake remembers parameters only in its own working copy; the result file always contains them.
    """
    path = Path(job.path(RESULT))
    if not path.exists():
        return False
    stored = parameters_in(notes_of(path))
    if stored is None:  # made again
        return True
    wanted = defaults_of(job) | dict(job.parameters)
    if job.preset != "quick":
        # A parameter that the notebook gained later does not make hours of training outdated.
        wanted = {name: value for name, value in wanted.items() if name in stored or name in job.parameters}
    return any(name not in stored or not _same(stored[name], value) for name, value in wanted.items())


def notes_of(path: Path) -> Mapping[bytes, bytes]:
    """Return a result file's notes on its origin; empty if the file cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return {}
    return _notes(path, status.st_mtime_ns, status.st_size)


# A sweep asks several times of each of its thousands of files.
@functools.lru_cache(maxsize=20_000)
def _notes(path: Path, _changed: int, _size: int) -> Mapping[bytes, bytes]:
    return {key: value for key, value in stored_notes(path).items() if key in (b"provenance", b"sweep")}


def _same(stored: Any, value: Any) -> bool:
    """Return whether a stored, checked parameter equals this unchecked one.

    The check turns a single value into a list if a list is meant, and "all" into the list of that time. A list that has
    grown since, like a new parameter, does not make hours of training outdated.
    """
    return stored in (value, [value]) or (value == "all" and isinstance(stored, list))


def defaults_of(job: Job) -> dict[str, Any]:
    """Return the job's notebook's own values, except files and folders, which change no number."""
    defaults = notebook_defaults(job.path(NOTEBOOK))
    return {name: value for name, value in defaults.items() if name not in FILES}


def error_of(job: Job) -> str:
    """Return the sentence that a failed job stored; one without a sentence has not begun."""
    return text_of(job.path(ERROR)).strip() or NOT_STARTED


def text_of(path: str) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
