"""Merge folders of results from several machines: result files and stores, each run once, nothing overwritten.

If two folders have a run, the first folder's is kept. Two runs with the same digest, or the same name and seed, must
have the same numbers. Otherwise an error is raised before anything is written. Each file appears completely or not at
all. A killed merge therefore continues when it is called again.
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
    """The result of a merge.

    Attributes:
        written: files written in the target folder, by their names in it.
        runs: number of added runs.
        present: number of runs that were there already, or occurred a second time.
        other_times: sentences on runs that occurred a second time with other seconds or another provenance.
        unreadable: the reason why a file or a folder cannot be read, by its path.
    """

    written: list[str] = field(default_factory=list)
    runs: int = 0
    present: int = 0
    other_times: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


class _Run(NamedTuple):
    """The first place of a run, and hashes of its numbers, of everything except its origin, and of everything."""

    file: Path
    rows: pd.Index
    numbers: str
    content: str
    whole: str


class _Copy(NamedTuple):
    """A file to write: the whole file, or only the new rows of a result file."""

    source: Path
    target: Path
    is_record: bool
    rows: pd.Index | None


def merge_folders(sources: Sequence[str | os.PathLike], into: str | os.PathLike) -> Merged:
    """Copy the results of several folders into one, under the same names.

    Args:
        sources: folders with result files, stores (`.store` below them, or a store itself), or both. Checkpoints of
            unfinished runs are not copied.
        into: the target folder, created if needed. It may hold results, which count as the first, and may be one of the
            sources. If its name is taken by a file with other runs, a file gets a number after its name. If only some
            runs of a file are new, only these are written.

    Returns:
        What was done. Missing folders, unreadable files and records without weights are named in `unreadable`; all
        others are merged.

    Raises:
        ValueError: two runs with the same digest, or with the same name, parameters and seed, have different numbers.
            The message names both files, and nothing is written.
        OSError: the target folder cannot be written.
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
    """The files to write, determined before the first one is written."""

    def __init__(self, into: Path):
        self.copies: list[_Copy] = []
        self.merged = Merged()
        self._into = into
        self._taken: set[Path] = set()
        # Of result files by name, parameters and seed, of stores by digest.
        self._seen: dict[frozenset | str, _Run] = {}
        self._digests: dict[str, _Run] = {}

    def add(self, folder: Path) -> None:
        """Plan to copy what a folder has and earlier folders do not; the target folder comes first."""
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
        """Return the rows of each new run, and remember the runs."""
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
        """Return a name that no other file has; a record keeps its name, which contains its digest."""
        free, number = path, 1
        while digest is None and (free in self._taken or free.exists()):
            number += 1
            free = path.with_stem(f"{path.stem}-{number}")
        if free in self._taken or free.exists():
            raise ValueError(f"{free} is there and cannot be read; remove it")
        self._taken.add(free)
        return free


def _files(folder: Path, without: Path | None) -> list[Path]:
    """List result files and records of a folder, except those below another folder."""
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
    """Return why a store cannot find a record in this file; empty if it can."""
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
    """Yield each run's labels that are not NA, and its rows."""
    columns = run_columns(frame)
    for _, rows in frame.groupby(columns, dropna=False, sort=False):
        known = {name: rows[name].iloc[0] for name in columns if pd.notna(rows[name].iloc[0])}
        yield frozenset((name, _label(value)) for name, value in known.items()), rows


def _label(value: Any) -> str:
    """Write a parameter in the same way from a column of numbers and from a column that also has strings."""
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
    """Return whether a column holds a run's origin or its seconds, which differ each time."""
    return (name in PROVENANCE and name != "digest") or name.endswith("seconds")


def _hash(column: pd.Series) -> str:
    return hashlib.sha256(b"".join(map(_bytes, column))).hexdigest()


def _bytes(value: Any) -> bytes:
    """Write a cell as bytes, so that equal cells are written alike for every type of column."""
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
    """Write a whole file, or its new rows with all its notes; a record's weights come first."""
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
    """Return a file's notes without those on the layout of its rows, which are written again."""
    own = (b"pandas", b"shapes", b"ARROW:schema")
    return {name.decode(): json.loads(value) for name, value in notes.items() if name not in own}
