"""Curves of a few training runs side by side, for notebooks that keep no records."""

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
    """An object with a tidy frame, such as a `training.History`."""

    def frame(self, **parameters: str) -> pd.DataFrame:
        """Return the frame, with one column per parameter."""


def compare(
    histories: Mapping[str, Framed | Sequence[Framed]], y: str = "validation_error", *, x: str = "epoch"
) -> style.PaperFigure:
    """Draw a measure of several runs against epochs, steps, seconds, cost or bytes sent.

    Args:
        histories: maps each name in the legend to the result of `train`: one `History`, or those of several seeds,
            which are averaged. A diverged run has its own curve, which ends in a cross.
        y: "validation_error" (in percent; the mean squared error of a regression), "train_error", a loss such as
            "train_loss", or a measurement of a diagnostic.
        x: "epoch", "step", "seconds", "cost" or "bytes_sent".

    Returns:
        A figure with one panel, in the project's style. `figure.axes[0]` has the curves and supports `legend()` and all
        other methods of matplotlib.

    Raises:
        ValueError: no histories, other objects, a column that they do not have (the message names the nearest), two
            runs of one seed under a name, or several kinds of metric.
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
    """Return one frame per name, with the name in the column "run"."""
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
