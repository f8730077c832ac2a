"""Figures of 04_evolution_strategies on estimates of the logits' gradient, compared with the exact one.

The estimates are those of the diagnostic `LogitAlignment`, before and after the run "full: likelihood".
"""

import math

import pandas as pd

from common.experiments.evolution_strategies.run_selection import estimates
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, Series, draw_final, spread_note

_AXES = {
    "logit_bias": "Bias / length",
    "logit_variance": "Variance / squared length",
    "logit_cosine": "Cosine to the exact gradient",
}


def alignment(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw bias, variance and cosine of the estimates against samples, on the logits of the trained network."""
    return _draw(frame, trained=True)


def alignment_at_the_start(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw bias, variance and cosine of the estimates against samples, for the untrained network."""
    return _draw(frame, trained=False)


def _draw(frame: pd.DataFrame, *, trained: bool) -> style.PaperFigure:
    rows = estimates(frame)
    rows = rows[(rows["epoch"] > 0) == trained]
    if rows.empty:
        raise NothingToDraw("the results hold no estimates compared with the exact gradient")
    series = _by_estimate(rows)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, len(_AXES))
    for axes, (name, label) in zip(panels, _AXES.items(), strict=True):
        draw_final(axes, series, "samples", name, seed_by_seed=True)
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
        f"Estimates of the gradient on the logits of {captions.name(rows)} {stage}, σ = {rows['sigma'].iloc[0]:g}, "
        "beside the exact one of the same objective, by number of samples; lengths are those of the exact gradient."
    )
    style.annotate(drawn, spread_note(series, ["samples"], middle=False), caption, frame)
    return drawn


def _by_estimate(rows: pd.DataFrame) -> list[Series]:
    """Return one series per objective in its color, with antithetic samples solid and independent ones dashed."""
    series = []
    for (objective, antithetic), part in rows.groupby(["objective", "antithetic"], sort=True):
        look = style.method_styles([objective])[objective]
        look |= {"linestyle": "-"} if antithetic else {"linestyle": style.DASHED, "markerfacecolor": "white"}
        series.append(Series(f"{objective}, {'antithetic' if antithetic else 'independent'}", part, look))
    return series
