"""The runs that result files and stores hold, each by itself: its rows as they are in its file, and its place."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from common.results.collection import Paths
from common.results.files import listed, load_all, result_files
from common.results.frame import run_columns


@dataclass(frozen=True)
class StoredRun:
    """One run with one seed.

    Attributes:
        path: the file that holds it.
        number: which of the file's runs it is, from 0.
        frame: its rows in the order of their epochs, at least one.
    """

    path: Path
    number: int
    frame: pd.DataFrame

    def value(self, column: str) -> Any:
        """Return what a column says in the run's last row; None where it says nothing, or where there is none."""
        value = self.frame[column].iloc[-1] if column in self.frame else None
        return None if pd.api.types.is_scalar(value) and pd.isna(value) else value

    @property
    def name(self) -> str:
        """The run's name in its plan."""
        return str(self.value("run") or self.value("method"))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.value("seed"))

    @property
    def digest(self) -> str:
        """What a store finds it by; empty where that is not stored."""
        return str(self.value("digest") or "")

    def __str__(self) -> str:
        return f"{self.value('experiment')}, {self.name!r}, seed {self.seed}"


def stored_runs(paths: Paths) -> tuple[list[StoredRun], dict[str, str]]:
    """List the runs of some result files, stores, and folders of these.

    Returns:
        The runs, in the order of the files and within them, and by path why a file cannot be read.

    Raises:
        FileNotFoundError: a path that does not exist.
    """
    for root in listed(paths):
        if not Path(root).exists():
            raise FileNotFoundError(f"{root} does not exist")
    loaded, unreadable = load_all(result_files(listed(paths)))
    return [run for path, file in loaded.items() for run in _runs_of(Path(path), file.frame)], unreadable


def _runs_of(path: Path, frame: pd.DataFrame) -> Iterator[StoredRun]:
    groups = frame.groupby(run_columns(frame), dropna=False, sort=False)
    for number, (_, rows) in enumerate(groups):
        yield StoredRun(path, number, rows.sort_values("epoch", kind="stable").reset_index(drop=True))
