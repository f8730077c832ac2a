"""Figures and tables of 03_optimizers_from_scratch; `path_figures` and `tuned_figures` have some of them.

`common.plotting` states the contract of every figure. The frame's `attrs` hold the notebook's measurements.
`run_selection` defines the test errors.
"""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from common import results
from common.experiments.optimizers_from_scratch import run_selection as optimizer_runs
from common.experiments.optimizers_from_scratch.path_figures import step_sizes, trails
from common.experiments.optimizers_from_scratch.run_selection import (
    METHODS,
    SOURCE,
    SOURCE_RATES,
    chosen_network,
    is_source,
    run_values,
)
from common.experiments.optimizers_from_scratch.tuned_figures import tuned, tuned_table
from common.plotting import style, tables
from common.plotting.curves import NothingToDraw, Series, draw_curves, select, spread_note

__all__ = ["FIGURES", "TABLES", "chosen_network", "curves", "learning_rates", "run_values", "scaling", "step_sizes"]
__all__ += ["table", "trails", "tuned", "tuned_table"]

_SOURCE_LOOK: dict[str, Any] = style.SOURCE_LOOK | {"markersize": 5}
_TICKS = [times * 10.0**power for power in range(6) for times in (1, 1.5, 2, 3, 4, 6, 8)]


def learning_rates(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the test error and the dead units of plain full-batch gradient descent against the learning rate."""
    frame = optimizer_runs.labelled(frame)
    optimizer_runs.require_one_task(frame)
    values = select(run_values(frame), method="gradient descent", features="raw")
    if values.empty:
        raise NothingToDraw("the results hold no run of plain gradient descent")
    units = optimizer_runs.units(frame)
    drawn, (errors, dead) = style.figure(style.DOUBLE_COLUMN, 2.4, 2)
    # Large and hollow: the two errors are often the same point.
    lowest = style.group_style(1) | {"markersize": 6, "markerfacecolor": "none", "linestyle": "none", "zorder": 4}
    medians = values.groupby("learning_rate").median(numeric_only=True)
    errors.plot(medians["lowest"], label="lowest on the curve (seen on test data)", **lowest)
    look = style.group_style(0) | {"linewidth": 1.1, "markersize": 3.5}
    for axes, value in ((errors, "chosen"), (dead, "dead_units")):
        _draw_seeds(axes, _beside_one_another(values), values[value], look | {"markersize": 2.2})
        axes.plot(medians[value], label="epoch chosen on validation data", **look)
    _draw_constant(errors.axhline, frame)
    _draw_source_rates(errors, frame)
    for axes in (errors, dead):
        axes.set_xscale("log")
        style.power_ticks(axes.xaxis)
        axes.set_xlabel("Learning rate")
    errors.set_yscale("log")
    style.log_ticks(errors.yaxis)
    errors.set_ylabel("Test mean squared error")
    dead.set_ylabel(f"Dead hidden units of {units}")
    dead.set_ylim(-0.1, units + 0.2)
    dead.yaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend(errors, above=2)
    caption = (
        f"Plain full-batch gradient descent on {optimizer_runs.name(frame)} by learning rate. Left: test error; right: "
        "hidden units that are zero for every training example at the end. Seeds stand beside one another."
    )
    style.annotate(drawn, _seeds_note(values), caption, frame)
    return drawn


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw training and test error of each method on raw features against the epochs."""
    frame = optimizer_runs.labelled(frame)
    optimizer_runs.require_one_task(frame)
    series = _raw_series(frame)
    if not series:
        raise NothingToDraw("the results hold no run on raw features")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.0, 2, sharey=True)
    for axes, y in zip(panels, ("train_loss", "curve_test_loss"), strict=True):
        draw_curves(axes, [_smoothed(curve, y) for curve in series], "epoch", y, median=True)
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis)
        axes.set_yscale("log")
    _draw_constant(panels[1].axhline, frame)
    panels[0].set_ylim(*_visible(frame, series))
    style.log_ticks(panels[0].yaxis)
    panels[0].set_ylabel("Training mean squared error")
    panels[1].set_ylabel("Test mean squared error")
    panels[1].tick_params(labelleft=True)
    style.legend(panels[1], above=4)
    caption = (
        f"Training and test error on {optimizer_runs.name(frame)} by method. The test curve is drawn because the "
        "source reports its lowest point; nothing is chosen on it. A line ends with its method's budget. Each point is "
        "the median of a run's epochs in a tenth of a decade."
    )
    style.annotate(drawn, spread_note(series, median=True), caption, frame)
    return drawn


def scaling(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw each method's test error on raw and on standardised features, with the source's."""
    frame = optimizer_runs.labelled(frame)
    optimizer_runs.require_one_task(frame)
    values = select(run_values(frame), cosine=False)
    values = values[values["method"] != "gradient descent"]
    if values.empty:
        raise NothingToDraw("the results hold no run of a method other than plain gradient descent")
    names = [name for name in METHODS if name in set(values["method"])]
    places = {name: float(len(names) - i) for i, name in enumerate(names)}
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.26 * len(names) + 1.1)
    _draw_ranks(axes, select(values, features="raw"), places, "raw features", 0.14, style.group_style(1))
    standardised = select(values, features="standardised")
    _draw_ranks(axes, standardised, places, "standardised features", -0.14, style.group_style(0))
    _draw_source_methods(axes, frame, places)
    _draw_constant(axes.axvline, frame)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    style.log_ticks(axes.xaxis, [tick for tick in _TICKS if low <= tick <= high])
    axes.set_yticks(list(places.values()), names)
    axes.set_ylim(0.4, len(names) + 0.6)
    axes.set_xlabel("Test mean squared error")
    style.legend(axes, above=2)
    note = f"{_seeds_note(values)} Epoch chosen on validation data"
    note += "; of the source's one run, the lowest point of its test curve." if is_source(frame) else "."
    caption = (
        f"Test error on {optimizer_runs.name(frame)} by method, on raw and on standardised features, where nothing is "
        "clipped."
    )
    style.annotate(drawn, note, caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the test errors of every setting over the seeds; for Boston housing, also the source's."""
    frame = optimizer_runs.labelled(frame)
    values = run_values(frame)
    setting = ["features", "method", "hidden", "learning_rate", "cosine"]
    values = values.assign(order=values.groupby(setting, sort=False).ngroup())
    headers = {"features": "Features", "method": "Method", "hidden": "Hidden units"}
    errors = {"lowest": "Lowest on the test curve", "chosen": "Epoch chosen on validation data", "last": "Last epoch"}
    shown = {name: tables.Value(header) for name, header in (errors | {"dead_units": "Dead units"}).items()}
    rows = tables.setting_table(values, headers, shown)
    groups = values.groupby("order")
    first = groups.first()
    rows["Hidden units"] = ["-".join(map(str, json.loads(hidden))) for hidden in first["hidden"]]
    rows.insert(3, "Learning rate", [f"{row.learning_rate:g}" for row in first.itertuples()])
    rows.insert(4, "Decay", ["cosine" if row.cosine else "none" for row in first.itertuples()])
    for name, place in {"lowest": 5, "chosen": 7}.items():
        medians = groups[name].median()
        header = f"{name.capitalize()}, median"
        rows.insert(place, header, ["-" if math.isnan(median) else f"{median:.2f}" for median in medians])
    if is_source(frame):
        rows.insert(len(rows.columns) - 2, "Source", [_source_of(row) for row in first.itertuples()])
    caption = (
        f"Test mean squared error on {optimizer_runs.name(frame)}: the lowest on the test curve, which the source "
        "reports and nothing is chosen by; at the epoch chosen on validation data; after the last epoch. Dead units "
        "are zero for every training example."
    )
    return tables.printed(rows, caption, lowest=[errors["chosen"]], groups=headers["features"])


FIGURES = {
    "03_optimizers_learning_rates": learning_rates,
    "03_optimizers_curves": curves,
    "03_optimizers_trails": trails,
    "03_optimizers_step_sizes": step_sizes,
    "03_optimizers_scaling": scaling,
    "03_optimizers_tuned": tuned,
}
TABLES = {"03_optimizers_table": table, "03_optimizers_tuned_table": tuned_table}


def _draw_constant(line: Any, frame: pd.DataFrame) -> None:
    """Draw the error of always predicting the training mean, by `axes.axhline` or `axes.axvline`."""
    constant = optimizer_runs.measured(frame, "constant_test_loss")
    if constant is not None:
        look = {"color": style.GRAY, "linewidth": 0.8, "linestyle": style.LINE_STYLES[2], "zorder": 1}
        line(constant, label="always the training mean", **look)


def _draw_source_rates(axes: Axes, frame: pd.DataFrame) -> None:
    if is_source(frame):
        axes.plot(*zip(*SOURCE_RATES.items(), strict=True), label="source, best of its rates", **_SOURCE_LOOK)


def _draw_source_methods(axes: Axes, frame: pd.DataFrame, places: dict[str, float]) -> None:
    if is_source(frame):
        points = [(value, places[name] + 0.14) for name, value in SOURCE.items() if name in places]
        axes.plot(*zip(*points, strict=True), label="source (raw)", zorder=3, **_SOURCE_LOOK)


def _draw_ranks(axes: Axes, runs: pd.DataFrame, places: dict[str, float], label: str, shift: float, look: dict) -> None:
    """Draw single seeds and their median, with one line per method."""
    look = look | {"markersize": 5, "linestyle": "none"}
    _draw_seeds(axes, runs["chosen"], runs["method"].map(places).astype(float) + shift, look)
    medians = runs.groupby("method")["chosen"].median()
    axes.plot(medians, [places[name] + shift for name in medians.index], label=label, **look)


def _draw_seeds(axes: Axes, x: pd.Series, y: pd.Series, look: dict) -> None:
    axes.plot(x.astype(float), y.astype(float), alpha=0.3, **look | {"linestyle": "none"})


def _beside_one_another(values: pd.DataFrame) -> pd.Series:
    """Return the learning rates, moved apart by seed by up to a seventh of a decade: many seeds have equal values."""
    seeds = values["seed"].rank(method="dense") - 1
    return values["learning_rate"] * 10 ** (0.28 * (seeds / max(1, seeds.max()) - 0.5))


def _seeds_note(values: pd.DataFrame) -> str:
    failed = int((values["status"] == "diverged").sum())
    note = f"Pale: single seeds; full: median of {values['seed'].nunique()}."
    return f"{note} {failed} diverged run{'s are' if failed > 1 else ' is'} not shown." if failed else note


def _raw_series(frame: pd.DataFrame) -> list[Series]:
    """Return the source's methods, with plain gradient descent at the largest and at the validated rate."""
    runs = select(frame, part="methods", features="raw")
    descent = select(runs, method="gradient descent")
    lines = [
        (f"gradient descent, rate {_power(rate)}", select(descent, learning_rate=rate)) for rate in _two_rates(frame)
    ]
    lines += [(name, select(runs, method=name)) for name in SOURCE]
    lines = [(label, run) for label, run in lines if len(run)]
    looks = style.method_styles(label for label, _ in lines)
    dashes = iter(style.LINE_STYLES)
    descent = style.method_style("gradient descent")
    looks |= {label: descent | {"linestyle": next(dashes)} for label in looks if label.startswith("gradient descent")}
    return [Series(label, run, looks[label]) for label, run in lines]


def _smoothed(series: Series, value: str) -> Series:
    """Return a series with one row per run and tenth of a decade of epochs: the last row, with the median of a value.

    Momentum's error jumps between epochs by more than methods differ; on a logarithmic axis most epochs are at the end.
    """
    rows = series.frame.sort_values("epoch")
    runs = rows.groupby(
        [*results.run_columns(rows), np.ceil((10 * np.log10(rows["epoch"].astype(float))).round(9))], dropna=False
    )
    medians = runs[value].transform(lambda values: values.astype(float).median())
    kept = ~rows.assign(_run=runs.ngroup()).duplicated("_run", keep="last")
    return Series(series.label, rows.assign(**{value: medians})[kept], series.style)


def _two_rates(frame: pd.DataFrame) -> list[float]:
    values = select(run_values(frame), method="gradient descent", features="raw")
    medians = values.groupby("learning_rate")["validation"].median().dropna()
    return list(dict.fromkeys([*values["learning_rate"].nlargest(1), *([medians.idxmin()] if len(medians) else [])]))


def _power(rate: float) -> str:
    exponent = round(math.log10(rate))
    return f"$10^{{{exponent}}}$" if math.isclose(rate, 10.0**exponent) else f"{rate:g}"


def _visible(frame: pd.DataFrame, series: list[Series]) -> tuple[float, float]:
    """Return limits from below the best median to a few times the constant prediction; runs start far higher."""
    medians = [curve.frame.groupby("epoch")[["train_loss", "curve_test_loss"]].median() for curve in series]
    low = min(float(np.nanmin(median.to_numpy(float))) for median in medians)
    constant = optimizer_runs.measured(frame, "constant_test_loss")
    return 0.7 * low, 5 * (constant or float(np.nanmedian(medians[0].to_numpy(float))))


def _source_of(row: Any) -> str:
    if row.features != "raw":
        return "-"
    value = SOURCE_RATES.get(row.learning_rate) if row.method == "gradient descent" else SOURCE.get(row.method)
    return "-" if value is None else f"{value:.2f}"
