"""Figures and tables of 05_low_rank_hessian: methods, causes of failure and sweeps.

`spectrum_figures` shows the Hessian, and `saddle_figures` shows the artificial saddle. Every function takes the frame
of `results.read` and returns a figure. In the notebook, the frame is that of `train_all`, with its measurements in
`attrs`.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from common import results
from common.experiments.low_rank_hessian.run_selection import has_trials, networks
from common.experiments.low_rank_hessian.saddle_figures import saddle
from common.experiments.low_rank_hessian.spectrum_figures import eigenpairs, spectra, spectrum
from common.experiments.low_rank_hessian.target_tables import times
from common.plotting import captions, style, tables
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_rows,
    error_name,
    select,
    series_by_run,
    set_error_axis,
    spread_note,
)

__all__ = [
    "FIGURES",
    "TABLES",
    "causes",
    "curves",
    "eigenpairs",
    "large_batch",
    "milestones",
    "saddle",
    "spectra",
    "spectrum",
    "sweeps",
    "table",
    "times",
    "trials",
]

AS_SOURCE = "all of these, as the source"  # the notebook's name of the run with all of the source's settings
# The source's best error (%) on MNIST, after 20 sweeps, its unit of cost; and its damping, which regularises too.
SOURCE_ERROR, SOURCE_PASSES = 100 - 20.3, 20
SOURCE_GAMMA = 0.1


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw each method's error against epochs, gradients and seconds.

    The other figures have the same contract.

    Args:
        frame: rows of this experiment on one data set, network and precision, with several runs and seeds.

    Returns:
        The figure; in a notebook, the last line of a cell shows it.

    Raises:
        NothingToDraw: the frame has no data for the figure.
        ValueError: the frame mixes data sets, networks or precisions, or holds a seed twice.
    """
    return _curves(frame, "full")


def large_batch(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the same for the methods that also ran with large batches."""
    return _curves(frame, "large batch")


def causes(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final error of the recipe, with each of the source's causes of failure, and with all of them."""
    runs = select(networks(frame), group="cause")
    if runs.empty:
        raise NothingToDraw("the results hold no cause of failure")
    part = captions.part(runs)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.21 * runs["run"].nunique() + 0.75)
    source = _draw_source(axes, runs, _draw_settings(axes, runs, part))
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel(f"{error_name(runs, part)} (%)")
    caption = (
        f"{error_name(runs, part)} of saddle-free Newton with momentum on {captions.name(runs)} after "
        f"{_passes(runs)} of {int(runs['train_examples'].iloc[0]):,} examples: "
        "the recipe (dashed line); without its own parts; with what the source did instead, at the recipe's learning "
        "rate; and with all of that, at the source's, but refreshed less often than at its every step. The source's "
        f"γ = {SOURCE_GAMMA:g} either damps, added to the eigenvalues' magnitudes, or regularises, as an L2 "
        f"term.{source}"
    )
    style.annotate(drawn, spread_note(series_by_run(runs)), caption, frame)
    return drawn


def sweeps(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final error against rank, Hessian batch and the steps between refreshes."""
    runs = networks(frame)
    base, swept = select(runs, run="the recipe"), select(runs, group="sweep")
    if base.empty or swept.empty:
        raise NothingToDraw("the results hold no sweep")
    part, row = captions.part(runs), base.iloc[0]
    shown = pd.concat([base, swept])
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.16 * shown["run"].nunique() + 0.75)
    _draw_settings(axes, shown, part)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel(f"{error_name(runs, part)} (%)")
    caption = (
        f"{error_name(runs, part)} of saddle-free Newton with momentum on {captions.name(runs)} after "
        f"{_passes(base)} of {int(row['train_examples']):,} examples, around the recipe (dashed line): "
        f"rank {row['SaddleFreeNewton.rank']}, {row['SaddleFreeNewton.hessian_batch']} examples for the Hessian, and "
        f"refreshes that begin {row['SaddleFreeNewton.first_interval']} steps apart and grow rarer. Where refreshes "
        "are named, they are equally far apart."
    )
    style.annotate(drawn, spread_note(series_by_run(shown)), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate every run: learning rate, epochs, errors and costs."""
    runs = networks(frame)
    errors = tables.errors(runs)
    values = {
        **errors,
        "cost": tables.Value("Gradients of one example (thousands)", scale=1e-3, digits=0, outcome=False),
        "seconds": tables.Value("Seconds", digits=0, outcome=False),
    }
    tabulated = tables.setting_table(runs, {"group": "Runs", "run": "Setting"}, values)
    last = results.last_rows(runs)
    first = last.groupby("order").agg({"learning_rate": "first", "epoch": "max", "group": "first"})
    # A run that diverged belongs to those that ended: rivals are of equally many epochs.
    first["epoch"] = first["epoch"].where(tabulated["Seeds"].to_numpy() > 0, first["group"].map(_epochs_by_group(last)))
    tabulated.insert(2, "Rate", [f"{rate:.3g}" for rate in first["learning_rate"]])
    counts = [f"{count:.0f} epoch{'s' if count > 1 else ''}" for count in first["epoch"]]
    tabulated["Runs"] = [f"{group}, {count}" for group, count in zip(tabulated["Runs"], counts, strict=True)]
    caption = (
        f"Errors on {captions.name(runs)} and what the runs cost: methods (full), controls, methods with large "
        "batches, causes of the source's failure, and sweeps around the recipe."
    )
    lowest = [value.header for value in errors.values()]
    return tables.printed(tabulated, caption, lowest=lowest, groups="Runs")


def trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the trials' validation errors: a row for each method, a column for each multiple of its lowest rate."""
    runs = select(frame, group="trial")
    if runs.empty:
        raise NothingToDraw("the results hold no trial of a learning rate")
    last = results.last_rows(captions.prepared(runs))
    last = last.sort_values(["batch_size", "order"], kind="stable")
    rows = [_trials_of(name, tried) for name, tried in last.groupby("trial_of", sort=False)]
    caption = (
        f"Validation errors (%) on {captions.name(last)} after one trial at each multiple of a method's lowest "
        "learning rate. The lowest error decides."
    )
    return tables.printed(pd.DataFrame(rows).fillna("-"), caption)


def milestones(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate test error after epochs 1, 2, 3 and the longest run's last, by method, without diverged runs."""
    runs = select(networks(frame), group="full")
    if "curve_test_metric" not in runs:
        raise NothingToDraw("the results hold no curve of test accuracy")
    tabulated = runs[["order", "run"]].drop_duplicates().sort_values("order")["run"].to_frame("Setting")
    finished = runs[runs["status"] != "diverged"]
    for epoch in sorted({1, 2, 3, int(runs["epoch"].max())}):
        summary = finished[finished["epoch"] == epoch].groupby("run")["curve_test_metric"].agg(["mean", "std"])
        shown = {
            row.Index: tables.mean_and_spread(100 * (1 - row.mean), 100 * row.std, 2) for row in summary.itertuples()
        }
        tabulated[f"Epoch {epoch}"] = [shown.get(name, "-") for name in tabulated["Setting"]]
    caption = (
        f"Test error (%) on {captions.name(runs)} after some epochs, by method. The test curve is looked at after "
        "every epoch; it selects nothing."
    )
    return tables.printed(tabulated.reset_index(drop=True), caption, lowest=list(tabulated.columns[1:]))


FIGURES = {
    "05_hessian_curves": curves,
    "05_hessian_large_batch": large_batch,
    "05_hessian_causes": causes,
    "05_hessian_sweeps": sweeps,
    "05_hessian_spectrum": spectrum,
    "05_hessian_eigenpairs": eigenpairs,
    "05_hessian_saddle": saddle,
}
TABLES = {
    "05_hessian_table": table,
    "05_hessian_milestones": milestones,
    "05_hessian_times": times,
    "05_hessian_spectra": spectra,
    "05_hessian_trials": trials,
}


def _trials_of(name: str, tried: pd.DataFrame) -> dict[str, str]:
    rated = tried.set_index("learning_rate").sort_index(ascending=False)
    reached = rated["validation_error"].where(rated["status"] != "diverged")
    lowest = reached.index[-1]
    errors = {
        f"× {rate / lowest:.3g}": "diverged" if math.isnan(error) else f"{error:.2f}"
        for rate, error in reached[::-1].items()
    }
    # At a tie the larger rate, as `tuning.choose` has it.
    chosen = "-" if reached.isna().all() else f"{reached.idxmin():.3g}"
    return {"Setting": name, "Lowest rate": f"{lowest:.3g}"} | errors | {"Chosen": chosen}


def _epochs_by_group(last: pd.DataFrame) -> pd.Series:
    ended = last[last["status"] != "diverged"]
    return (last if ended.empty else ended).groupby("group")["epoch"].max()


def _passes(runs: pd.DataFrame) -> str:
    count = int(results.last_rows(runs)["epoch"].max())
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def _draw_settings(axes: Axes, runs: pd.DataFrame, part: str) -> dict[str, float]:
    """Draw a row for each run, in the plan's order: mean, seeds, diverged runs, and a line at the first one's mean.

    Return the height of each run's row.
    """
    summary = results.summarize(runs, ["order", "run"], f"{part}_error").sort_values("order", ascending=False)
    heights = {name: float(place) for place, name in enumerate(summary["run"])}
    draw_rows(axes, results.last_rows(runs), heights, f"{part}_error", color=style.BLUE, marker="o", markersize=3.5)
    recipe = summary["mean"].iloc[-1]
    if not math.isnan(recipe):
        axes.axvline(recipe, color=style.GRAY, linewidth=0.8, linestyle=style.DASHED, zorder=1)
    for row in summary[summary["diverged"] > 0].itertuples():
        # At the right edge, and above the row if other seeds of it are there.
        text = rf"$\times$ {row.diverged:.0f} of {row.diverged + row.n:.0f} diverged"
        place: dict[str, Any] = {
            "transform": axes.get_yaxis_transform(),
            "ha": "right",
            "va": "center",
            "color": style.VERMILION,
        }
        axes.text(0.98, heights[row.run] + (0.3 if row.n else 0), text, fontsize=6, **place)
    with matplotlib.rc_context(style.RC):
        axes.set_yticks(list(heights.values()), [textwrap.fill(name, 25) for name in heights], fontsize=6)
    axes.set_ylim(-0.6, len(summary) - 0.4)
    return heights


def _draw_source(axes: Axes, runs: pd.DataFrame, heights: Mapping[str, float]) -> str:
    """Draw the source's error in the row with its settings, and return the sentence on it; empty for other data."""
    its_task = (runs["dataset"] == "mnist") & (runs["network"] == "leaky_convnet")
    if AS_SOURCE not in heights or not its_task.all():
        return ""
    axes.plot([SOURCE_ERROR], [heights[AS_SOURCE]], **style.SOURCE_LOOK | {"markersize": 5})
    return f" Diamond: the source's best, {SOURCE_ERROR:.1f} % after {SOURCE_PASSES} epochs' worth of gradients."


def _curves(frame: pd.DataFrame, group: str) -> style.PaperFigure:
    runs = select(networks(frame), group=group)
    runs = runs.assign(passes=runs["cost"] / runs["train_examples"].astype(float))
    series = series_by_run(runs, prefix=f"{group}: ")
    if not series:
        raise NothingToDraw(f"the results hold no comparison of methods in the group {group!r}")
    part = captions.part(runs)
    timed = runs["seconds"].notna().any()
    against = ("epoch", "passes", "seconds") if timed else ("epoch", "passes")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.9, len(against), sharey=True)
    for axes, x in zip(panels, against, strict=True):
        draw_curves(axes, series, x, f"{part}_error")
        if x == "passes":
            axes.set_xlabel("Cost (gradients per training example)")
        axes.set_xscale("log")  # most of the error is gone after a few epochs
        style.log_ticks(axes.xaxis)
    set_error_axis(panels[0], runs, part)
    above = _leave_above(dict(zip(against, panels, strict=True)), series, f"{part}_error")
    style.legend(panels[0], above=4)
    caption = (
        f"{error_name(runs, part)} on {captions.name(runs)}, batch {runs['batch_size'].iloc[0]}, by method, against "
        f"epochs{', cost and seconds of training' if timed else ' and cost'}. Cost counts every Hessian product: "
        "gradients of one example, "
        f"divided by the {int(runs['train_examples'].iloc[0]):,} training examples."
    )
    if timed and "timed_seconds" in runs:
        caption += " Seconds are of epochs for which all methods were timed in turn, in one process a seed."
    if has_trials(frame):
        caption += " Each method's learning rate was chosen on validation data, over equally many trials."
    style.annotate(drawn, spread_note(series), caption + above, frame)
    return drawn


def _leave_above(panels: Mapping[str, Axes], series: Sequence[Series], value: str) -> str:
    """End the axes below methods whose every mean is above all others'; return the sentence that says so.

    Args:
        panels: axes by the column along their abscissa; they share the error's axis.
        series: the methods.
        value: the error's column.
    """
    means = {curve.label: curve.frame.groupby("epoch")[value].mean().dropna() for curve in series}
    means = {name: curve for name, curve in means.items() if len(curve)}
    far = [name for name, curve in means.items() if curve.min() > max(_others(means, name), default=math.inf)]
    first_panel = next(iter(panels.values()))
    if not far or first_panel.get_yscale() != "log":
        return ""
    shown = pd.concat([curve.frame for curve in series if curve.label not in far])
    first_panel.set_ylim(0.9 * shown[value].min(), 1.1 * shown[value].max())
    style.log_ticks(first_panel.yaxis)
    for column, axes in panels.items():
        drawn = shown.loc[shown[value].notna(), column]
        axes.set_xlim(0.9 * drawn.min(), 1.1 * drawn.max())
        style.log_ticks(axes.xaxis)
    sentences = []
    for name in far:
        (first, at_first), (last, at_last) = ((means[name].iloc[i], means[name].index[i]) for i in (0, -1))
        sentences.append(
            f" Above the panels: {name}, at a mean of {first:.1f} % after epoch {at_first} and {last:.1f} % after "
            f"epoch {at_last}."
        )
    return "".join(sentences)


def _others(means: Mapping[str, pd.Series], name: str) -> list[float]:
    return [curve.max() for other, curve in means.items() if other != name]
