"""Figures of 04_evolution_strategies about predictions; `common.plotting` states their contract."""

import matplotlib
import numpy as np
import pandas as pd
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
from common.plotting.curves import NothingToDraw, Series, draw_curves, select, spread_note

MOST_PANELS = 3


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
            axes.set_title(f"seed {row['seed']}: {100 * row['validation_metric']:.1f} % right")
        axes.grid(False)
        axes.set_xlabel("Predicted class")
        for label, total in zip(axes.get_xticklabels(), counts.sum(0), strict=True):
            if total == 0:
                label.set(color=style.VERMILION, fontweight="bold")
    panels[0].set_ylabel("Class")
    with matplotlib.rc_context(style.RC):
        drawn.colorbar(image, ax=panels, shrink=0.75, label="Share of a class")
    never = ", ".join(f"{number:.0f}" for number in rows["never"])
    caption = (
        f"Predictions on the validation images of {captions.name(rows)} after epoch {int(rows['epoch'].max())} with "
        f"the source's objective and settings, by true class. Red: classes never predicted ({never})."
    )
    style.annotate(drawn, "Share of each class' validation images; one panel a seed.", caption, frame)
    return drawn


def never_predicted(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the number of never predicted classes against epochs: source's setting, its variants, likelihood."""
    rows = counted(frame)
    if rows.empty:
        raise NothingToDraw("the results hold no confusion matrices")
    rows = described(rows)
    series = series_of_group(rows, "source")
    likelihood = select(rows, run=LIKELIHOOD)
    if len(likelihood):
        series.append(Series("likelihood", likelihood, style.method_style("likelihood")))
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    draw_curves(axes, series, "epoch", "never")
    axes.set_ylim(bottom=-0.1)
    axes.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.set_ylabel("Classes never predicted")
    style.legend(axes, above=3)
    caption = f"How many classes no validation image of {captions.name(rows)} is predicted to be, after each epoch."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn
