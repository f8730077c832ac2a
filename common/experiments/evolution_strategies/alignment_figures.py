"""Figures of 04_evolution_strategies on estimates of the logits' gradient, compared with the exact one.

The estimates are those of the diagnostic `LogitAlignment`, before and after the run "full: likelihood".
"""

import math
from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from common.experiments.evolution_strategies.run_selection import estimates
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, Series, draw_final, spread_note

_AXES = {
    "logit_bias": "Bias / length",
    "logit_variance": "Variance / squared length",
    "logit_cosine": "Cosine to the exact gradient",
}


def alignment(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw bias, variance and cosine of the trained network's estimates against samples, and the untrained's cosine."""
    rows = estimates(frame)
    before, after = rows[rows["epoch"] == 0], rows[rows["epoch"] > 0]
    if after.empty:
        raise NothingToDraw("the results hold no estimates compared with the exact gradient")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, len(_AXES) + bool(len(before)))
    series = _draw(panels[-len(_AXES) :], after)
    stage = f"after epoch {int(after['epoch'].max())}"
    titles = [stage] * len(_AXES)
    if len(before):
        _draw_value(panels[0], _by_estimate(before), "logit_cosine")
        titles.insert(0, "before training")
        panels[0].sharey(panels[-1])
    with matplotlib.rc_context(style.RC):
        for axes, title in zip(panels, titles, strict=True):
            axes.set_title(title)
    _annotate(drawn, series, after, f"before training and {stage} of the run with the likelihood", frame)
    return drawn


def alignment_at_the_start(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw bias, variance and cosine of the estimates against samples, for the untrained network."""
    rows = estimates(frame)
    rows = rows[rows["epoch"] == 0]
    if rows.empty:
        raise NothingToDraw("the results hold no estimates compared with the exact gradient")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, len(_AXES))
    _annotate(drawn, _draw(panels, rows), rows, "before training", frame)
    return drawn


def bias_by_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of the likelihood's bias after training, with most independent samples: a row for each seed.

    Its columns are the seed, the samples, the bias and its part of examples without a right sample (ratios of lengths),
    the cosine, and of the example with the longest exact gradient its share of ‖g‖² and its probability of being right.
    """
    rows = _unseen(estimates(frame))
    rows = rows[(rows["epoch"] == rows["epoch"].max()) & (rows["samples"] == rows["samples"].max())]
    if rows.empty:
        raise NothingToDraw("the results hold no bias of examples without a right sample")
    rows = rows.sort_values("seed")
    return pd.DataFrame(
        {
            "Seed": rows["seed"].astype(int),
            "Samples": rows["samples"].astype(int),
            "Bias / length": rows["logit_bias"].map("{:.2f}".format),
            "Of examples without a right sample": rows["logit_unseen_bias"].map("{:.2f}".format),
            "Cosine": rows["logit_cosine"].map("{:.2f}".format),
            "Share of the longest example": rows["logit_longest_share"].map("{:.0%}".format).str.replace("%", " %"),
            "Its probability of being right": rows["logit_longest_probability"].map("{:.0e}".format),
        }
    ).reset_index(drop=True)


def _draw(panels: Sequence[Axes], rows: pd.DataFrame) -> list[Series]:
    """Draw bias, variance and cosine of the estimates in three panels and return the series."""
    series = _by_estimate(rows)
    for axes, name in zip(panels, _AXES, strict=True):
        _draw_value(axes, series, name)
    panels[0].set_ylim(bottom=0)
    _mark_unseen(panels[0], rows)
    if math.isfinite(panels[1].dataLim.minposy):  # else every run diverged
        panels[1].set_yscale("log")
        style.log_ticks(panels[1].yaxis)
    return series


def _draw_value(axes: Axes, series: Sequence[Series], name: str) -> None:
    draw_final(axes, series, "samples", name, seed_by_seed=True)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis, sorted(pd.concat([curve.frame for curve in series])["samples"].unique()))
    axes.set_xlabel("Samples")
    axes.set_ylabel(_AXES[name])


def _mark_unseen(axes: Axes, rows: pd.DataFrame) -> None:
    known = _unseen(rows)
    with matplotlib.rc_context(style.RC):
        axes.plot(known["samples"].astype(float), known["logit_unseen_bias"], "x", color=style.BLACK, zorder=4)


def _unseen(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the likelihood's independent samples in which the bias of unseen examples was measured."""
    return rows[
        (rows["objective"] == "likelihood") & ~rows["antithetic"].astype(bool) & rows["logit_unseen_bias"].notna()
    ]


def _annotate(
    drawn: style.PaperFigure, series: Sequence[Series], rows: pd.DataFrame, stage: str, frame: pd.DataFrame
) -> None:
    style.legend(drawn.axes[-1], above=4)
    caption = (
        f"Estimates of the gradient on the logits of {captions.name(rows)} {stage}, σ = {rows['sigma'].iloc[0]:g}, "
        "beside the exact one of the same objective, by number of samples; lengths are those of the exact gradient."
    )
    if len(_unseen(rows)):
        caption += " Crosses: the likelihood's bias that is due to examples of which no independent sample was right."
    style.annotate(drawn, spread_note(series, ["samples"], middle=False), caption, frame)


def _by_estimate(rows: pd.DataFrame) -> list[Series]:
    """Return one series per objective in its color, with antithetic samples solid and independent ones dashed."""
    series = []
    for (objective, antithetic), part in rows.groupby(["objective", "antithetic"], sort=True):
        look = style.method_styles([objective])[objective]
        look |= {"linestyle": "-"} if antithetic else {"linestyle": style.DASHED, "markerfacecolor": "white"}
        series.append(Series(f"{objective}, {'antithetic' if antithetic else 'independent'}", part, look))
    return series
