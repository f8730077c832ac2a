"""Curves of a few trainings beside each other, for whoever trains in a notebook and keeps no records."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from common import results
from common.checks import require
from common.plotting import style
from common.plotting.curves import (
    X_LABELS,
    NothingToDraw,
    Series,
    draw_curves,
    require_single,
    set_error_axis,
    spread_note,
    with_errors,
)
from common.results.frame import check_choice, diagnostic_columns

__all__ = ["compare"]


def __dir__() -> list[str]:
    return __all__


_ERRORS = ("train_error", "validation_error", "test_error")
_LOSSES = ("train_loss", "validation_loss", "test_loss")


class Framed(Protocol):
    """What has a tidy frame: a `training.History`."""

    def frame(self, **parameters: str) -> pd.DataFrame:
        """Return the frame, with a column for each parameter."""


def compare(
    histories: Mapping[str, Framed | Sequence[Framed]], y: str = "validation_error", *, x: str = "epoch"
) -> style.PaperFigure:
    """Draw a measure of several runs against epochs, steps, seconds or arithmetic.

    Args:
        histories: by the name in the legend, what `train` returned: one `History`, or those of several seeds, which are
            averaged. A diverged run is drawn by itself, and ends in a cross.
        y: "validation_error" (in percent; the mean squared error of a regression), "train_error", a loss such as
            "train_loss", or what a diagnostic measured.
        x: "epoch", "step", "seconds", "cost" or "bytes_sent".

    Returns:
        A figure with one panel, in the project's style; `figure.axes[0]` has the curves, and takes `legend()` and all
        else that matplotlib knows.

    Raises:
        ValueError: no histories, something else than histories, a column that they do not have (with the nearest), two
            runs of one seed under a name, or metrics of several kinds.
        NothingToDraw: no run has a value of `y`.

    Example:
        >>> from common.training import History
        >>> records = [{"epoch": epoch, "step": epoch, "train_metric": 1 - 0.5**epoch} for epoch in (1, 2)]
        >>> figure = compare({"exact": History(records, status="finished")}, "train_error")
        >>> [line.get_ydata().tolist() for line in figure.axes[0].get_lines()]
        [[50.0, 25.0]]
    """
    frames = _frames(histories)
    whole = with_errors(results.combine(frames.values()))
    require_single(whole, ["metric"])
    check_choice("x", x, [name for name in X_LABELS if name in whole])
    check_choice("y", y, list(dict.fromkeys([*_ERRORS, *_LOSSES, *diagnostic_columns(whole)])))
    if whole[y].isna().all():
        raise NothingToDraw(f"no run has a value of {y!r}")
    looks = style.method_styles(frames)
    series = [Series(name, rows, looks[name]) for name, rows in whole.groupby("run", sort=False)]
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.4)
    draw_curves(axes, series, x, y)
    if y in _ERRORS:
        set_error_axis(axes, whole, y.removesuffix("_error"))
    else:
        axes.set_ylabel(y.replace("_", " ").capitalize())
    style.legend(axes)
    style.annotate(drawn, spread_note(series), "", whole)
    return drawn


def _frames(histories: Mapping[str, Framed | Sequence[Framed]]) -> dict[str, pd.DataFrame]:
    """Return a frame for each name, whose rows have it in the column "run"."""
    allowed = "a dictionary such as {'exact': history}, with what train returned"
    require(isinstance(histories, Mapping) and len(histories) > 0, "histories", allowed, histories)
    frames = {}
    for name, given in histories.items():
        of_name: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
        for history in of_name:
            require(callable(getattr(history, "frame", None)), f"histories[{name!r}]", "a History", history)
        require(len(of_name) > 0, f"histories[{name!r}]", "a History, or several", given)
        seeds = [getattr(history, "seed", index) for index, history in enumerate(of_name)]
        require(len(set(seeds)) == len(seeds), f"the seeds of histories[{name!r}]", "different from each other", seeds)
        frames[str(name)] = results.combine(history.frame(run=str(name)) for history in of_name)
    return frames
