"""Figures on agreement: direction and trained error, and the order of sources on other data and networks."""

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
    gains,
    has_own_direction,
    mean_by_source,
    names,
    places,
    with_places,
)
from common.plotting import style
from common.plotting.curves import NothingToDraw
from common.plotting.edge_labels import name_at_edge


def agreement(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw error against the cosine with the exact gradient, and against the gain of one step per arithmetic."""
    frame = at_first_place(frame)
    points_of = predictors(frame)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.2, 2, sharey=True)
    words = []
    labels = {
        "cosine": "Cosine with the exact gradient",
        "gain": "Decrease of the loss by one step\n÷ (the exact gradient's × arithmetic)",
    }
    for axes, (value, label) in zip(panels, labels.items(), strict=True):
        points = points_of[value]
        _scatter(axes, points)
        axes.set_xlabel(label)
        words.append(rank_correlation(points))
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


def predictors(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what may predict the error ratio: the cosine, and the gain of a step per arithmetic, after the first pass.

    Returns:
        For "cosine" and "gain" a row for each source with a direction of its own: x, the predictor, and y, the ratio.

    Raises:
        NothingToDraw: no directions were compared after the first pass.
    """
    ratio, looked = mean_by_source(final(frame), "error_ratio"), aligned(frame, [1])
    if looked.empty:
        raise NothingToDraw("the results hold no directions that were compared after the first pass")
    values = {
        "cosine": mean_by_source(looked, "aligned_cosine"),
        "gain": gains(looked).set_index("run")["per_cost"],
    }
    own = [name for name in names(frame) if has_own_direction(name)]
    points = {name: pd.DataFrame({"x": x, "y": ratio}).reindex(own).dropna() for name, x in values.items()}
    return {name: rows[rows["x"] > 0] for name, rows in points.items()}


def rank_correlation(points: pd.DataFrame) -> str:
    """Return Spearman's rank correlation of x and y in words, with the number of sources."""
    return f"{stats.spearmanr(points['x'], points['y']).statistic:+.2f} over {len(points)} sources"


def ranks(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error ratios on other data, or of another network, against those of the first place."""
    frame = with_places(frame)
    first, *others = places(frame) or [""]
    # One thing changes from the first place: the data, or the network.
    others = [place for place in others if sum(map(str.__ne__, _parts(first), _parts(place))) == 1]
    if not others:
        raise NothingToDraw("the results hold one data set and one network only")
    width = style.SINGLE_COLUMN if len(others) == 1 else style.DOUBLE_COLUMN
    drawn, panels = style.figure(width, 3.2, len(others))
    words = []
    for axes, other in zip(panels, others, strict=True):
        points = error_ratios(at_place(frame, first), at_place(frame, other))
        _scatter(axes, points)
        low, high = points.min().min(), points.max().max()
        limits = axes.get_ylim()
        axes.plot([low, high], [low, high], color=style.GRAY, linewidth=0.6, zorder=0)
        axes.set_ylim(limits)  # of the points: the line may leave them
        style.log_ticks(axes.yaxis)
        axes.set_xlabel(f"Error ratio, {first}")
        axes.set_ylabel(f"Error ratio, {other}")
        agreed = stats.spearmanr(points["x"], points["y"]).statistic
        words.append(f"{agreed:+.2f} over {len(points)} sources on {other}")
    caption = (
        f"Does the order of sources hold elsewhere? Test error over backpropagation's on {' and on '.join(others)}, "
        f"against {first}."
    )
    style.annotate(drawn, f"Means over the seeds. Spearman's rank correlation {', '.join(words)}.", caption, frame)
    return drawn


def _parts(place: str) -> tuple[str, str]:
    """Return the names of data set and network."""
    data, _, network = place.rpartition(" (")
    return data, network


def _scatter(axes: Axes, points: pd.DataFrame) -> None:
    """Draw points on two log scales, named at the right edge: near backpropagation most names would overlap."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for name, row in points.iterrows():
        axes.plot(row["x"], row["y"], "o", color=color_of(name), markersize=3.5)
    style.log_ticks(axes.xaxis)
    name_at_edge(axes, points, {name: color_of(name) for name in points.index})
