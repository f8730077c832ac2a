"""Figures of 04_evolution_strategies about predictions and estimates; their contract is said in `common.plotting`.

A run's `budget` says what it is for: `source` and `full` for the curves, `sweep` for final values. Rows of `alignment`
are no runs of their own but estimates compared with the exact gradient on the network of the run "full: likelihood".
"""

import math
import re

import matplotlib
import numpy as np
import pandas as pd

from common import results
from common.plotting import captions as subject
from common.plotting import style
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    select,
    series_by_setting,
    spread_note,
)

BUDGETS = ("source", "full", "sweep")
MOST_PANELS = 3
_REFERENCE = "source: smoothed accuracy"  # the notebook's name of the run with the source's settings
_ALIGNMENT_AXES = {
    "logit_bias": "Bias / length",
    "logit_variance": "Variance / squared length",
    "logit_cosine": "Cosine to the exact gradient",
}


def on_logits(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs on the logits, with errors; see `subject.prepared` for what is refused."""
    return subject.prepared(frame[frame["budget"].isin([*BUDGETS, "alignment"])])


def series_of_budget(frame: pd.DataFrame, budget: str) -> list[Series]:
    """Make a series of every setting of a budget, in the order in which they were run."""
    return series_by_setting(select(frame, budget=budget), f"{budget}: ")


def confusion(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw what the network of the source's setting predicts for each class at the end, a panel a seed."""
    frame = on_logits(frame)
    rows = results.last_rows(select(frame, setting=_REFERENCE))
    rows = rows[_counted(rows)].sort_values("seed").head(MOST_PANELS)
    if rows.empty:
        raise NothingToDraw(f"the results hold no confusion matrix of {_REFERENCE!r}")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, len(rows), sharey=True)
    for axes, (_, row) in zip(panels, rows.iterrows(), strict=True):
        counts = _matrix(row)
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        with matplotlib.rc_context(style.RC):
            image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
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
    never = [f"{(_matrix(row).sum(0) == 0).sum()}" for _, row in rows.iterrows()]
    caption = (
        f"Predictions on the validation images of {subject.name(frame)} after epoch {int(rows['epoch'].max())} with "
        f"the source's objective and settings, by true class. Red: classes never predicted ({', '.join(never)})."
    )
    style.annotate(drawn, "Share of each class' validation images; one panel a seed.", caption, frame)
    return drawn


def never_predicted(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw how many classes are never predicted against epochs: the source's setting, its variants, the likelihood."""
    frame = on_logits(frame)
    rows = pd.concat([select(frame, budget=name) for name in ("source", "full")])
    rows = rows[_counted(rows)]
    if rows.empty:
        raise NothingToDraw("the results hold no confusion matrices")
    missing = [float((_matrix(row).sum(0) == 0).sum()) for _, row in rows.iterrows()]
    rows = rows.assign(never=missing)
    series = series_of_budget(rows, "source")
    likelihood = select(rows, setting="full: likelihood")
    if len(likelihood):
        series.append(Series("likelihood", likelihood, style.group_style(len(series))))
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    draw_curves(axes, series, "epoch", "never")
    axes.set_ylim(bottom=-0.1)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("Classes never predicted")
    style.legend(axes, above=3)
    caption = f"How many classes no validation image of {subject.name(frame)} is predicted to be, after each epoch."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def alignment(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw bias, variance and cosine of the estimates against samples, on the logits of the trained network."""
    return _draw_alignment(frame, trained=True)


def alignment_at_the_start(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw bias, variance and cosine of the estimates against samples, on the logits of the untrained network."""
    return _draw_alignment(frame, trained=False)


def _draw_alignment(frame: pd.DataFrame, *, trained: bool) -> style.PaperFigure:
    frame = on_logits(frame)
    rows = select(frame, budget="alignment")
    rows = rows[(rows["epoch"] > 0) == trained]
    if rows.empty:
        raise NothingToDraw("the results hold no estimates compared with the exact gradient")
    series = _by_estimate(rows)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, len(_ALIGNMENT_AXES))
    for axes, (name, label) in zip(panels, _ALIGNMENT_AXES.items(), strict=True):
        draw_final(axes, series, "samples", name)
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis, sorted(rows["samples"].unique()))
        axes.set_xlabel("Samples")
        axes.set_ylabel(label)
    panels[0].set_ylim(bottom=0)
    if math.isfinite(panels[1].dataLim.minposy):  # else every run diverged
        panels[1].set_yscale("log")
        style.log_ticks(panels[1].yaxis)
    style.legend(panels[2], above=4)
    stage = f"after epoch {int(rows['epoch'].max())} of the run with the likelihood" if trained else "before training"
    caption = (
        f"Estimates of the gradient on the logits of {subject.name(frame)} {stage}, σ = {rows['sigma'].iloc[0]:g}, "
        "beside the exact one of the same objective, by number of samples; lengths are those of the exact gradient."
    )
    style.annotate(drawn, spread_note(series, ["samples"]), caption, frame)
    return drawn


def _by_estimate(rows: pd.DataFrame) -> list[Series]:
    """Make a series of every objective in its color, antithetic samples solid, independent ones dashed."""
    series = []
    for (objective, antithetic), part in rows.groupby(["objective", "antithetic"], sort=True):
        look = style.group_style(0 if objective == "likelihood" else 1)
        look |= {"linestyle": "-"} if antithetic else {"linestyle": style.DASHED, "markerfacecolor": "white"}
        series.append(Series(f"{objective}, {'antithetic' if antithetic else 'independent'}", part, look))
    return series


def _counted(rows: pd.DataFrame) -> pd.Series:
    """Tell which rows have a confusion matrix."""
    if "confusion_0_0" not in rows:
        return pd.Series(False, index=rows.index)
    return rows["confusion_0_0"].notna()


def _matrix(row: pd.Series) -> np.ndarray:
    """Return a row's confusion matrix, (classes, classes): true class by predicted class."""
    names = [name for name in row.index if re.fullmatch(r"confusion_\d+_\d+", name) and pd.notna(row[name])]
    counts = np.array([row[name] for name in names], float)
    classes = round(len(counts) ** 0.5)
    places = [[int(part) for part in name.split("_")[1:]] for name in names]
    matrix = np.zeros((classes, classes))
    matrix[tuple(np.transpose(places))] = counts
    return matrix
