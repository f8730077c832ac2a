"""Figures of 04_evolution_strategies about predictions; `common.plotting` states their contract."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from common import results
from common.experiments.evolution_strategies.run_selection import (
    LIKELIHOOD,
    REFERENCE,
    counted,
    described,
    series_of_group,
)
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, Series, select

MOST_PANELS = 3
MOST_NUMBERS = 30  # epochs for which a panel has room for numbers


def confusion(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final predictions for each class in the source's setting, with one panel per seed."""
    rows = counted(results.last_rows(select(described(frame), run=REFERENCE)))
    if rows.empty:
        raise NothingToDraw(f"the results hold no confusion matrix of {REFERENCE!r}")
    rows = rows.sort_values("seed").head(MOST_PANELS)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, len(rows), sharey=True)
    for axes, (_, row) in zip(panels, rows.iterrows(), strict=True):
        counts = row["confusion"]
        normalized = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        with matplotlib.rc_context(style.RC):
            image = axes.imshow(normalized, cmap="Blues", vmin=0, vmax=1)
            axes.set_xticks(range(len(counts)))
            axes.set_yticks(range(len(counts)))
            never = " and ".join(str(number) for number in np.flatnonzero(counts.sum(0) == 0))
            title = f"seed {row['seed']}: {100 * row['validation_metric']:.1f} % right"
            axes.set_title(f"{title}, never {never}" if never else title)
        axes.grid(False)
        axes.set_xlabel("Predicted class")
        for label, total in zip(axes.get_xticklabels(), counts.sum(0), strict=True):
            if total == 0:
                label.set(color=style.VERMILION, fontweight="bold")
    panels[0].set_ylabel("Class")
    with matplotlib.rc_context(style.RC):
        drawn.colorbar(image, ax=panels, fraction=0.015, pad=0.01, shrink=0.75, label="Share of a class")
    caption = (
        f"Predictions on the validation images of {captions.name(rows)} after epoch {int(rows['epoch'].max())} with "
        f"the source's objective and settings, by true class. Bold labels: classes that are never predicted."
    )
    style.annotate(drawn, "Share of each class' validation images; one panel a seed.", caption, frame)
    return drawn


def never_predicted(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the number of never predicted classes by epoch, one row per run: source's setting, variants, likelihood."""
    rows = counted(frame)
    if rows.empty:
        raise NothingToDraw("the results hold no confusion matrices")
    rows = described(rows)
    series = series_of_group(rows, "source")
    likelihood = select(rows, run=LIKELIHOOD)
    if len(likelihood):
        series.append(Series("likelihood", likelihood, style.method_style("likelihood")))
    if not series:
        raise NothingToDraw("the results hold no run of the group 'source'")
    counts = [curve.frame.pivot_table(index="seed", columns="epoch", values="never") for curve in series]
    places = np.cumsum([0, *(len(of_run) for of_run in counts)])
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.65 + 0.11 * places[-1])
    grid = pd.concat(counts)
    top = max(1.0, float(grid.max().max()))
    with matplotlib.rc_context(style.RC):
        axes.pcolormesh(
            np.append(grid.columns, grid.columns[-1] + 1) - 0.5,
            np.arange(places[-1] + 1),
            grid.to_numpy(),
            cmap="Blues", vmin=0, vmax=1.5 * top, edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        if len(grid.columns) <= MOST_NUMBERS:
            _write_counts(axes, grid, top)
        axes.set_yticks((places[:-1] + places[1:]) / 2, [curve.label for curve in series])
    for place in places[1:-1]:
        axes.axhline(place, color=style.BLACK, linewidth=0.6)
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xlabel("Epochs")
    caption = (
        f"How many classes no validation image of {captions.name(rows)} is predicted to be, after each epoch: the "
        "darker, the more."
    )
    style.annotate(drawn, f"A row for each of {grid.index.nunique()} seeds.", caption, frame)
    return drawn


def _write_counts(axes: Axes, grid: pd.DataFrame, top: float) -> None:
    for row, counts in enumerate(grid.to_numpy()):
        for epoch, count in zip(grid.columns, counts, strict=True):
            if not np.isnan(count):
                color = "white" if count > 0.9 * top else style.BLACK
                axes.text(epoch, row + 0.53, f"{count:.0f}", ha="center", va="center", fontsize=5, color=color)
