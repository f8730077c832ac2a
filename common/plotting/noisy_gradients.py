"""Figures and tables of 02_noisy_gradients: what noise costs, when it wins, and what brings the accuracy back.

Every function takes the frame of `results.read` (in the notebook: of `results.combine`) and returns a figure. Runs of
two budgets are in it: `full` has the source's batch size and epochs, `sweep` about as many updates of smaller batches.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from common import results
from common.plotting import redrawing, style, tables
from common.plotting.learning_curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    error_name,
    require_single,
    select,
    series_by,
    set_error_axis,
    spread_note,
    with_errors,
)

EXPERIMENT = "02_noisy_gradients"
SOURCE_ERROR = 100 - 80.72  # the source's test error (%) on MNIST: σ = 1, batch 500, rate 0.01, 15 epochs
_DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "scikit-learn's digits"}
NOTHING_DONE = "nothing done"  # the notebook's name of the sweep's run at the reference noise
_SKETCHES = {
    ("random", True): "random, kept",
    ("random", False): "random, redrawn",
    ("public", False): "public gradients amplified",
}
# What a run of a sweep has unless the sweep is about it.
_PLAIN = {"noise": "constant", "schedule": "constant", "momentum": 0.0, "averaging": 0.0}
_PLAIN |= {"sketch": "none", "trained_on": "all", "devices": 0}


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error of the full-budget runs against epochs: the source's noise, and what brings accuracy back.

    The other figures' contract is the same.

    Args:
        frame: rows of this experiment on one data set, network and precision, several settings and seeds.

    Returns:
        The figure; in a notebook, the last line of a cell shows it.

    Raises:
        NothingToDraw: when the frame holds nothing of what the figure shows.
        ValueError: when the frame mixes data sets, networks or precisions, or holds a seed twice.
    """
    frame = _prepared(frame)
    runs = select(frame, budget="full")
    series = _full_series(runs)
    if not series:
        raise NothingToDraw("the results hold no run of the full budget")
    part = _part(frame)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    draw_curves(axes, series, "epoch", f"{part}_error")
    set_error_axis(axes, frame, part)
    _legend(axes)
    batch = int(runs["batch_size"].iloc[0])
    caption = f"{error_name(frame, part)} on {_subject(frame)}, plain SGD, batch {batch}, with noise in the gradients."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def sigmas(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final test error against σ, beside that without noise and the σ at which noise is predicted to win."""
    frame = _prepared(frame)
    runs = _sweep(frame)
    noisy, clean = runs[runs["sigma"] > 0], runs[runs["sigma"] == 0]
    if noisy.empty:
        raise NothingToDraw("the results hold no sweep over sigma")
    series = [Series(_budget(runs), noisy, style.group_style(0) | {"linestyle": "-"})]
    full = select(frame, budget="full", **_PLAIN)
    full = full[full["sigma"] > 0]
    if len(full):
        look = style.group_style(1) | {"linestyle": "none", "markersize": 4.5}
        series.append(Series(f"batch {int(full['batch_size'].iloc[0])}, {full['epoch'].max()} epochs", full, look))
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.7)
    draw_final(axes, series, "sigma", "test_error")
    if len(clean):
        _draw_level(axes, results.summarize(clean, ["sigma"], "test_error"), "no noise")
    if (frame["dataset"] == "mnist").all():
        look = {"markersize": 6, "markerfacecolor": "none", "color": style.GRAY, "linestyle": "none", "marker": "D"}
        axes.plot([1], [SOURCE_ERROR], label="source", zorder=1, **look)
    axes.set_xscale("log")
    prediction = _draw_prediction(axes, frame)
    axes.set_xlabel("Noise standard deviation σ in each coordinate")
    set_error_axis(axes, frame, "test")
    style.log_ticks(axes.xaxis)
    _legend(axes)
    caption = f"Test error on {_subject(frame)} against the noise, plain SGD at a constant learning rate.{prediction}"
    style.annotate(drawn, spread_note(series, ["sigma"]), caption, frame)
    return drawn


def signal_to_noise(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the measured ‖g‖²/(σ²P) over training and against σ, and the ratio below which noise undoes the progress."""
    frame = _prepared(frame)
    noisy = frame[frame["signal_to_noise"].astype(float).map(math.isfinite)]
    over_training = _full_series(noisy)
    by_sigma = [Series("measured", _sweep(noisy), style.group_style(0) | {"linestyle": "-"})]
    if not over_training or by_sigma[0].frame.empty:
        raise NothingToDraw("the results hold no measured signal_to_noise of noisy runs")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, 2, sharey=True)
    draw_curves(panels[0], over_training, "epoch", "signal_to_noise")
    draw_final(panels[1], by_sigma, "sigma", "signal_to_noise")
    threshold = _threshold(frame)
    for axes in panels:
        axes.set_yscale("log")
        if threshold is not None:
            axes.axhline(threshold, color=style.BLACK, linewidth=0.8, linestyle=style.DASHED, label="below: noise wins")
    panels[1].set_xscale("log")
    style.log_ticks(panels[1].xaxis)
    style.log_ticks(panels[0].yaxis)
    panels[1].set_xlabel("Noise standard deviation σ in each coordinate")
    panels[0].set_ylabel("Signal-to-noise ratio of the gradient")
    for axes in panels:
        _legend(axes)
    caption = (
        f"Signal-to-noise ratio ‖g‖²/‖ĝ - g‖² on {_subject(frame)}: after each epoch of the full runs, and at the end "
        f"of the sweep's ({_budget(by_sigma[0].frame)}). Dashed: where the progress of a step, η‖G‖², is undone by the "
        "noise, η²σ² tr H / 2, with tr H taken as the trace of the per-example gradients' covariance without noise."
    )
    style.annotate(drawn, spread_note([*over_training, *by_sigma]), caption, frame)
    return drawn


def remedies(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final validation error at one σ under every remedy of the sweep, the best on top."""
    frame = _prepared(frame)
    rows = _remedies(frame)
    if rows["setting"].nunique() < 2:
        raise NothingToDraw("the results hold no remedies at the reference noise")
    part = _part(frame)
    table = results.summarize(rows, ["setting"], f"{part}_error").sort_values(
        "mean", ascending=False, na_position="first"
    )
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.9 + 0.155 * len(table))
    with matplotlib.rc_context(style.RC):
        axes.errorbar(
            table["mean"], range(len(table)), xerr=table["std"].fillna(0), linestyle="none", elinewidth=0.8,
            color=style.BLUE, marker="o",
        )  # fmt: skip
        axes.set_yticks(range(len(table)), table["setting"])
    for place, row in enumerate(table.itertuples()):
        if row.diverged:
            axes.annotate(
                f"{row.diverged} diverged", (1, place), xycoords=axes.get_yaxis_transform(), ha="right", fontsize=6
            )
    plain = table.loc[table["setting"] == NOTHING_DONE, "mean"]
    if len(plain):
        axes.axvline(plain.item(), color=style.GRAY, linewidth=0.7, linestyle=style.LINE_STYLES[2])
    axes.set_xlabel(f"{error_name(frame, part)} (%)")
    caption = (
        f"{error_name(frame, part)} on {_subject(frame)} at σ = {rows['sigma'].max():g} on every transmitted "
        f"coordinate, by what is done about it ({_budget(rows)}); dotted: nothing. Annealed and relative noise have "
        "levels of their own."
    )
    style.annotate(drawn, spread_note([Series("", rows)], ["setting"]), caption, frame)
    return drawn


def subspaces(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final validation error against the dimension of the subspace: random, kept or redrawn, and public."""
    frame = _prepared(frame)
    runs = select(frame, budget="sweep", noise="constant", momentum=0.0, averaging=0.0, devices=0)
    inside = runs[runs["sketch"] != "none"]
    if inside.empty:
        raise NothingToDraw("the results hold no run in a subspace")
    part = _part(frame)
    groups = inside.assign(kept=inside["redraw_every"] == 0).groupby(["sketch", "kept", "learning_rate"])
    series = [
        Series(f"{_SKETCHES[sketch, kept]}, rate {rate:g}", rows, style.group_style(i))
        for i, ((sketch, kept, rate), rows) in enumerate(groups)
    ]
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.7)
    draw_final(axes, series, "dimensions", f"{part}_error")
    whole = select(runs, sketch="none", sigma=inside["sigma"].iloc[0], schedule="linear", trained_on="all")
    whole = whole[whole["learning_rate"] == _reference(frame)["learning_rate"]]
    if len(whole):
        _draw_level(axes, results.summarize(whole, ["sigma"], f"{part}_error"), "all coordinates")
    axes.set_xscale("log")
    set_error_axis(axes, frame, part)
    style.log_ticks(axes.xaxis)
    axes.set_xlabel("Dimensions d of the subspace")
    _legend(axes)
    caption = (
        f"{error_name(frame, part)} on {_subject(frame)} against the dimension of the subspace in which the gradient "
        f"is transmitted, σ = {inside['sigma'].iloc[0]:g} on each of its d numbers, rate falling linearly to zero "
        f"({_budget(inside)})."
    )
    style.annotate(drawn, spread_note(series, ["dimensions"]), caption, frame)
    return drawn


def batch_sizes(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final validation error at one σ against batch size and against learning rate, constant or decayed."""
    frame = _prepared(frame)
    reference, part = _reference(frame), _part(frame)
    runs = select(frame, budget="sweep", **{name: value for name, value in _PLAIN.items() if name != "schedule"})
    runs = runs[runs["sigma"] == reference["sigma"]]
    sizes = select(runs, schedule="constant", learning_rate=reference["learning_rate"])
    rates = select(runs, batch_size=reference["batch_size"])
    if sizes["batch_size"].nunique() < 2 and rates["learning_rate"].nunique() < 2:
        raise NothingToDraw("the results hold one batch size and one learning rate only")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.4, 2, sharey=True)
    by_size = [Series("constant rate", sizes, style.group_style(0))]
    by_rate = series_by(rates, "schedule", "{} rate")
    for axes, series, name in zip(panels, (by_size, by_rate), ("batch_size", "learning_rate"), strict=True):
        draw_final(axes, series, name, f"{part}_error")
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis, sorted(pd.concat([one.frame for one in series])[name].unique()))
    epochs = int(runs["epoch"].max())
    panels[0].set_xlabel(f"Batch size, at equal epochs ({epochs})")
    panels[1].set_xlabel("Learning rate at the start")
    set_error_axis(panels[0], frame, part)
    _legend(panels[1])
    caption = (
        f"{error_name(frame, part)} on {_subject(frame)} at σ = {reference['sigma']:g}. Left: learning rate "
        f"{reference['learning_rate']:g}, so that a smaller batch has more updates, each with noise. Right: batch "
        f"{reference['batch_size']}, the rate constant or falling linearly to zero."
    )
    notes = spread_note([*by_size, *by_rate], ["batch_size", "learning_rate"])
    style.annotate(drawn, notes, caption, frame)
    return drawn


def over_the_air(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final validation error against the channel's signal-to-noise ratio, by number of devices and shares."""
    frame = _prepared(frame)
    runs = frame[(frame["devices"] > 0) & (frame["budget"] == "sweep")]
    if runs.empty:
        raise NothingToDraw("the results hold no over-the-air runs")
    part = _part(frame)
    series = []
    for skewed, line in ((False, "-"), (True, style.DASHED)):
        for devices, rows in select(runs, label_skewed=skewed).groupby("devices"):
            look = style.group_style(sorted(runs["devices"].unique()).index(devices)) | {"linestyle": line}
            plural = "devices" if devices > 1 else "device"
            series.append(Series(f"{devices} {plural}{', shares skewed by label' if skewed else ''}", rows, look))
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.7)
    draw_final(axes, series, "decibels", f"{part}_error")
    clean = _sweep(frame)
    clean = clean[clean["sigma"] == 0]
    if len(clean):
        _draw_level(axes, results.summarize(clean, ["sigma"], f"{part}_error"), "no noise")
    axes.set_xlabel("Channel signal-to-noise ratio of a device (dB)")
    set_error_axis(axes, frame, part)
    _legend(axes)
    caption = (
        f"{error_name(frame, part)} on {_subject(frame)} with gradients added up over the air ({_budget(runs)}); every "
        "device meets the same power constraint, so that more devices are heard better."
    )
    style.annotate(drawn, spread_note(series, ["decibels"]), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate validation and test accuracy of every setting over the seeds."""
    frame = _prepared(frame)
    values = {
        "validation_metric": tables.Value("Validation accuracy (%)", scale=100, digits=2),
        "test_metric": tables.Value("Test accuracy (%)", scale=100, digits=2),
    }
    keys = {"order": "order", "budget": "Budget", "setting": "Setting", "batch_size": "Batch", "learning_rate": "Rate"}
    made = tables.final_table(frame, keys, values).drop(columns="order")
    return made.assign(Rate=made["Rate"].map("{:.3g}".format))


FIGURES = {
    "02_noisy_curves": curves,
    "02_noisy_sigma": sigmas,
    "02_noisy_signal_to_noise": signal_to_noise,
    "02_noisy_remedies": remedies,
    "02_noisy_batch_and_rate": batch_sizes,
    "02_noisy_subspace": subspaces,
    "02_noisy_over_the_air": over_the_air,
}
TABLES = {"02_noisy_table": table}


def draw(
    results_folder: str | os.PathLike,
    figures_folder: str | os.PathLike,
    expected: Iterable[str | os.PathLike] = (),
) -> list[Path]:
    """Redraw all figures and the LaTeX table from stored results; see `redrawing.redraw`."""
    return redrawing.redraw(EXPERIMENT, results_folder, figures_folder, expected, figures=FIGURES, tabulate=TABLES)


def _prepared(frame: pd.DataFrame) -> pd.DataFrame:
    require_single(frame, ["dataset", "network", "precision", "train_examples"])
    return with_errors(frame)


def _part(frame: pd.DataFrame) -> str:
    return "train" if frame["validation_error"].isna().all() else "validation"


def _subject(frame: pd.DataFrame) -> str:
    first = frame.iloc[0]
    return f"{_DATASETS.get(first['dataset'], first['dataset'])} ({first['network']})"


def _reference(frame: pd.DataFrame) -> pd.Series:
    """Return a row of the sweep's run that does nothing about the reference noise: what the other runs vary."""
    rows = frame[(frame["budget"] == "sweep") & (frame["setting"] == NOTHING_DONE)]
    if rows.empty:
        raise NothingToDraw(f"the results hold no run {NOTHING_DONE!r}, to which the others are compared")
    return rows.iloc[0]


def _sweep(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the sweep over σ: nothing else differs from the reference."""
    reference = _reference(frame)
    same = {name: reference[name] for name in ("batch_size", "learning_rate")}
    return select(frame, budget="sweep", **_PLAIN, **same)


def _budget(runs: pd.DataFrame) -> str:
    epochs, batch = int(runs["epoch"].max()), int(runs["batch_size"].iloc[0])
    return f"batch {batch}, {epochs} epoch{'s' if epochs > 1 else ''}"


def _full_series(frame: pd.DataFrame) -> list[Series]:
    """Make a series of every setting that has the full budget, in the order in which they were run."""
    groups = select(frame, budget="full").groupby(["order", "setting"])
    return [
        Series(name.removeprefix("full: "), rows, style.group_style(i)) for i, ((_, name), rows) in enumerate(groups)
    ]


def _remedies(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the sweep's runs at the reference noise, and those with annealed and relative noise."""
    reference = _reference(frame)
    runs = frame[(frame["budget"] == "sweep") & (frame["batch_size"] == reference["batch_size"])]
    same = (runs["noise"] == "constant") & ((runs["sigma"] == reference["sigma"]) | (runs["trained_on"] == "public"))
    return runs[same | runs["noise"].isin(["annealed", "relative"])]


def _measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the last rows of the runs without noise in which the gradient's noise scale was measured."""
    if "noise_scale" not in frame:
        return frame.iloc[:0]
    rows = results.last_rows(frame)
    return rows[(rows["sigma"] == 0) & (rows["noise"] == "constant") & rows["noise_scale"].notna()]


def _threshold(frame: pd.DataFrame) -> float | None:
    """Return the ratio ‖g‖²/(σ²P) = η tr H / (2P) at which noise undoes a step's progress; None if not measured."""
    rows = _measured(frame)
    if rows.empty:
        return None
    return float((rows["learning_rate"] * rows["gradient_variance"] / (2 * rows["coordinates"])).mean())


def _draw_prediction(axes: Axes, frame: pd.DataFrame) -> str:
    """Draw the σ from which noise is predicted to win, σ² = 2‖G‖²/(η tr H) = 2/(ηB), and say so for the caption."""
    rows = _measured(frame)
    if rows.empty:
        return ""
    sigma = float(((2 / (rows["learning_rate"] * rows["noise_scale"])) ** 0.5).mean())
    look = {"color": style.GRAY, "linewidth": 0.8, "linestyle": style.LINE_STYLES[2]}
    axes.axvline(sigma, label="predicted: noise wins", **look)
    return (
        " Dotted: the noise that undoes a step's progress, σ² = 2/(ηB), with the gradient noise scale B at the end of "
        "the run without noise."
    )


def _draw_level(axes: Axes, summary: pd.DataFrame, label: str) -> None:
    """Draw the value of runs that a figure compares with as a line with its spread, across the panel."""
    row = summary.iloc[0]
    if math.isnan(row["mean"]):
        return
    axes.axhline(row["mean"], color=style.BLACK, linewidth=0.8, linestyle=style.DASHED, label=label)
    if not math.isnan(row["std"]):
        axes.axhspan(row["mean"] - row["std"], row["mean"] + row["std"], color=style.BLACK, alpha=0.1, linewidth=0)


def _legend(axes: Axes, **options: Any) -> None:
    if axes.get_legend_handles_labels()[0]:  # there is none where every run diverged
        with matplotlib.rc_context(style.RC):
            axes.legend(**options)
