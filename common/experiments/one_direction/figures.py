"""Figures and tables of 00_one_direction: one source of a direction compared with backpropagation.

`common.plotting` states the contract of every figure.
"""

from __future__ import annotations

import pandas as pd

from common import results
from common.plotting import captions, style, tables
from common.plotting.curves import (
    NothingToDraw,
    draw_curves,
    error_name,
    series_by_run,
    set_error_axis,
    spread_note,
)

AGAINST = ("epoch", "cost", "seconds")


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error against its costs: epochs, gradients of one example, seconds."""
    frame = captions.prepared(frame)
    part, series = captions.part(frame), series_by_run(frame)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.3, len(AGAINST), sharey=True)
    for axes, x in zip(panels, AGAINST, strict=True):
        draw_curves(axes, series, x, f"{part}_error")
    set_error_axis(panels[0], frame, part)
    style.legend(panels[0])
    caption = f"{error_name(frame, part)} on {captions.name(frame)} against epochs, arithmetic and time."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def cosine(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the cosine of the angle between the direction and the exact gradient of the same minibatch."""
    frame = captions.prepared(frame)
    if "cosine" not in frame or frame["cosine"].isna().all():
        raise NothingToDraw("the results hold no cosine with the exact gradient")
    series = series_by_run(frame)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.4)
    draw_curves(axes, series, "epoch", "cosine")
    axes.axhline(0, color=style.BLACK, linewidth=0.6)
    axes.set_ylabel("Cosine with the exact gradient")
    style.legend(axes)
    caption = f"Direction and exact gradient of the same minibatches, on {captions.name(frame)}."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate error, cosine and costs of each direction."""
    frame = captions.prepared(frame)
    errors = tables.errors(frame)
    values = errors | {
        "cosine": tables.Value("Cosine", digits=3),
        "cost": tables.Value("Gradients of one example", digits=0, outcome=False),
    }
    tabulated = tables.setting_table(frame, {"run": "Direction"}, values)
    caption = f"Errors on {captions.name(frame)}, cosine with the exact gradient of the same minibatch, and arithmetic."
    lowest = [value.header for value in errors.values()]
    return tables.printed(tabulated, caption, lowest=lowest).set_index("Direction")


def seconds(frame: pd.DataFrame) -> pd.Series:
    """Return the mean training seconds of each direction, as measured on this machine."""
    rows = results.last_rows(frame)
    return rows.groupby("run", sort=False)["seconds"].mean().round(2).rename("Training seconds")


FIGURES = {"00_direction_curves": curves, "00_direction_cosine": cosine}
TABLES = {"00_direction_table": table}
