"""Figures and table of 01_baseline_sgd: batch sizes at fixed and scaled learning rate, dropout, noise scale.

`common.plotting` states the contract of every figure.
"""

import math

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy import optimize

from common import results
from common.experiments.targets import spent_until
from common.plotting import captions, style, tables
from common.plotting.curves import (
    PALE,
    X_LABELS,
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    error_name,
    select,
    series_by,
    set_error_axis,
    spread_note,
)

# The source's test accuracy (%) on MNIST, 15 epochs, learning rate 0.01: by group and batch size.
SOURCE = {("Keras fit", 128): 97.42, ("fixed rate", 64): 98.01, ("fixed rate", 500): 94.32}
TARGETS = (4.0, 2.0, 1.25)  # of steps, in final errors of the batch size that ends highest
WINDOW = 5  # most epochs over which the parts of the noise scale are averaged; a third of a short run
_RULES = {"scaled rate": "scaled", "tuned rate": "tuned"}


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error by batch size against epochs and steps; learning rate fixed: solid, scaled: dashed."""
    frame = _runs(frame)
    series = [*_by_batch_size(frame, "fixed rate"), *_by_batch_size(frame, "scaled rate")]
    if not series:
        raise NothingToDraw("the results hold no run of the loop without dropout")
    part = captions.part(frame)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, 2, sharey=True)
    for axes, x in zip(panels, ("epoch", "step"), strict=True):
        draw_curves(axes, series, x, f"{part}_error")
    set_error_axis(panels[0], frame, part)
    panels[1].set_xscale("log")
    style.log_ticks(panels[1].xaxis)
    with matplotlib.rc_context(style.RC):
        handles = _legend(frame, series)
        drawn.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    caption = f"{error_name(frame, part)} on {captions.name(frame)} by batch size, without dropout."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def dropout(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error at one batch size of Keras' fit, which has dropout on, and of the loop with and without."""
    frame = _runs(frame)
    series = _by_dropout(frame)
    if len(series) < 2:
        raise NothingToDraw("the results hold fewer than two of Keras fit, loop with dropout, loop without")
    part = captions.part(frame)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.4)
    draw_curves(axes, series, "epoch", f"{part}_error")
    set_error_axis(axes, frame, part)
    style.legend(axes)
    batch = series[0].frame["batch_size"].iloc[0]
    caption = f"{error_name(frame, part)} on {captions.name(frame)} at batch size {batch}, with and without dropout."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def batch_sizes(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final test error against the batch size, at the fixed, the scaled and the tuned learning rate."""
    frame = _runs(frame)
    series = _final_series(frame)
    if not series or frame["test_error"].isna().all():
        raise NothingToDraw("the results hold no test metric of the loop without dropout")
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.6)
    draw_final(axes, series, "batch_size", "test_error")
    _draw_source(axes, frame)
    axes.set_xscale("log", base=2)
    style.log_ticks(axes.xaxis, sorted(frame["batch_size"].unique()))
    axes.set_xlabel("Batch size")
    set_error_axis(axes, frame, "test")
    style.legend(axes)
    epochs = frame["epoch"].max()
    caption = f"Test error on {captions.name(frame)} after {epochs} epochs by batch size; no dropout unless said."
    style.annotate(drawn, spread_note(series, ["batch_size"]), caption, frame)
    return drawn


def steps(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the steps to fixed errors against the batch size, rates tuned, beside S_min (1 + B/batch size).

    That is the hyperbola of arXiv 1812.06162, section 2.3, with S_min and the critical batch size B fitted.
    """
    frame = _runs(frame)
    runs = select(frame, group="tuned rate")
    if runs["batch_size"].nunique() < 2:
        raise NothingToDraw("the results hold no runs of several batch sizes with tuned learning rates")
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.6)
    sizes, part = np.array(sorted(runs["batch_size"].unique())), captions.part(frame)
    ended, series = results.last_rows(runs), []
    highest = results.summarize(runs, ["batch_size"], f"{part}_error")["mean"].max()
    for number, factor in enumerate(TARGETS):
        target = float(f"{factor * highest:.2g}")
        spent = ended.merge(spent_until(runs, target, "step"), on=["run", "seed"])
        reached = spent.groupby("batch_size")["spent"].mean().dropna()
        if len(reached) < 2:
            continue
        look = style.group_style(number)
        label = f"{target:g} %"
        smallest, critical = _hyperbola(reached)
        if np.isfinite(critical):
            between = np.geomspace(sizes[0], sizes[-1], 50)
            fitted = smallest * (1 + critical / between)
            axes.plot(between, fitted, color=look["color"], linewidth=0.8, linestyle=style.DASHED)
            label += f": B = {float(f'{critical:.2g}'):,.0f}"
        series.append(Series(label, spent, look | {"linestyle": "none"}))
    draw_final(axes, series, "batch_size", "spent")
    axes.set_xscale("log", base=2)
    style.log_ticks(axes.xaxis, sizes.tolist())
    if math.isfinite(axes.dataLim.minposy):
        axes.set_yscale("log")
        style.log_ticks(axes.yaxis)
        style.legend(axes)
    axes.set_xlabel("Batch size")
    axes.set_ylabel("Steps to the error")
    caption = (
        f"Steps until the {part} error first is at most a target, on {captions.name(runs)}, with a "
        "learning rate tuned for each batch size."
    )
    if any(": B = " in curve.label for curve in series):
        caption += (
            " Dashed: S (1 + B/batch size), with S and the critical batch size B fitted; beyond B, a larger batch "
            "saves few steps."
        )
    note = spread_note(series, ["batch_size"]) if series else ""
    style.annotate(drawn, note, caption, frame)
    return drawn


def noise_scale(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the gradient noise scale over training (arXiv 1812.06162), with the batch sizes as dotted lines."""
    frame = _runs(frame)
    measured = _measured(frame)
    if measured.empty:
        raise NothingToDraw("the results hold no measured noise_scale")
    series = series_by(measured, "batch_size")
    trained_at = " and ".join(str(size) for size in sorted(measured["batch_size"].unique()))
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.4)
    _draw_batch_lines(axes, sorted(frame["batch_size"].unique()))
    seeds, window = measured["seed"].nunique(), max(1, min(WINDOW, int(measured["epoch"].max()) // 3))
    smoothed = [_smoothed_scale(curve.frame, window) for curve in series]
    averaged = seeds * window > 1 and all(line is not None for line in smoothed)
    if averaged:
        for curve, line in zip(series, smoothed, strict=True):
            _draw_smoothed(axes, curve, line)
        over = [f"{seeds} seeds"] * (seeds > 1) + [f"{window} epochs"] * (window > 1)
        spread = f"Pale: single seeds; full: both averaged over {' and '.join(over)}."
    else:
        draw_curves(axes, series, "epoch", "noise_scale", skip_undefined=True)
        spread = spread_note(series)
    axes.set_yscale("log")
    style.log_ticks(axes.yaxis)
    axes.set_ylabel("Noise scale (examples)")
    caption = (
        f"Gradient noise scale on {captions.name(frame)} while training at batch {trained_at}: the trace of the "
        "per-example gradients' covariance over the squared length of the gradient, both estimated from two batch "
        "sizes. Dotted: the batch sizes compared."
    )
    note = " ".join(filter(None, (spread, _undefined_note(measured, averaged))))
    style.annotate(drawn, note, caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate test error and loss per setting over the seeds; for MNIST, also the source's figure."""
    frame = _runs(frame)
    keys = {"group": "Group", "batch_size": "Batch size", "learning_rate": "Learning rate"}
    error = tables.errors(frame)["test_error"]
    values = {"test_error": error, "test_loss": tables.Value("Test loss", digits=4)}
    rows = tables.setting_table(frame, keys, values)
    if (frame["dataset"] == "mnist").all():
        sources = [
            SOURCE.get((group, int(batch))) for group, batch in zip(rows["Group"], rows["Batch size"], strict=True)
        ]
        rows["Source (%)"] = [f"{100 - accuracy:.2f}" if accuracy else "-" for accuracy in sources]
    trainers = [("Keras fit" if group == "Keras fit" else "own loop") for group in rows["Group"]]
    dropouts = ["on" if group in ("Keras fit", "dropout") else "off" for group in rows["Group"]]
    rules = [_RULES.get(group, "fixed") for group in rows["Group"]]
    rates = [f"{rate:.3g}" for rate in rows["Learning rate"]]
    rows.insert(3, "Rule", rules)
    rows.insert(0, "Dropout", dropouts)
    rows.insert(0, "Trainer", trainers)
    rows = rows.assign(**{"Learning rate": rates}).drop(columns="Group")
    caption = (
        f"Test error and loss on {captions.name(frame)} after {int(frame['epoch'].max())} epochs. Rule: whether the "
        "learning rate is scaled with the batch, or tuned for it."
    )
    return tables.printed(rows, caption, lowest=[error.header, "Test loss"])


FIGURES = {
    "01_baseline_curves": curves,
    "01_baseline_dropout": dropout,
    "01_baseline_batch_size": batch_sizes,
    "01_baseline_steps": steps,
    "01_baseline_noise_scale": noise_scale,
}
TABLES = {"01_baseline_table": table}


def _runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return all rows but those of trials, with errors; see `captions.prepared`."""
    return captions.prepared(frame[frame["group"] != "trial"])


def _batch_look(frame: pd.DataFrame, batch: int) -> dict:
    look = style.group_style(sorted(frame["batch_size"].unique()).index(batch))
    return {"color": look["color"], "marker": look["marker"]}


def _by_batch_size(frame: pd.DataFrame, group: str) -> list[Series]:
    runs = select(frame, group=group)
    line = {"linestyle": style.DASHED if group == "scaled rate" else "-"}
    return [Series(f"{batch}", rows, _batch_look(frame, batch) | line) for batch, rows in runs.groupby("batch_size")]


def _legend(frame: pd.DataFrame, series: list[Series]) -> list[Line2D]:
    batches = sorted({int(curve.label) for curve in series})
    handles = [Line2D([], [], label=f"batch {batch}", **_batch_look(frame, batch)) for batch in batches]
    rates = select(frame, group="fixed rate")["learning_rate"].unique()
    label = f"learning rate {rates[0]:g}" if len(rates) == 1 else "learning rate fixed"
    handles.append(Line2D([], [], color=style.BLACK, label=label))
    if any(curve.style["linestyle"] != "-" for curve in series):
        handles.append(Line2D([], [], color=style.BLACK, linestyle=style.DASHED, label="scaled with the batch"))
    return handles


def _by_dropout(frame: pd.DataFrame) -> list[Series]:
    fit = select(frame, group="Keras fit")
    if fit.empty:
        return []
    runs = {
        "Keras fit, dropout on": fit,
        "own loop, dropout on": select(frame, group="dropout"),
        "own loop, dropout off": select(frame, group="fixed rate", batch_size=fit["batch_size"].iloc[0]),
    }
    return [Series(label, rows, style.group_style(i)) for i, (label, rows) in enumerate(runs.items()) if len(rows)]


def _final_series(frame: pd.DataFrame) -> list[Series]:
    fixed, scaled = select(frame, group="fixed rate"), select(frame, group="scaled rate")
    if fixed.empty and scaled.empty:
        return []
    if not (fixed.empty or scaled.empty):  # where the batch is the reference, both rules are one run
        scaled = pd.concat([scaled, fixed[fixed["batch_size"] == _reference_batch(fixed, scaled)]])
    fit = select(frame, group="Keras fit")
    tuned = select(frame, group="tuned rate")
    runs = {"fixed learning rate": fixed, "scaled with the batch": scaled, "tuned": tuned, "Keras fit, dropout on": fit}
    looks = [*map(style.group_style, (0, 1, 3)), style.group_style(2) | {"linestyle": "none"}]
    return [Series(name, runs[name], look) for name, look in zip(runs, looks, strict=True) if len(runs[name])]


def _reference_batch(fixed: pd.DataFrame, scaled: pd.DataFrame) -> int:
    row = scaled.iloc[0]
    return round(row["batch_size"] * fixed["learning_rate"].iloc[0] / row["learning_rate"])


def _draw_source(axes: Axes, frame: pd.DataFrame) -> None:
    if (frame["dataset"] == "mnist").all():
        looks = {"Keras fit": ("D", "source, Keras fit"), "fixed rate": ("o", "source, own loop")}
        for group, (marker, label) in looks.items():
            points = [(batch, 100 - value) for (made_by, batch), value in SOURCE.items() if made_by == group]
            axes.plot(*zip(*points, strict=True), label=label, zorder=1, **style.SOURCE_LOOK | {"marker": marker})


def _measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return all rows of the runs that measured the noise scale, including epochs in which it is undefined."""
    if "noise_scale" not in frame or frame["noise_scale"].isna().all():
        return frame.iloc[:0]
    probe = "gradient_variance" if "gradient_variance" in frame else "noise_scale"  # the variance is always defined
    return frame[frame.groupby(results.run_columns(frame), dropna=False)[probe].transform("count") > 0]


def _smoothed_scale(rows: pd.DataFrame, window: int) -> pd.Series | None:
    """Return the noise scale by epoch as a ratio of averages over seeds and epochs (arXiv 1812.06162, appendix A.1).

    A single estimate of ‖G‖² may be several times too small, and its reciprocal then dominates an average of ratios.
    None if the two parts were not measured, or some run diverged.
    """
    parts = ["gradient_variance", "gradient_norm_squared"]
    if not set(parts) <= set(rows) or (rows["status"] == "diverged").any() or rows[parts].isna().any(axis=None):
        return None
    means = rows[parts].astype(float).groupby(rows["epoch"]).mean().rolling(window, center=True, min_periods=1).mean()
    ratios = means[parts[0]] / means[parts[1]]
    return ratios if (means[parts[1]] > 0).all() else None


def _draw_smoothed(axes: Axes, series: Series, smoothed: pd.Series) -> None:
    for _, run in series.frame.sort_values("epoch").groupby("seed"):
        axes.plot(run["epoch"], run["noise_scale"].astype(float), color=series.style["color"], **PALE)
    with matplotlib.rc_context(style.RC):
        every = max(1, len(smoothed) // 5)
        axes.plot(smoothed.index, smoothed, label=series.label, markevery=every, **series.style)
    axes.set_xlabel(X_LABELS["epoch"])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _hyperbola(reached: pd.Series) -> tuple[float, float]:
    """Fit S_min (1 + B/batch size) to steps by batch size, in the logarithm; NaN with fewer than three points."""
    if len(reached) < 3:
        return np.nan, np.nan
    sizes, logarithms = reached.index.to_numpy(float), np.log(reached.to_numpy(float))

    def errors(guess: np.ndarray) -> np.ndarray:
        return guess[0] + np.log1p(np.exp(guess[1]) / sizes) - logarithms

    start = [logarithms.min(), math.log(np.median(sizes))]
    smallest, critical = np.exp(optimize.least_squares(errors, start).x)
    return float(smallest), float(critical)


def _undefined_note(measured: pd.DataFrame, averaged: bool) -> str:
    kept = measured[measured["status"] != "diverged"]
    missing = kept["noise_scale"].isna()
    if not missing.any():
        return ""
    verb = "is" if missing.sum() == 1 else "are"
    sentence = f"{missing.sum()} of {len(kept)} points {verb} undefined: noise hides the gradient"
    if averaged or kept["seed"].nunique() == 1:
        return f"{sentence}."
    return f"{sentence}. There the mean is over the other seeds, and biased low."


def _draw_batch_lines(axes: Axes, batches: list[int]) -> None:
    for batch in batches:
        axes.axhline(batch, color=style.GRAY, linewidth=0.7, linestyle=style.LINE_STYLES[2])
        axes.annotate(
            f"batch {batch}", (1, batch), xycoords=("axes fraction", "data"), xytext=(2, 0), fontsize=6,
            textcoords="offset points", va="center", color=style.GRAY, annotation_clip=False,
        )  # fmt: skip
