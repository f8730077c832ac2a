"""Folders of results from several machines become one: result files and stores, each run once, nothing overwritten.

A run that two folders have is there once, that of the first. Two runs of one digest, or of one name and seed, with
other numbers are refused before anything is written. Each file appears whole or not at all, so a merge that was killed
goes on when it is called again.
"""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from common.atomic import replacing
from common.results.agreement import MEASURED
from common.results.files import load_all
from common.results.frame import PROVENANCE, run_columns
from common.results.result_file import UNREADABLE, ResultFile, load, reasons, write_table

_UNREADABLE_WEIGHTS: tuple[type[Exception], ...] = (*UNREADABLE, zipfile.BadZipFile, EOFError)
STORE = ".store"  # hidden folders hold no results, but for this one


@dataclass
class Merged:
    """What a merge did.

    Attributes:
        written: files in the folder of the merge, by their names in it.
        runs: how many runs were added.
        present: how many runs were there already, or came a second time.
        other_times: sentences: runs that came a second time with other seconds or another provenance.
        unreadable: why a file or a folder cannot be read, by its path.
    """

    written: list[str] = field(default_factory=list)
    runs: int = 0
    present: int = 0
    other_times: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


class _Run(NamedTuple):
    """Where a run was seen first, and what it held: hashes of its numbers, of all but its origin, and of all."""

    file: Path
    rows: pd.Index
    numbers: str
    content: str
    whole: str


class _Copy(NamedTuple):
    """A file to be written: all of it, or those rows of a result file that are new."""

    source: Path
    target: Path
    is_record: bool
    rows: pd.Index | None


def merge_folders(sources: Sequence[str | os.PathLike], into: str | os.PathLike) -> Merged:
    """Copy the results of several folders into one, below the same names.

    Args:
        sources: folders with result files, stores (`.store` below them, or a store itself), or both. Checkpoints of
            runs that have not ended stay where they are.
        into: the folder that gets all; it is made if needed, may hold results, which count as the first, and may be one
            of the sources. A file whose name is taken by one with other runs gets a number behind its name; of one
            with some new runs, these alone are written.

    Returns:
        What was done. A folder that is missing, a file that cannot be read and a record without its weights are named
        in `unreadable`, and all others are merged.

    Raises:
        ValueError: two runs of one digest, or two of one name, parameters and seed, with different numbers; it names
            both files. Nothing is written then.
        OSError: the folder cannot be written.
    """
    into = Path(into)
    plan = _Plan(into)
    if into.is_dir():
        plan.add(into)
    for source in map(Path, sources):
        if not source.is_dir():
            plan.merged.unreadable[str(source)] = "there is no such folder"
        elif source.resolve() != into.resolve():
            plan.add(source)
    for copy in plan.copies:
        _write(copy)
        plan.merged.written.append(str(copy.target.relative_to(into)))
    return plan.merged


class _Plan:
    """Which files are to be written, found out before the first one is."""

    def __init__(self, into: Path):
        self.copies: list[_Copy] = []
        self.merged = Merged()
        self._into = into
        self._taken: set[Path] = set()
        # Of result files by name, parameters and seed, of stores by digest.
        self._seen: dict[frozenset | str, _Run] = {}
        self._digests: dict[str, _Run] = {}

    def add(self, folder: Path) -> None:
        """Plan to copy what a folder has and those before it do not; the folder of the merge comes first."""
        own = folder.resolve() == self._into.resolve()
        for path in _files(folder, None if own else self._into):
            loaded, unreadable = load_all([path])
            self.merged.unreadable |= unreadable
            for file in loaded.values():
                digest = _record_digest(file)
                if digest is not None and (lacking := _unusable(path, file)):
                    self.merged.unreadable[str(path)] = lacking
                    continue
                new = self._new_runs(path, file, digest)
                if own:
                    self._taken.add(path)
                elif new:
                    rows = new[0].append(new[1:])
                    target = self._free(self._into / path.relative_to(folder), digest)
                    whole = len(rows) == len(file.frame)
                    self.copies.append(_Copy(path, target, digest is not None, None if whole else rows))
                    self.merged.runs += len(new)

    def _new_runs(self, path: Path, file: ResultFile, digest: str | None) -> list[pd.Index]:
        """Return which rows each run has that is new, and remember the runs."""
        new = []
        for labels, rows in _runs(file.frame):
            run = _Run(path, rows.index, *_hashes(rows))
            key: frozenset | str = labels if digest is None else digest
            if key in self._seen:
                self._compare(self._seen[key], run, rows)
                self.merged.present += 1
                continue
            self._seen[key] = run
            new.append(rows.index)
            own = _digest_of(rows)
            if own and self._digests.setdefault(own, run).numbers != run.numbers:
                raise ValueError(_refusal(self._digests[own], run, rows, "one digest"))
        return new

    def _compare(self, first: _Run, run: _Run, rows: pd.DataFrame) -> None:
        if first.content != run.content:
            raise ValueError(_refusal(first, run, rows, "one name"))
        if first.whole != run.whole:
            differing = _first_difference(_rows(first), rows, _columns(_rows(first), rows))
            self.merged.other_times.append(
                f"{_named(rows)} has another {differing} in {run.file} than in {first.file}: the first is kept"
            )

    def _free(self, path: Path, digest: str | None) -> Path:
        """Return a name that no other file has; a record's says its digest, and stays."""
        free, number = path, 1
        while digest is None and (free in self._taken or free.exists()):
            number += 1
            free = path.with_stem(f"{path.stem}-{number}")
        if free in self._taken or free.exists():
            raise ValueError(f"{free} is there and cannot be read; remove it")
        self._taken.add(free)
        return free


def _files(folder: Path, without: Path | None) -> list[Path]:
    """List result files and records of a folder, but for those below another one."""
    paths = (path for path in folder.rglob("*.parquet") if path.is_file())
    visible = [
        path
        for path in paths
        if all(not part.startswith(".") or part == STORE for part in path.relative_to(folder).parts)
    ]
    if without is not None and without.resolve().is_relative_to(folder.resolve()):
        visible = [path for path in visible if not path.resolve().is_relative_to(without.resolve())]
    return sorted(visible)


def _record_digest(file: ResultFile) -> str | None:
    """Return the digest of a store's record; None for any other result file."""
    return json.loads(file.notes[b"record"])["digest"] if b"record" in file.notes else None


def _unusable(path: Path, file: ResultFile) -> str:
    """Say why a store could not find a record in this file; empty if it can."""
    note = json.loads(file.notes[b"record"])
    if path.stem != note["digest"]:
        return f"it holds the record {note['digest'][:12]}…, which a store does not find under this name"
    weights = path.with_suffix(".npz")
    if not note["weights"]:
        return ""
    try:
        with np.load(weights, allow_pickle=False) as arrays:
            return "" if len(arrays.files) == note["weights"] else f"its weights {weights.name} are not all there"
    except _UNREADABLE_WEIGHTS as error:
        missing = not weights.exists()
        return f"its weights {weights.name} {'are missing' if missing else f'cannot be read: {reasons(error)}'}"


def _runs(frame: pd.DataFrame) -> Iterator[tuple[frozenset, pd.DataFrame]]:
    """Yield each run's labels, those that are not NA, and rows."""
    columns = run_columns(frame)
    for _, rows in frame.groupby(columns, dropna=False, sort=False):
        known = {name: rows[name].iloc[0] for name in columns if pd.notna(rows[name].iloc[0])}
        yield frozenset((name, _label(value)) for name, value in known.items()), rows


def _label(value: Any) -> str:
    """Write a parameter so that it is the same from a column of numbers and from one that has texts, too."""
    try:
        return str(value) if isinstance(value, bool | np.bool_) else repr(float(value))
    except ValueError:
        return str(value)


def _hashes(rows: pd.DataFrame) -> tuple[str, str, str]:
    columns = {name: _hash(rows[name]) for name in sorted(rows) if rows[name].notna().any()}
    kept = {name: hashed for name, hashed in columns.items() if not _is_origin(name)}
    numbers = {name: columns.get(name) for name in ("epoch", "step", *MEASURED)}
    return _sha256(numbers), _sha256(kept), _sha256(columns)


def _sha256(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _is_origin(name: str) -> bool:
    """Whether a column says where a run was made and how long it took: that is another thing each time."""
    return (name in PROVENANCE and name != "digest") or name.endswith("seconds")


def _hash(column: pd.Series) -> str:
    return hashlib.sha256(b"".join(map(_bytes, column))).hexdigest()


def _bytes(value: Any) -> bytes:
    """Write a cell so that equal ones are written alike, whatever kind of column they come from."""
    if isinstance(value, np.ndarray):
        return f"{value.shape}".encode() + np.ascontiguousarray(value, float).tobytes()
    return b"NA\0" if pd.isna(value) else f"{_label(value)}\0".encode()


def _digest_of(rows: pd.DataFrame) -> str:
    value = rows["digest"].iloc[0] if "digest" in rows else None
    return "" if pd.isna(value) else str(value)


def _refusal(first: _Run, run: _Run, rows: pd.DataFrame, shared: str) -> str:
    before = _rows(first)
    names = ("epoch", "step", *MEASURED) if shared == "one digest" else _columns(before, rows)
    differing = _first_difference(before, rows, [name for name in names if not _is_origin(name)])
    return (
        f"two runs of {shared}, {_named(rows)}, differ in {differing!r}, in {first.file} and in {run.file}; remove one"
    )


def _rows(run: _Run) -> pd.DataFrame:
    return load(run.file).frame.loc[run.rows]


def _columns(left: pd.DataFrame, right: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys([*left, *right]))


def _first_difference(left: pd.DataFrame, right: pd.DataFrame, names: Iterable[str]) -> str:
    if len(left) != len(right):
        return "epoch"
    for name in names:
        cells = [[_bytes(v) for v in rows[name]] if name in rows else [b"NA\0"] * len(rows) for rows in (left, right)]
        if cells[0] != cells[1]:
            return name
    return "digest"


def _named(rows: pd.DataFrame) -> str:
    name = rows["run"].iloc[0] if "run" in rows else rows["method"].iloc[0]
    return f"{rows['experiment'].iloc[0]}, {name!r}, seed {rows['seed'].iloc[0]}"


def _write(copy: _Copy) -> None:
    """Write a file whole, or the rows of it that are new with all its notes; a record's weights come first."""
    if copy.target.exists():
        raise FileExistsError(f"{copy.target} has appeared meanwhile; call the merge again")
    weights = copy.source.with_suffix(".npz")
    if copy.is_record and weights.exists():
        with replacing(copy.target.with_suffix(".npz")) as temporary:
            shutil.copyfile(weights, temporary)
    if copy.rows is None:
        with replacing(copy.target) as temporary:
            shutil.copyfile(copy.source, temporary)
        return
    file = load(copy.source)
    write_table(file.frame.loc[copy.rows].reset_index(drop=True), copy.target, _notes(file.notes))


def _notes(notes: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return what a file says of itself beside its rows; how these lie in it is written anew."""
    own = (b"pandas", b"shapes", b"ARROW:schema")
    return {name.decode(): json.loads(value) for name, value in notes.items() if name not in own}
