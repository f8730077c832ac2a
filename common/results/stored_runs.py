"""The single runs in result files and stores: each with its rows, unchanged, and its place."""

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
        number: the run's index in the file, from 0.
        frame: its rows in the order of their epochs; there is at least one.
    """

    path: Path
    number: int
    frame: pd.DataFrame

    def value(self, column: str) -> Any:
        """Return a column's value in the run's last row; None if it is missing, or if there is no such column."""
        value = self.frame[column].iloc[-1] if column in self.frame else None
        return None if pd.api.types.is_scalar(value) and pd.isna(value) else value

    @property
    def name(self) -> str:
        """Name of the run in its plan."""
        return str(self.value("run") or self.value("method"))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.value("seed"))

    @property
    def digest(self) -> str:
        """The key by which a store finds the run; empty if it is not stored."""
        return str(self.value("digest") or "")

    def __str__(self) -> str:
        return f"{self.value('experiment')}, {self.name!r}, seed {self.seed}"


def stored_runs(paths: Paths) -> tuple[list[StoredRun], dict[str, str]]:
    """List the runs of some result files, stores, and folders of these.

    Returns:
        The runs, in the order of the files and within them; and, by path, the reasons why files cannot be read.

    Raises:
        FileNotFoundError: a path does not exist.
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
