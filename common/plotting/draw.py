"""Redraw one experiment's figures and tables from its stored results."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from common import results
from common.plotting import style, tables
from common.plotting.curves import NothingToDraw


def redraw(
    experiment: str,
    results_folder: str | os.PathLike,
    figures_folder: str | os.PathLike,
    expected: Iterable[str | os.PathLike] = (),
    *,
    figures: Mapping[str, Callable[[pd.DataFrame], style.PaperFigure]],
    tabulate: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]],
    each: bool = False,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Draw all figures and tables of an experiment; one that has nothing to show is named and left out.

    Args:
        experiment: notebook stem; results are read from `results_folder`/`experiment`.
        results_folder: folder of a preset, e.g. results/quick.
        figures_folder: where to, e.g. figures/quick.
        expected: the result files that make up the figures. When given, just these are read, and the figures
            say how many are missing; when empty, all files in the folder are read.
        figures: file name without ending -> function from the frame to the figure.
        tabulate: file name without ending -> function from the frame to the table.
        each: draw each result file by itself, such as those of several data sets or networks, which no figure mixes.
            File names then end in the result file's: 08_ledger_mnist_mlp from mnist_mlp.parquet.
        say: takes each sentence about what was written, left out or not found.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: when no result file can be read.
    """
    expected = list(expected)
    frame = results.read(expected or Path(results_folder) / experiment, expected)
    _tell_gaps(frame, say)
    if not each:
        return _draw(frame, "", figures_folder, figures, tabulate, say)
    written: list[Path] = []
    for path in frame.attrs["files"]:
        written += _draw(results.read(path), f"_{Path(path).stem}", figures_folder, figures, tabulate, say)
    return written


def drawable(
    frame: pd.DataFrame,
    *figures: Callable[[pd.DataFrame], style.PaperFigure],
    say: Callable[[str], None] = print,
) -> list[style.PaperFigure]:
    """Draw what can be drawn, for a notebook: `display(*drawable(frame, plots.curves, plots.dropout))`.

    Args:
        frame: the frame of `results.read` or `results.combine`.
        figures: functions from the frame to the figure; one that has nothing to show is named and left out.
        say: takes each sentence about what was left out.

    Returns:
        The figures, in the order of the functions.
    """
    drawn = []
    for make in figures:
        try:
            drawn.append(make(frame))
        except NothingToDraw as nothing:
            say(f"left out {make.__name__}: {nothing}")
    return drawn


def _draw(
    frame: pd.DataFrame,
    suffix: str,
    folder: str | os.PathLike,
    figures: Mapping[str, Callable[[pd.DataFrame], style.PaperFigure]],
    tabulate: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]],
    say: Callable[[str], None],
) -> list[Path]:
    written: list[Path] = []
    for name, make in figures.items():
        written += _attempt(
            name + suffix, folder, say, lambda n=name + suffix, m=make: style.save(m(frame), folder, n, frame)
        )
    for name, make in tabulate.items():
        written += _attempt(
            name + suffix,
            folder,
            say,
            lambda n=name + suffix, m=make: [tables.write_latex(m(frame), folder, n, frame)],
        )
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
        for ending in (
            ".pdf",
            ".png",
            ".txt",
            ".tex",
        ):  # a figure of former results would pass for one of these
            (Path(folder) / f"{name}{ending}").unlink(missing_ok=True)
        say(f"left out {name}: {nothing}")
        return []
    for path in paths:
        say(f"wrote {path}")
    return paths
