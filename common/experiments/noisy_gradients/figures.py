"""Figures and tables of 02_noisy_gradients: the cost of noise and its threshold; `remedy_figures` has the remedies.

`common.plotting` states the contract of every figure.
"""

import math
from collections.abc import Callable
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from common import results
from common.experiments.noisy_gradients.remedy_figures import (
    batch_sizes,
    over_the_air,
    rates_said,
    remedies,
    subspaces,
    tuned,
)
from common.experiments.noisy_gradients.run_selection import PLAIN, TUNED, budget, prepared, reference, sigma_sweep
from common.plotting import captions, style, tables
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    draw_level,
    error_name,
    select,
    series_by_run,
    set_error_axis,
    spread_note,
)

SOURCE_ERROR = 100 - 80.72  # the source's test error (%) on MNIST: σ = 1, batch 500, rate 0.01, 15 epochs
_SIGMA_AXIS = "Noise standard deviation σ"


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error of the full-budget runs against epochs: the source's noise, and the recovery."""
    frame = prepared(frame)
    series = series_by_run(select(frame, group="full"), "full: ")
    if not series:
        raise NothingToDraw("the results hold no run of the full budget")
    part = captions.part(frame)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.4)
    draw_curves(axes, series, "epoch", f"{part}_error")
    set_error_axis(axes, frame, part)
    style.legend(axes)
    batch = series[0].frame["batch_size"].iloc[0]
    caption = (
        f"{error_name(frame, part)} on {captions.name(frame)}, plain SGD, batch {batch}, with noise in the gradients."
    )
    caption = " ".join(filter(None, (caption, _recovery(select(frame, group="full")))))
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def sigmas(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final test error against σ, with the error without noise and the predicted threshold of σ."""
    frame = prepared(frame)
    runs = sigma_sweep(frame)
    noisy = runs[runs["sigma"] > 0]
    if noisy.empty:
        raise NothingToDraw("the results hold no sweep over sigma")
    series = [Series(budget(runs), noisy, style.group_style(0))]
    full = select(frame, group="full", **PLAIN)
    if len(full):
        look = style.group_style(1) | {"linestyle": "none", "markersize": 4}
        series.append(Series(budget(full), full, look))
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.6)
    draw_final(axes, series, "sigma", "test_error")
    draw_level(axes, runs[runs["sigma"] == 0], "test_error", "no noise")
    _draw_source(axes, frame)
    axes.set_xscale("log")
    prediction = _draw_prediction(axes, frame)
    axes.set_xlabel(_SIGMA_AXIS)
    set_error_axis(axes, frame, "test")
    style.log_ticks(axes.xaxis)
    style.legend(axes)
    caption = f"Test error on {captions.name(frame)} against the noise, plain SGD at a constant learning rate."
    style.annotate(drawn, spread_note(series, ["sigma"]), " ".join(filter(None, (caption, prediction))), frame)
    return drawn


def signal_to_noise(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw ‖g‖²/(σ²P) over training and against σ, with the threshold of progress, and the directions' cosines."""
    frame = prepared(frame)
    full = select(frame, group="full")
    plain = series_by_run(select(full, **PLAIN), "full: ")
    sweep = sigma_sweep(frame)
    by_sigma = [Series("at the end of the run", sweep[sweep["sigma"] > 0], style.group_style(0))]
    # Zero is where a run diverged, and has no place on an axis of powers of ten.
    drawable = [(curve.frame["signal_to_noise"] > 0).any() for curve in (*plain, *by_sigma)]
    if not plain or not all(drawable):
        raise NothingToDraw("the results hold no measured signal_to_noise of noisy runs")
    both = series_by_run(full, "full: ")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, 3)
    draw_curves(panels[0], plain, "epoch", "signal_to_noise")
    draw_final(panels[1], by_sigma, "sigma", "signal_to_noise")
    draw_curves(panels[2], both, "epoch", "cosine")
    thresholds = pd.Series(dtype=float)
    for axes, runs in zip(panels, (plain[0].frame, by_sigma[0].frame), strict=False):
        thresholds = _thresholds(frame, int(runs["batch_size"].iloc[0]))
        look = {"color": style.BLACK, "linewidth": 0.8, "linestyle": style.DASHED}
        _draw_thresholds(axes.axhline, thresholds, "below: noise undoes the step", look)
        _set_ratio_axis(axes)
    for axes, runs in zip(panels, (plain[0].frame, by_sigma[0].frame, plain[0].frame), strict=True):
        with matplotlib.rc_context(style.RC):
            axes.set_title(budget(runs))
    panels[1].set_xscale("log")
    style.log_ticks(panels[1].xaxis)
    panels[1].set_xlabel(_SIGMA_AXIS)
    panels[2].set_ylim(bottom=min(0.0, panels[2].get_ylim()[0]))
    panels[2].set_ylabel("Cosine to the exact gradient")
    for axes in panels:
        style.legend(axes)
    caption = (
        f"The direction ĝ and the exact gradient g of the same minibatch on {captions.name(frame)}. Left: "
        f"signal-to-noise ratio ‖g‖²/‖ĝ - g‖² after each epoch of the full run ({budget(plain[0].frame)}). Middle: the "
        f"same at the end of the sweep's runs ({budget(by_sigma[0].frame)}) against σ. Right: cosine of the angle "
        "between the two in the full runs; with subspaces amplified, between the amplified direction and g."
    )
    if len(thresholds):
        caption += (
            " Dashed: where the progress of a step, η‖G‖², is undone by the noise, η²σ² tr H / 2. The full gradient G "
            "gives a minibatch of b a mean ‖g‖² = ‖G‖²(1 + B/b); the noise scale B, and tr H as the trace of the "
            "per-example gradients' covariance, are those at the end of the run without noise. "
            + _below(by_sigma[0].frame, thresholds.mean())
        )
    style.annotate(drawn, spread_note([*both, *by_sigma], ["sigma"]), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate validation and test error of every run over the seeds, without those with tuned rates."""
    frame = prepared(frame)
    caption = (
        f"Errors on {captions.name(frame)} with noise in the gradients, σ = 1 unless said, of the source's batch and "
        "epochs (full) and of a sweep of smaller batches."
    )
    return _tabulated(frame[frame["group"] != TUNED], caption, {"group": "Budget"})


def tuned_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate validation and test error of every remedy and control with a tuned rate.

    Raises:
        NothingToDraw: there are none.
    """
    rates, frame = rates_said(frame), prepared(frame)
    rows = select(frame, group=TUNED)
    if rows.empty:
        raise NothingToDraw("the results hold no remedies with tuned rates")
    caption = (
        f"Errors on {captions.name(frame)} with noise of σ = {reference(frame)['sigma']:g} in the gradients, of "
        f"remedies and controls. {rates}"
    ).strip()
    return _tabulated(rows.assign(run=rows["run"].str.removeprefix(f"{TUNED}: ")), caption, {})


def _tabulated(rows: pd.DataFrame, caption: str, groups: dict[str, str]) -> pd.DataFrame:
    keys = groups | {"run": "Setting", "batch_size": "Batch", "learning_rate": "Rate"}
    values = tables.errors(rows)
    table = tables.setting_table(rows, keys, values)
    return tables.printed(
        table.assign(Rate=table["Rate"].map("{:.3g}".format)),
        caption,
        lowest=[value.header for value in values.values()],
        groups=next(iter(groups.values()), ""),
    )


FIGURES = {
    "02_noisy_curves": curves,
    "02_noisy_sigma": sigmas,
    "02_noisy_signal_to_noise": signal_to_noise,
    "02_noisy_remedies": remedies,
    "02_noisy_tuned": tuned,
    "02_noisy_batch_and_rate": batch_sizes,
    "02_noisy_subspace": subspaces,
    "02_noisy_over_the_air": over_the_air,
}
TABLES = {"02_noisy_table": table, "02_noisy_tuned_table": tuned_table}


def _draw_source(axes: Axes, frame: pd.DataFrame) -> None:
    if (frame["dataset"] == "mnist").all():
        axes.plot([1], [SOURCE_ERROR], label="source", **style.SOURCE_LOOK | {"markersize": 6.5})


def _measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the last rows of the runs without noise in which the gradient's noise scale was measured."""
    if "noise_scale" not in frame:
        return frame.iloc[:0]
    rows = results.last_rows(select(frame, sigma=0.0, noise="constant"))
    return rows[rows["noise_scale"].notna() & (rows["status"] != "diverged")]


def _thresholds(frame: pd.DataFrame, batch: int) -> pd.Series:
    """Return each seed's ratio ‖g‖²/(σ²P) at which noise undoes a step's progress; empty if not measured.

    From η‖G‖² = η²σ² tr H / 2 and E‖g‖² = ‖G‖²(1 + B/b): η tr H (1 + B/b) / (2P).
    """
    rows = _measured(frame)
    if rows.empty:
        return pd.Series(dtype=float)
    full = rows["learning_rate"] * rows["gradient_variance"] / (2 * rows["coordinates"])
    return (full * (1 + rows["noise_scale"] / batch)).astype(float)


def _draw_thresholds(line: Callable[..., Any], values: pd.Series, label: str, look: dict[str, Any]) -> None:
    """Draw the seeds' mean of a predicted threshold, and each seed's as a pale line, by `axes.axhline` or `axvline`."""
    if values.empty:
        return
    line(values.mean(), label=label, **look)
    for value in values if len(values) > 1 else ():
        line(value, **look | {"linewidth": 0.5, "alpha": 0.4, "zorder": 1})


def _below(runs: pd.DataFrame, threshold: float) -> str:
    """Return how many of the sweep's runs end below the threshold, and the results of those above it."""
    last = results.last_rows(runs)
    below = last[last["signal_to_noise"].astype(float) < threshold]
    worst = last.loc[~last.index.isin(below.index), "test_error"].max()
    return (
        f"Of the sweep's {len(last)} runs {len(below)} end below it; of the others the worst has {worst:.0f} % error: "
        "it does not tell what noise costs."
    )


def _draw_prediction(axes: Axes, frame: pd.DataFrame) -> str:
    """Draw the predicted threshold of the noise, σ² = 2‖G‖²/(η tr H) = 2/(ηB), and return its caption."""
    rows = _measured(frame)
    if rows.empty:
        return ""
    sigma = ((2 / (rows["learning_rate"] * rows["noise_scale"])) ** 0.5).astype(float)
    look = {"color": style.GRAY, "linewidth": 0.9, "linestyle": style.LINE_STYLES[2]}
    _draw_thresholds(axes.axvline, sigma, "predicted: noise wins", look)
    return (
        "Dotted: the noise that undoes a step's progress, σ² = 2/(ηB), with the gradient noise scale B at the end of "
        "the run without noise."
    )


def _recovery(full: pd.DataFrame) -> str:
    """Return the sentence on the runs that amplify a subspace of public gradients; empty if there are none."""
    amplified = select(full, sketch="public")
    if amplified.empty:
        return ""
    dimensions = int(amplified["dimensions"].iloc[0])
    rate = " and the rate falls to zero" if (amplified["schedule"] == "LinearDecay").all() else ""
    return (
        f"Recovered: steps are longer within the span of {dimensions} gradients of public examples{rate and ','}{rate}."
    )


def _set_ratio_axis(axes: Axes) -> None:
    """Label the y axis by powers of ten at whole decades, since the ratios are too small for plain numbers."""
    axes.set_yscale("log")
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    axes.set_ylim(10.0 ** math.floor(low), 10.0 ** math.ceil(high))
    style.power_ticks(axes.yaxis)
    axes.set_ylabel("Signal-to-noise ratio")
