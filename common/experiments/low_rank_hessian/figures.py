"""Figures and tables of 05_low_rank_hessian: methods, causes of failure and sweeps.

`spectrum_figures` shows the Hessian, and `saddle_figures` shows the artificial saddle. Every function takes the frame
of `results.read` and returns a figure. In the notebook, the frame is that of `train_all`, with its measurements in
`attrs`.
"""

import math

import pandas as pd
from matplotlib.axes import Axes

from common import results
from common.experiments.low_rank_hessian.run_selection import has_trials, measurement, networks
from common.experiments.low_rank_hessian.saddle_figures import saddle
from common.experiments.low_rank_hessian.spectrum_figures import eigenpairs, spectra, spectrum
from common.plotting import captions, style, tables
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    draw_level,
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
    "first_time",
    "milestones",
    "saddle",
    "spectra",
    "spectrum",
    "sweeps",
    "table",
    "trials",
]

SWEPT = {
    "SaddleFreeNewton.rank": "Rank",
    "SaddleFreeNewton.hessian_batch": "Hessian batch (examples)",
    "SaddleFreeNewton.refresh_every": "Steps between refreshes",
}


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
    runs = select(networks(frame), group="full")
    runs = runs.assign(passes=runs["cost"] / runs["train_examples"].astype(float))
    series = series_by_run(runs)
    if not series:
        raise NothingToDraw("the results hold no comparison of methods")
    part = captions.part(runs)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.9, 3, sharey=True)
    for axes, x in zip(panels, ("epoch", "passes", "seconds"), strict=True):
        draw_curves(axes, series, x, f"{part}_error")
        if x == "passes":
            axes.set_xlabel("Cost (gradients per training example)")
        if x != "epoch":
            axes.set_xscale("log")
            style.log_ticks(axes.xaxis)
    set_error_axis(panels[0], runs, part)
    style.legend(panels[0], above=4)
    caption = (
        f"{error_name(runs, part)} on {captions.name(runs)}, batch {runs['batch_size'].iloc[0]}, by method, against "
        "epochs, cost and seconds of training. Cost counts every Hessian product: gradients of one example, "
        f"divided by the {int(runs['train_examples'].iloc[0]):,} training examples."
    )
    if "timed_seconds" in runs:
        caption += " Seconds are of epochs for which all methods were timed in turn, in one process a seed."
    if has_trials(frame):
        caption += " Each method's learning rate was chosen on validation data, over equally many trials."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def causes(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final error of the recipe, with each of the source's causes of failure, and with all of them."""
    runs = select(networks(frame), group="cause")
    if runs.empty:
        raise NothingToDraw("the results hold no cause of failure")
    part = captions.part(runs)
    summary = results.summarize(runs, ["order", "run"], f"{part}_error").sort_values("order", ascending=False)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.26 * len(summary) + 0.9)
    places = range(len(summary))
    heights = dict(zip(summary["run"], map(float, places), strict=True))
    look = style.method_style("saddle-free Newton, momentum")
    draw_rows(axes, results.last_rows(runs), heights, f"{part}_error", **look)
    recipe = summary["mean"].iloc[-1]
    if not math.isnan(recipe):
        axes.axvline(recipe, color=style.GRAY, linewidth=0.8, linestyle=style.DASHED, zorder=1)
    for place, row in zip(places, summary.itertuples(), strict=True):
        if row.diverged:
            _say_diverged(axes, place, f"{row.diverged:.0f} of {row.diverged + row.n:.0f} diverged", alone=not row.n)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis, [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100])
    axes.set_yticks(list(places), list(summary["run"]))
    axes.set_ylim(-0.6, len(summary) - 0.4)
    axes.set_xlabel(f"{error_name(runs, part)} (%)", loc="right")  # wider than the panel beside the long labels
    caption = (
        f"{error_name(runs, part)} of saddle-free Newton with momentum on {captions.name(runs)} after "
        f"{_passes(runs)} of {int(runs['train_examples'].iloc[0]):,} examples: "
        "the recipe (dashed line); without its own parts; with what the source did instead, at the recipe's learning "
        "rate; and with all of that, at the source's, but refreshed less often than at its every step."
    )
    note = spread_note(series_by_run(runs), crosses=False)
    style.annotate(drawn, note, caption, frame)
    return drawn


def sweeps(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final error against rank, Hessian batch and the steps between refreshes."""
    runs = networks(frame)
    base, swept = select(runs, run="the recipe"), select(runs, group="sweep")
    if base.empty or swept.empty:
        raise NothingToDraw("the results hold no sweep")
    part, row = captions.part(runs), base.iloc[0]
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.2, 3, sharey=True)
    shown = []
    for axes, (name, label) in zip(panels, SWEPT.items(), strict=True):
        if name == "SaddleFreeNewton.refresh_every":  # the base's intervals grow: it has no place on this axis
            draw_level(axes, base, f"{part}_error", "growing intervals")
            constant = swept[swept["SaddleFreeNewton.first_interval"] == swept[name]]
            series = Series("constant intervals", constant, style.method_style("saddle-free Newton, momentum"))
        else:
            others = swept[swept[name] != row[name]]
            series = Series(
                "saddle-free Newton", pd.concat([base, others]), style.method_style("saddle-free Newton, momentum")
            )
        draw_final(axes, [series], name, f"{part}_error")
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis, sorted(series.frame[name].unique()))
        axes.set_xlabel(label)
        shown.append(series)
    style.legend(panels[-1])
    set_error_axis(panels[0], runs, part)
    caption = (
        f"{error_name(runs, part)} of saddle-free Newton with momentum on {captions.name(runs)} after "
        f"{_passes(base)} of {int(row['train_examples']):,} examples, around "
        f"rank {row['SaddleFreeNewton.rank']}, {row['SaddleFreeNewton.hessian_batch']} examples for the Hessian, and "
        f"refreshes that begin {row['SaddleFreeNewton.first_interval']} steps apart and grow rarer. Right: refreshes "
        "equally far apart, from the start on."
    )
    style.annotate(drawn, spread_note(shown, list(SWEPT)), caption, frame)
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
        f"Errors on {captions.name(runs)} and what the runs cost: methods (full), causes of the source's failure, and "
        "sweeps around the recipe."
    )
    lowest = [value.header for value in errors.values()]
    return tables.printed(tabulated, caption, lowest=lowest, groups="Runs")


def trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate each method's trials, one per row, by rising learning rate, with validation error."""
    runs = select(frame, group="trial")
    if runs.empty:
        raise NothingToDraw("the results hold no trial of a learning rate")
    last = results.last_rows(captions.prepared(runs)).sort_values(["order", "learning_rate"])
    names = pd.factorize(last["trial_of"])[0]
    last = last.iloc[names.argsort(kind="stable")]
    reached = last["validation_error"].where(last["status"] != "diverged")
    header = tables.errors(last)["validation_error"].header
    tabulated = pd.DataFrame(
        {
            "Setting": last["trial_of"].to_list(),
            "Rate": [f"{rate:.3g}" for rate in last["learning_rate"]],
            header: ["diverged" if math.isnan(error) else f"{error:.2f}" for error in reached],
        }
    )
    caption = f"Trials of learning rates on {captions.name(last)}: the lowest validation error decides."
    return tables.printed(tabulated, caption, lowest=[header], groups="Setting")


def milestones(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate test error after epochs 1, 2, 3 and the longest run's last, by method, and seconds to the targets.

    The targets are the notebook's `target_accuracies`, or 98.5 % if the results lack them. Diverged runs are left out.
    """
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
    for target in measurement(frame, "target_accuracies") or [0.985]:
        reached = first_time(runs, target)
        header = f"Seconds to {100 * (1 - target):.3g} %"
        tabulated[header] = [f"{reached[name]:.0f}" if name in reached else "-" for name in tabulated["Setting"]]
    caption = (
        f"Test error (%) on {captions.name(runs)} after some epochs, by method, and seconds of training after which "
        "the seeds' mean is first as low as said. The test curve is looked at after every epoch; it selects nothing."
    )
    return tables.printed(tabulated.reset_index(drop=True), caption, lowest=list(tabulated.columns[1:]))


def first_time(frame: pd.DataFrame, accuracy: float) -> pd.Series:
    """Return the training seconds after which each run's mean test accuracy first reaches a value.

    Args:
        frame: rows of `networks`.
        accuracy: a value between 0 and 1. The test curve is looked at after every epoch; it selects nothing.

    Returns:
        Seconds by run, for the runs that reach it.
    """
    if "curve_test_metric" not in frame:
        return pd.Series(dtype=float)
    runs = frame[(frame["status"] != "diverged") & frame["curve_test_metric"].notna()]
    means = runs.groupby(["run", "epoch"])[["seconds", "curve_test_metric"]].mean().reset_index()
    return means[means["curve_test_metric"] >= accuracy].groupby("run")["seconds"].min()


FIGURES = {
    "05_hessian_curves": curves,
    "05_hessian_causes": causes,
    "05_hessian_sweeps": sweeps,
    "05_hessian_spectrum": spectrum,
    "05_hessian_eigenpairs": eigenpairs,
    "05_hessian_saddle": saddle,
}
TABLES = {
    "05_hessian_table": table,
    "05_hessian_milestones": milestones,
    "05_hessian_spectra": spectra,
    "05_hessian_trials": trials,
}


def _epochs_by_group(last: pd.DataFrame) -> pd.Series:
    ended = last[last["status"] != "diverged"]
    return (last if ended.empty else ended).groupby("group")["epoch"].max()


def _passes(runs: pd.DataFrame) -> str:
    count = int(results.last_rows(runs)["epoch"].max())
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def _say_diverged(axes: Axes, place: int, text: str, *, alone: bool) -> None:
    """Write "diverged" beside the row, at the right edge if errors of nearly diverged runs stand further left."""
    transform = axes.get_yaxis_transform()
    axes.text(0.98, place + (0 if alone else 0.3), text, transform=transform, ha="right", va="center", fontsize=6)
