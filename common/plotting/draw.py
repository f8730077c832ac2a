"""Redraw one experiment's figures, tables and pages from its stored results."""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd

from common import results
from common.plotting import latex_tables, style
from common.plotting.curves import NothingToDraw
from common.plotting.tables import Page
from common.user_paths import user_path

Figures = Mapping[str, Callable[[pd.DataFrame], style.PaperFigure]]
Drawing = TypeVar("Drawing", style.PaperFigure, pd.DataFrame)


@dataclass(frozen=True)
class Drawings:
    """The drawings of an experiment's results: maps from a file name without suffix to a function of the frame.

    Attributes:
        figures: figures of the results, or of each result file.
        tables: tables of the same data, for LaTeX.
        pages: tables of the same data, which a browser sorts and filters.
        together: figures that compare result files, such as those of several data sets.
    """

    figures: Figures
    tables: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]]
    pages: Mapping[str, Callable[[pd.DataFrame], Page]] = field(default_factory=dict)
    together: Figures = field(default_factory=dict)


def redraw(
    experiment: str,
    results_folder: str | os.PathLike,
    figures_folder: str | os.PathLike,
    expected: Iterable[str | os.PathLike] = (),
    *,
    drawings: Drawings,
    each: bool = False,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Draw all figures, tables and pages of an experiment; a drawing without data is named and left out.

    Args:
        experiment: notebook stem; results are read from `results_folder`/`experiment`.
        results_folder: folder of a preset, e.g. results/quick.
        figures_folder: output folder, e.g. figures/quick.
        expected: the result files of the figures. If given, only these are read, and the figures state how many are
            missing. If empty, all files in the folder are read.
        drawings: the drawings to make.
        each: draw each result file separately, such as those of several data sets or networks, which few figures mix.
            File names then end in the result file's name: 08_ledger_mnist_mlp from mnist_mlp.parquet. Drawings of
            several files together keep their own names.
        say: function that takes each sentence about files that were written, left out or not found.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: no result file can be read.
    """
    expected = list(expected)
    results_folder, figures_folder = user_path(results_folder), user_path(figures_folder)
    frame = results.read(expected or results_folder / experiment, expected)
    _tell_gaps(frame, say)
    parts = {"": frame}
    if each:
        parts = {f"_{Path(path).stem}": results.read(path) for path in frame.attrs["files"]}
    written: list[Path] = []
    for suffix, part in parts.items():
        written += write_drawings(part, figures_folder, drawings, say, suffix=suffix)
    return written + write_drawings(frame, figures_folder, Drawings(drawings.together, {}), say)


def drawable(
    frame: pd.DataFrame | None,
    *makers: Callable[[pd.DataFrame], Drawing],
    say: Callable[[str], None] = print,
) -> list[Drawing]:
    """Make the figures or tables for which a frame has data, for a notebook: `display(*drawable(frame, plots.curves))`.

    Args:
        frame: the frame of `results.read` or `results.combine`; None, of `results.read_paper`: there are none.
        makers: functions from the frame to a figure or a table; one without data is named and left out.
        say: function that takes each sentence about what was left out.

    Returns:
        The figures or tables, in the order of the functions.
    """
    drawn: list[Drawing] = []
    if frame is None:
        return drawn
    for make in makers:
        try:
            with style.defaults():
                drawn.append(make(frame))
        except NothingToDraw as nothing:
            say(f"left out {make.__name__}: {nothing}")
    return drawn


def write_drawings(
    frame: pd.DataFrame,
    folder: str | os.PathLike,
    drawings: Drawings,
    say: Callable[[str], None],
    *,
    suffix: str = "",
) -> list[Path]:
    """Write all figures, tables and pages of one frame.

    Args:
        frame: a frame of `results.read`.
        folder: output folder.
        drawings: the drawings to make; a drawing without data is named and left out.
        say: function that takes each sentence about files that were written or left out.
        suffix: end of the file names.

    Returns:
        The files written.
    """

    def figure(make: Callable, name: str) -> list[Path]:
        with style.defaults():
            return style.save(make(frame), folder, name, frame)

    def table(make: Callable, name: str) -> list[Path]:
        rows = make(frame)
        if rows.empty:
            raise NothingToDraw("the results hold no row of the table")
        return [latex_tables.write_latex(rows, folder, name, frame)]

    def page(make: Callable, name: str) -> list[Path]:
        from common.plotting.page import write_page  # imports itables, which no other module needs

        return [write_page(make(frame), folder, name, frame)]

    written: list[Path] = []
    for kind, functions in ((figure, drawings.figures), (table, drawings.tables), (page, drawings.pages)):
        for name, make in functions.items():
            named = name + suffix
            written += _attempt(named, folder, say, functools.partial(kind, make, named))
    return written


def _tell_gaps(frame: pd.DataFrame, say: Callable[[str], None]) -> None:
    for path in frame.attrs["missing"]:
        say(f"missing: {path}")
    for path, reason in frame.attrs["unreadable"].items():
        say(f"unreadable: {path} ({reason})")


def _attempt(
    name: str, folder: str | os.PathLike, say: Callable[[str], None], make: Callable[[], list[Path]]
) -> list[Path]:
    try:
        paths = make()
    except NothingToDraw as nothing:
        for ending in (".pdf", ".png", ".txt", ".tex", ".html"):  # a file of earlier results would look current
            (Path(folder) / f"{name}{ending}").unlink(missing_ok=True)
        say(f"left out {name}: {nothing}")
        return []
    for path in paths:
        say(f"wrote {path}")
    return paths
