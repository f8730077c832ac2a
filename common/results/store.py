"""The store: a folder of records of one run and seed, found by the digest of everything that determines its numbers.

    folder/ab/abcd….parquet        the frame; it is written last, so that a record is complete or absent
    folder/ab/abcd….npz            the final weights
    folder/.locks/abcd….lock       held by the process that trains the run; the kernel frees it when that process ends
    folder/.checkpoints/abcd…/     checkpoints of an unfinished run, with sessions.json: each start of its training

The environment variable RUN_CHECKPOINTS names another folder for checkpoints, such as one on a local disk. `$NAMES` in
it are variables of the machine that trains. A run that continues on another machine then begins anew.

A record is trained once:

    with store.lock(digest):
        record = store.find(digest)
        if record is None:
            provenance = store.begin(digest, run_provenance(device))
            ...                                           # train, with store.checkpoint_dir(digest)
            record = store.write(digest, run_frame(..., provenance=provenance), weights)

If a store cannot be written (a read-only or full disk), no result is lost. It warns once, in one sentence, and all
methods continue without locks, checkpoints and records.
"""

import contextlib
import hashlib
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd

from common.atomic import replacing
from common.results.frame import PROVENANCE, check_provenance, plain, with_provenance
from common.results.result_file import UNREADABLE, load, reasons, write_table
from common.settings import Configured, text
from common.user_paths import REPOSITORY, user_path

_SESSIONS = "sessions.json"
_UNREADABLE_RECORD: tuple[type[Exception], ...] = (*UNREADABLE, zipfile.BadZipFile, EOFError, KeyError)
_UNKNOWN_SESSIONS = "resumed from checkpoints of which no session is noted"


class StoreWarning(UserWarning):
    """Warning that a record cannot be read, or a store cannot be written; the work continues without it."""


@dataclass(frozen=True)
class Record:
    """One run with one seed.

    Attributes:
        digest: the key by which it is found.
        frame: a frame of `run_frame`, including provenance.
        weights: the network's final weights, in its order; empty if none were given.
        measurements: numbers that belong to no epoch.
    """

    digest: str
    frame: pd.DataFrame
    weights: list[np.ndarray] = field(default_factory=list)
    measurements: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        rows, columns = self.frame.shape
        return f"<Record {self.digest[:12]}: {rows} rows × {columns} columns, {len(self.weights)} weights>"


def checkpoints_folder() -> Path | None:
    """Return the folder that RUN_CHECKPOINTS names, relative to this repository; None if there is no such variable.

    Raises:
        ValueError: it names a variable that is not set.
    """
    named = os.environ.get("RUN_CHECKPOINTS", "")
    try:
        return REPOSITORY / user_path(named) if named else None
    except ValueError as error:
        raise ValueError(f"RUN_CHECKPOINTS cannot be used on this machine: {error}") from None


def identity_digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256, 64 hexadecimal digits, of everything that determines a run's numbers.

    Args:
        identity: plain data: numbers, strings, True, False, None, lists, and dictionaries with strings as keys. Objects
            defined by their settings count as their `repr`.

    Raises:
        TypeError: any other value, since its `repr` might contain its address in memory.

    Example:
        >>> identity_digest({"epochs": 3, "seed": 0}) == identity_digest({"seed": 0, "epochs": 3})
        True
        >>> identity_digest({"epochs": 3, "seed": 0}) == identity_digest({"epochs": 3, "seed": 1})
        False
    """
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), default=_canonical)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Store:
    """Records in a folder, created with the first record; any number of processes may use it at once.

    Example:
        >>> import tempfile
        >>> from common.results import run_frame
        >>> known = {"experiment": "mine", "method": "SPSA", "seed": 0, "status": "finished", "metric": "accuracy"}
        >>> frame = run_frame([{"epoch": 1, "step": 40, "train_loss": 0.5}], **known)
        >>> digest = identity_digest({"estimator": "SPSA(0.001)", "seed": 0})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store(folder)
        ...     with store.lock(digest):
        ...         record = store.find(digest) or store.write(digest, frame)
        ...     store.find(digest).frame["train_loss"].tolist(), store.find("ab12")
        ([0.5], None)
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = user_path(folder)
        self._begun: dict[str, dict[str, Any]] = {}
        self._warned: set[Path | None] = set()  # folders; None: its own

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def path(self, digest: str) -> Path:
        """Return the path of a record's frame, whether or not it exists."""
        return self.folder / digest[:2] / f"{digest}.parquet"

    def find(self, digest: str) -> Record | None:
        """Return a record; None if there is none, or if it cannot be read, with a warning that names it."""
        path = self.path(digest)
        try:
            return self._load(digest, path) if path.is_file() else None
        except _UNREADABLE_RECORD as error:
            _warn(f"the record {path} cannot be read ({reasons(error)}); its run is trained again")
            return None

    def weights(self, digest: str) -> list[np.ndarray] | None:
        """Return a record's final weights; None if there is no such record."""
        record = self.find(digest)
        return None if record is None else record.weights

    @contextlib.contextmanager
    def lock(self, digest: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Lock a record against other processes; wait without limit for a process that holds the lock.

        Args:
            digest: the record's digest.
            on_wait: called once if another process holds the lock, e.g. to say so.
        """
        path = self.folder / ".locks" / f"{digest}.lock"
        lock = filelock.FileLock(path, fallback_to_soft=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._acquire(lock, on_wait)
        except (OSError, NotImplementedError) as error:
            self._go_on_without(error)
        try:
            if lock.is_locked:
                self._remove_torn_files(digest)
            yield
        finally:
            lock.release()

    def begin(self, digest: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
        """Record that a run's training begins, or continues from its checkpoints.

        Args:
            digest: the run's digest.
            provenance: the provenance of this session, from `run_provenance`.

        Returns:
            The provenance of the record: that of the first session whose checkpoints exist; dirty if any session was;
            resumed, the commits of the later sessions in their order; and the digest.

        Raises:
            ValueError: a name is not a column of the provenance.
        """
        check_provenance(provenance)
        sessions = [*self._sessions_before(digest), dict(provenance)]
        try:
            with replacing(self._checkpoints(digest) / _SESSIONS) as temporary:
                temporary.write_text(json.dumps(sessions, default=plain))
        except OSError as error:
            self._go_on_without(error, checkpoints=True)
        self._begun[digest] = _whole_training(sessions) | {"digest": digest}
        return dict(self._begun[digest])

    def checkpoint_dir(self, digest: str) -> Path | None:
        """Return the folder of a run's checkpoints; None if none can be written."""
        folder = self._checkpoints(digest)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(f"no permission to write to {folder}")
        except OSError as error:
            self._go_on_without(error, checkpoints=True)
            return None
        return folder

    def write(
        self,
        digest: str,
        frame: pd.DataFrame,
        weights: Sequence[np.ndarray] = (),
        measurements: Mapping[str, Any] | None = None,
    ) -> Record:
        """Store a finished run, completely or not at all, and remove its checkpoints.

        Args:
            digest: the run's digest.
            frame: a frame of `run_frame`; without columns of the provenance, it gets those of `begin`.
            weights: the network's final weights, in its order.
            measurements: numbers that belong to no epoch.

        Returns:
            The record, even if it cannot be written; then there is a warning.
        """
        known = self._begun.pop(digest, {})
        if "digest" in frame:
            known = {name: frame[name].iloc[0] for name in PROVENANCE if name in frame}
            known = {name: None if pd.isna(value) else value for name, value in known.items()}
        frame = with_provenance(frame, known | {"digest": digest})
        record = Record(digest, frame, [np.asarray(array) for array in weights], dict(measurements or {}))
        try:
            self._write(record)
        except OSError as error:
            self._go_on_without(error)
        else:
            shutil.rmtree(self._checkpoints(digest), ignore_errors=True)
        return record

    def _checkpoints(self, digest: str) -> Path:
        return (checkpoints_folder() or self.folder / ".checkpoints") / digest

    def _load(self, digest: str, path: Path) -> Record:
        file = load(path)
        note = json.loads(file.notes[b"record"])
        if note["digest"] != digest:
            raise ValueError(f"it is the record {note['digest']}")
        weights = []
        if note["weights"]:
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
                weights = [arrays[str(i)] for i in range(note["weights"])]
        return Record(digest, file.frame, weights, file.measurements[0])

    def _write(self, record: Record) -> None:
        path = self.path(record.digest)
        if record.weights:
            with replacing(path.with_suffix(".npz")) as temporary:
                arrays: dict[str, Any] = {str(i): array for i, array in enumerate(record.weights)}
                np.savez(temporary, **arrays)
        note = {"digest": record.digest, "weights": len(record.weights)}
        write_table(record.frame, path, {"provenance": {}, "measurements": record.measurements, "record": note})

    def _acquire(self, lock: filelock.BaseFileLock, on_wait: Callable[[], None] | None) -> None:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if on_wait is not None:
                on_wait()
            lock.acquire()

    def _remove_torn_files(self, digest: str) -> None:
        """Remove the remains of a process that was killed while it wrote this record; no process writes it now."""
        for torn in self.path(digest).parent.glob(f".{digest}.*.tmp.*"):
            with contextlib.suppress(OSError):
                torn.unlink()

    def _sessions_before(self, digest: str) -> list[dict[str, Any]]:
        """Return the sessions whose work is in the checkpoints; none if the last one was killed before any."""
        folder = self._checkpoints(digest)
        if not folder.is_dir() or not any(
            path.name != _SESSIONS and ".tmp" not in path.name for path in folder.iterdir()
        ):
            return []
        try:
            return json.loads((folder / _SESSIONS).read_text())
        except (OSError, ValueError):
            return [{"note": _UNKNOWN_SESSIONS}]

    def _go_on_without(self, error: BaseException, *, checkpoints: bool = False) -> None:
        elsewhere = checkpoints_folder() if checkpoints else None
        if elsewhere in self._warned:
            return
        self._warned.add(elsewhere)
        reason = getattr(error, "strerror", None) or reasons(error)
        if elsewhere:
            _warn(f"RUN_CHECKPOINTS, {elsewhere}, cannot be written ({reason}); runs go on without checkpoints")
        else:
            _warn(f"the store {self.folder} cannot be written ({reason}); results are returned, but not kept there")


def _whole_training(sessions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    dirty = [session.get("dirty") for session in sessions]
    whole = {
        "dirty": True if any(dirty) else None if None in dirty else False,
        "resumed": [session.get("commit") for session in sessions[1:]],
    }
    return {**sessions[0], **whole}


def _canonical(value: Any) -> Any:
    if isinstance(value, Configured):
        return text(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"what decides a run's numbers must be plain data, got {value!r} of type {type(value).__name__}")


def _warn(sentence: str) -> None:
    warnings.warn(sentence, StoreWarning, stacklevel=3)
