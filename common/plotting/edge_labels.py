"""Names at the right edge of a panel, for points at which they would overlap.

    name_at_edge(axes, points, {"SGD": "#000000", "Adam": "#0072B2"})

A thin line leads from each name to its point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import optimize


def name_at_edge(axes: Axes, points: pd.DataFrame, colors: Mapping[str, str], *, size: float = 5) -> None:
    """Write each point's name to the right of the panel, as close to the point's height as the other names allow.

    Args:
        axes: the panel, with its scales and limits set.
        points: columns x and y, in the panel's units; the index holds the names.
        colors: color of each name.
        size: font size, in points of 1/72 inch.
    """
    if points.empty:
        return
    pixels = axes.transData.transform(points[["x", "y"]].to_numpy(float))
    heights = pd.Series(axes.transAxes.inverted().transform(pixels)[:, 1], points.index).sort_values()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout determines the panel's height
    inches = axes.get_position().height * figure.get_size_inches()[1]
    line: dict[str, Any] = {"arrowstyle": "-", "linewidth": 0.4, "alpha": 0.6, "shrinkA": 0, "shrinkB": 2}
    for name, height in zip(heights.index, apart(heights.to_numpy(), 1.3 * size / 72 / inches), strict=True):
        x, y = points.loc[name, ["x", "y"]]
        axes.annotate(
            str(name),
            (x, y),
            xytext=(1.06, height),
            textcoords="axes fraction",
            fontsize=size,
            va="center",
            color=colors[str(name)],
            annotation_clip=False,
            arrowprops=line | {"color": colors[str(name)], "relpos": (0, 0.5)},
        )


def apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Separate ascending heights within 0 to 1 by at least a gap, with the smallest sum of squared moves.

    If they do not fit, the gap is the largest that fits.

    Example:
        >>> apart(np.array([0.5, 0.5, 0.9]), 0.2).round(2).tolist()
        [0.4, 0.6, 0.9]
    """
    gap = min(gap, 1 / len(heights))
    steps = gap * np.arange(len(heights))
    return np.clip(optimize.isotonic_regression(heights - steps).x, gap / 2, 1 - steps[-1] - gap / 2) + steps
