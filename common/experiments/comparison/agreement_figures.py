"""Figures on agreement: direction and trained error, and the order of sources on two data sets."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from common.experiments.comparison.run_selection import (
    aligned,
    at_first_place,
    at_place,
    color_of,
    error_ratios,
    final,
    mean_by_source,
    names,
    places,
    with_places,
)
from common.experiments.comparison.sources import BASELINE, source
from common.plotting import style
from common.plotting.curves import NothingToDraw
from common.plotting.edge_labels import name_at_edge


def agreement(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw error against the cosine with the exact gradient, and against the gain of one step per arithmetic."""
    frame = at_first_place(frame)
    ratio, looked = mean_by_source(final(frame), "error_ratio"), aligned(frame, [1])
    if looked.empty:
        raise NothingToDraw("the results hold no directions that were compared after the first pass")
    exact = looked[looked["run"] == BASELINE].set_index("seed")["aligned_decrease"]
    gain = looked["aligned_decrease"] / looked["seed"].map(exact) / looked["aligned_cost"]
    looked = looked.assign(gain=gain)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.2, 2, sharey=True)
    # Rows about the optimizer share one estimator, and networks with batch norm were not looked at.
    own = [name for name in names(frame) if name == BASELINE or _has_direction(name)]
    words = []
    labels = {
        "aligned_cosine": "Cosine with the exact gradient",
        "gain": "Decrease of the loss by one step\n÷ (the exact gradient's × arithmetic)",
    }
    for axes, (value, label) in zip(panels, labels.items(), strict=True):
        points = pd.DataFrame({"x": mean_by_source(looked, value), "y": ratio}).dropna().reindex(own).dropna()
        points = points[points["x"] > 0]
        _scatter(axes, points)
        axes.set_xlabel(label)
        words.append(f"{stats.spearmanr(points['x'], points['y']).statistic:+.2f} over {len(points)} sources")
    panels[0].set_ylabel("Test error ÷ backpropagation's")
    style.log_ticks(panels[0].yaxis)
    caption = (
        f"What a direction is worth at the weights of backpropagation after its first pass, and what training along it "
        f"gives, on {frame['place'].iloc[0]}. Left: cosine with the exact gradient of the same minibatch. Right: the "
        "decrease of the loss by one step of the best length, per arithmetic."
    )
    note = f"Means over the seeds. Spearman's rank correlation: left {words[0]}, right {words[1]}."
    style.annotate(drawn, note, caption, frame)
    return drawn


def ranks(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error ratios of the second data set against those of the first, on the same network."""
    frame = with_places(frame)
    first, *others = places(frame) or [""]
    network = first.rsplit(" ", 1)[-1]
    others = [place for place in others if place.rsplit(" ", 1)[-1] == network]
    if not others:
        raise NothingToDraw("the results hold one data set only")
    points = error_ratios(at_place(frame, first), at_place(frame, others[0]))
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 3.2)
    _scatter(axes, points)
    low, high = points.min().min(), points.max().max()
    limits = axes.get_ylim()
    axes.plot([low, high], [low, high], color=style.GRAY, linewidth=0.6, zorder=0)
    axes.set_ylim(limits)  # of the points: the line may leave them
    style.log_ticks(axes.yaxis)
    axes.set_xlabel(f"Test error ÷ backpropagation's, {_title(first)}")
    axes.set_ylabel(f"Test error ÷ backpropagation's, {_title(others[0])}")
    agreed = stats.spearmanr(points["x"], points["y"]).statistic
    caption = f"Does the order of sources hold on other data? Error ratios on {others[0]} against those on {first}."
    note = f"Means over the seeds. Spearman's rank correlation {agreed:+.2f} over {len(points)} sources."
    style.annotate(drawn, note, caption, frame)
    return drawn


def _title(place: str) -> str:
    return place.rsplit(" (", 1)[0]


def _has_direction(name: str) -> bool:
    row = source(name)
    return row.family != "exact gradient" and not row.normalised


def _scatter(axes: Axes, points: pd.DataFrame) -> None:
    """Draw points on two log scales, named at the right edge: near backpropagation most names would overlap."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for name, row in points.iterrows():
        axes.plot(row["x"], row["y"], "o", color=color_of(name), markersize=3.5)
    style.log_ticks(axes.xaxis)
    name_at_edge(axes, points, {name: color_of(name) for name in points.index})
