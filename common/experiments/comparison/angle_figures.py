"""The figure of feedback's angles: does each layer of the network align with the matrices that bring the error back?"""

from __future__ import annotations

import pandas as pd

from common.experiments.comparison.run_selection import at_first_place, line_style, names, with_passes
from common.experiments.comparison.sources import ALIGNED, ANGLES_SUFFIX
from common.plotting import style
from common.plotting.curves import NothingToDraw, Series, draw_curves, select, spread_note

_PREFIX = "angle_"


def angles(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the angle between direction and exact gradient for each layer during training, a panel per source.

    Raises:
        NothingToDraw: the results hold no run in which the angles were measured.
    """
    frame = at_first_place(frame)
    runs = {name: select(frame, group=ALIGNED, run=f"{name}{ANGLES_SUFFIX}") for name in names(frame)}
    runs = {name: with_passes(rows) for name, rows in runs.items() if len(rows)}
    if not runs:
        raise NothingToDraw("the results hold no angles of layers")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, len(runs), sharey=True)
    for axes, (name, rows) in zip(panels, runs.items(), strict=True):
        layers = [column for column in rows if column.startswith(_PREFIX) and rows[column].notna().any()]
        series = [Series(f"layer {number}", rows, line_style(number - 1)) for number in range(1, len(layers) + 1)]
        for curve, column in zip(series, layers, strict=True):
            draw_curves(axes, [curve], "passes", column)
        axes.axhline(90, color=style.GRAY, linewidth=0.8, linestyle=style.DASHED)
        axes.set_title(name, fontsize=7)
        axes.set_ylim(-3, 95)
        axes.set_yticks(range(0, 91, 15))
        axes.set_xlabel("Arithmetic (passes of backprop.)")
    panels[0].set_ylabel("Angle with the exact gradient (°)")
    style.legend(panels[-1], above=4)
    caption = (
        f"Angle between the direction and the exact gradient of the same minibatch on {frame['place'].iloc[0]}, for "
        "the weights of each layer, along the runs of sources that bring the error back through other matrices. "
        "Dashed: a right angle. The last layer's part is exact."
    )
    style.annotate(drawn, spread_note([Series(name, rows) for name, rows in runs.items()]), caption, frame)
    return drawn
