"""What is there of a job: its result, of which parameters, and how its last run ended."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.notebook_parameters import FILES, notebook_defaults, parameters_in, stored_notes
from workflow.experiments import ERROR, NOT_STARTED, NOTEBOOK, RESULT, STOPPED, Job


def did_not_end(job: Job) -> bool:
    """Whether the job failed, was killed or has not started since a run asked for it."""
    return Path(job.path(ERROR)).exists()


def is_stored(job: Job) -> bool:
    """Whether the job's result is there and its last run ended well."""
    return Path(job.path(RESULT)).exists() and not did_not_end(job)


def was_cut_off(job: Job) -> bool:
    """Whether the job's last run was killed; or it runs right now."""
    return text_of(job.path(ERROR)).strip() == STOPPED


def failure_of(job: Job) -> str:
    """Return the sentence of a job that failed by itself; none of one that was cut off or has not begun."""
    text = text_of(job.path(ERROR)).strip()
    return "" if text in (STOPPED, NOT_STARTED) else text


def has_other_parameters(job: Job) -> bool:
    """Whether a stored result was made with other parameters than the job's and, for the rest, the notebook's defaults.

    Snakemake remembers parameters only in the working copy where it ran; the result file carries them anywhere.
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
    """Return what a result file says of its making, beside its rows; nothing of a file that cannot be read."""
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
    """Whether a stored parameter, which was checked, is this one, which was not.

    The check makes a list of a single value where a list is meant, and of "all" the list of what there was at the time:
    as with a new parameter, that there is more by now does not make hours of training outdated.
    """
    return stored in (value, [value]) or (value == "all" and isinstance(stored, list))


def defaults_of(job: Job) -> dict[str, Any]:
    """Return what the job's notebook sets by itself, except files and folders, which change no number."""
    defaults = notebook_defaults(job.path(NOTEBOOK))
    return {name: value for name, value in defaults.items() if name not in FILES}


def error_of(job: Job) -> str:
    """Return the sentence that a failed job left; one that left none has not begun."""
    return text_of(job.path(ERROR)).strip() or NOT_STARTED


def text_of(path: str) -> str:
    """Return the text of a file; none of one that cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
