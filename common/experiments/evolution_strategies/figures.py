"""Figures and table of 04_evolution_strategies: learning from right or wrong, by samples and noise.

`prediction_figures` shows predictions, and `alignment_figures` shows the quality of the estimates. `common.plotting`
states the contract of every figure.
"""

import pandas as pd
from matplotlib.axes import Axes

from common.experiments.evolution_strategies.alignment_figures import alignment, alignment_at_the_start, bias_by_seed
from common.experiments.evolution_strategies.prediction_figures import confusion, never_predicted
from common.experiments.evolution_strategies.run_selection import described, series_of_group
from common.plotting import captions, style, tables
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    draw_level,
    error_name,
    select,
    set_error_axis,
    spread_note,
)

# Before training, the notebook shows more of the estimates than the paper.
__all__ = ["FIGURES", "TABLES", "alignment", "alignment_at_the_start", "bias_by_seed", "confusion", "curves"]
__all__ += ["never_predicted", "sweeps", "table"]

# The source's validation errors (%) on MNIST with LeNet-5: after its first epoch, and on its plateau of 22 epochs.
SOURCE_FIRST_ERROR = 100 - 78.7
SOURCE_PLATEAU = (100 - 88, 100 - 84)


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error against epochs: the source's objective, its variants, and the likelihood beside cross-entropy."""
    runs = described(frame)
    left, right = (series_of_group(runs, group) for group in ("source", "full"))
    if not left or not right:
        raise NothingToDraw("the results hold no runs of the groups 'source' and 'full'")
    part = captions.part(runs)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, 2)
    for axes, series in zip(panels, (left, right), strict=True):
        draw_curves(axes, series, "epoch", f"{part}_error")
    if _is_source(runs):
        _draw_source(panels[0])
    for axes in panels:
        set_error_axis(axes, runs, part)
    if panels[0].get_yscale() == "log":
        panels[0].set_ylim(top=1.7 * panels[0].get_ylim()[1])  # room for the legend
    panels[0].legend(ncols=2, loc="upper right")
    style.legend(panels[1])
    first = left[0].frame.iloc[0]
    caption = (
        f"{error_name(runs, part)} on {captions.name(runs)}, batch {first['batch_size']}, Adam. Left: "
        f"climbing the accuracy under noise on the logits with the source's settings, σ = {first['sigma']:g}, "
        f"{first['samples']} samples, and variants of them. Right: climbing the logarithm of the probability "
        f"of being right, σ = {right[0].frame['sigma'].iloc[0]:g}, rate falling to zero, beside cross-entropy. The "
        "panels' errors have axes of their own."
    )
    if _is_source(runs):
        caption += _beside_source(left[0], f"{part}_error")
    style.annotate(drawn, spread_note([*left, *right]), caption, frame)
    return drawn


def sweeps(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final error against the number of samples and against σ, with that of cross-entropy."""
    runs = select(described(frame), group="sweep")
    sampled = select(runs, method="LogitEvolution")
    likelihood = select(sampled, objective="likelihood")
    if likelihood.empty:
        raise NothingToDraw("the results hold no sweep")
    part = captions.part(runs)
    by_samples = [Series("likelihood", _usual(likelihood, "sigma"), style.method_style("likelihood"))]
    by_sigma = [
        Series(name, _usual(select(sampled, objective=name), "samples"), style.method_style(name))
        for name in ("likelihood", "smoothed accuracy")
    ]
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.4, 2, sharey=True)
    draw_final(panels[0], by_samples, "samples", f"{part}_error")
    draw_final(panels[1], by_sigma, "sigma", f"{part}_error")
    for axes, label in zip(panels, ("Samples of each example at each step", "Noise standard deviation σ"), strict=True):
        draw_level(axes, select(runs, method="Backpropagation"), f"{part}_error", "cross-entropy")
        axes.set_xscale("log")
        axes.set_xlabel(label)
    style.log_ticks(panels[0].xaxis, sorted(by_samples[0].frame["samples"].unique()))
    style.log_ticks(panels[1].xaxis, sorted(sampled["sigma"].unique()))
    set_error_axis(panels[0], runs, part)
    style.legend(panels[1], above=3)
    caption = (
        f"{error_name(runs, part)} on {captions.name(runs)} after {int(runs['epoch'].max())} epochs, antithetic "
        f"samples, rate falling to zero. Left: against samples, σ = {by_samples[0].frame['sigma'].iloc[0]:g}. "
        f"Right: against σ, {by_sigma[0].frame['samples'].iloc[0]} samples. Dashed: cross-entropy by backpropagation."
    )
    style.annotate(drawn, spread_note([*by_samples, *by_sigma], ["samples", "sigma"]), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate validation and test error of every run over the seeds."""
    keys = {"group": "Runs", "run": "Setting", "learning_rate": "Rate", "samples": "Samples"}
    runs = described(frame)
    values = tables.errors(runs)
    tabulated = tables.setting_table(runs, keys, values)
    samples = ["-" if count == 0 else f"{count}" for count in tabulated["Samples"]]  # an exact gradient takes none
    tabulated = tabulated.assign(Rate=tabulated["Rate"].map("{:.3g}".format), Samples=samples)
    caption = (
        f"Errors on {captions.name(runs)}, learned from being right or wrong: with the source's settings, with the "
        "full budget, and in a sweep of fewer epochs."
    )
    lowest = [value.header for value in values.values()]
    return tables.printed(tabulated, caption, lowest=lowest, groups=keys["group"])


FIGURES = {
    "04_evolution_curves": curves,
    "04_evolution_confusion": confusion,
    "04_evolution_never_predicted": never_predicted,
    "04_evolution_sweeps": sweeps,
    "04_evolution_alignment": alignment,
}
TABLES = {"04_evolution_table": table}


def _usual(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the runs of a sweep that have its most frequent value."""
    values = runs.drop_duplicates("run")[name]
    return runs[runs[name] == values.mode().iloc[0]]


def _is_source(frame: pd.DataFrame) -> bool:
    return bool((frame["dataset"] == "mnist").all() and (frame["network"] == "lenet5").all())


def _draw_source(axes: Axes) -> None:
    axes.plot([1], [SOURCE_FIRST_ERROR], label="source, epoch 1", **style.SOURCE_LOOK)
    axes.axhspan(*SOURCE_PLATEAU, color=style.GRAY, alpha=0.15, linewidth=0, label="source, plateau to epoch 22")


def _beside_source(series: Series, value: str) -> str:
    """Return the sentence that has the source's errors beside the means of the run with its settings."""
    means = select(series.frame, status="finished").groupby("epoch")[value].mean()
    if means.dropna().empty:
        return ""
    return (
        f" The source has {SOURCE_FIRST_ERROR:.1f} % after its first epoch and {SOURCE_PLATEAU[0]} to "
        f"{SOURCE_PLATEAU[1]} % on its plateau; with its settings ({series.label}), our mean is {means.iloc[0]:.1f} % "
        f"after the first epoch and {means.iloc[-1]:.1f} % at the end."
    )
