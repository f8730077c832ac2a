"""Figures and table of 03_optimizers_from_scratch: learning rates, curves, trails, Adam's step sizes, scaling.

Every function takes the frame of `results.read` (in the notebook: of `results.combine`, with its measurements in
`attrs`) and returns a figure. Three test errors are told apart: `lowest`, the lowest point of the test curve, which is
what the source reports although it is a choice made on test data; `chosen`, the test error of the epoch with the lowest
validation error; `last`.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from common.line_fit import LineLoss
from common.plotting import style, tables
from common.plotting.learning_curves import (
    NothingToDraw,
    Series,
    draw_curves,
    require_single,
    select,
    spread_note,
)

# The source's lowest test error on Boston housing, raw features, 4 hidden units, one run each.
SOURCE = {"clipping": 49.35, "minibatches": 30.62, "momentum": 29.12, "Adam, clipped": 28.04, "Adam": 29.34}
SOURCE_RATES = {1e-6: 71.76}  # of plain gradient descent: the best of its learning rates
METHODS = (
    "gradient descent",
    "clipping",
    "minibatches",
    "momentum",
    "Nesterov",
    "RMSprop",
    "Adam, clipped",
    "Adam",
    "AdamW",
    "Muon",
)
_DATASETS = {"boston_housing": "Boston housing", "diabetes": "scikit-learn's diabetes"}
_RUN = ["features", "method", "hidden", "learning_rate", "clipnorm", "cosine", "seed"]
_TRAILS = ("gradient descent", "momentum", "Nesterov", "RMSprop", "Adam", "AdamW", "Muon")
_PARTS = ("hidden layer, weights", "hidden layer, biases", "output layer, weights", "output layer, bias")


def run_values(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run: its setting, the three test errors, the lowest and last validation error, dead units.

    Args:
        frame: a tidy frame of this experiment.

    Returns:
        Columns features, method, hidden, learning_rate, clipnorm, cosine, seed, status, lowest, chosen, last,
        validation, last_validation, dead_units. A diverged run has no errors (NaN).
    """
    runs = select(frame, part="methods").groupby(_RUN, dropna=False, sort=False)
    rows = [dict(zip(_RUN, key, strict=True)) | _values(run.sort_values("epoch")) for key, run in runs]
    return pd.DataFrame(rows).sort_values("method", key=lambda names: names.map(METHODS.index), kind="stable")


def _values(run: pd.DataFrame) -> dict[str, Any]:
    last = run.iloc[-1]
    found = {"status": last["status"], "dead_units": last["dead_units"]}
    names = ("lowest", "chosen", "last", "validation", "last_validation")
    if last["status"] == "diverged":
        return found | dict.fromkeys(names, math.nan)
    test, validation = run["curve_test_loss"].astype(float), run["validation_loss"].astype(float)
    measured = validation.notna().any()  # not where nothing was held out
    chosen = test[validation.idxmin()] if measured else math.nan
    values = (test.min(), chosen, test.iloc[-1], validation.min(), validation.iloc[-1])
    return found | dict(zip(names, map(float, values), strict=True))


def chosen_network(frame: pd.DataFrame) -> tuple[str, str]:
    """Name method and hidden layers, as in the columns, with the lowest mean validation error after the last epoch.

    Raises:
        NothingToDraw: no network on standardised features, or all diverged.
    """
    networks = select(run_values(frame), cosine=True)
    means = networks.groupby(["method", "hidden"])["last_validation"].mean().dropna()
    if means.empty:
        raise NothingToDraw("the results hold no finished network to choose on standardised features")
    return means.idxmin()


def learning_rates(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the test error and the dead units of plain full-batch gradient descent against the learning rate."""
    _require_one_task(frame)
    values = select(run_values(frame), method="gradient descent", features="raw")
    if values.empty:
        raise NothingToDraw("the results hold no run of plain gradient descent")
    drawn, (errors, dead) = style.figure(style.DOUBLE_COLUMN, 2.4, 2)
    looks = {"lowest": ("lowest on the curve (seen on test data)", 1), "chosen": ("epoch chosen on validation data", 0)}
    for name, (label, index) in looks.items():
        # Large and hollow: the two are often the same point.
        hollow = {"markersize": 6, "markerfacecolor": "none"} if name == "lowest" else {}
        _points(errors, values, name, label, style.group_style(index) | hollow)
    _points(dead, values, "dead_units", "plain", style.group_style(0))
    _draw_constant(errors, frame)
    _draw_source_rates(errors, frame)
    for axes in (errors, dead):
        axes.set_xscale("log")
        axes.set_xlabel("Learning rate")
    errors.set_yscale("log")
    style.log_ticks(errors.yaxis)
    errors.set_ylabel("Test mean squared error")
    dead.set_ylabel(f"Dead hidden units of {_units(frame)}")
    dead.set_ylim(-0.1, _units(frame) + 0.2)
    dead.yaxis.set_major_locator(MaxNLocator(integer=True))
    with matplotlib.rc_context(style.RC):
        drawn.legend(*errors.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    caption = (
        f"Plain full-batch gradient descent on {_subject(frame)} by learning rate. Left: test error; right: hidden "
        "units that are zero for every training example at the end."
    )
    style.annotate(drawn, _note(values, "learning_rate", "method"), caption, frame)
    return drawn


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw training and test error of each method on raw features against the epochs."""
    _require_one_task(frame)
    series = _raw_series(frame)
    if not series:
        raise NothingToDraw("the results hold no run on raw features")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.0, 2, sharey=True)
    for axes, y in zip(panels, ("train_loss", "curve_test_loss"), strict=True):
        draw_curves(axes, series, "epoch", y)
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis)
        axes.set_yscale("log")
    _draw_constant(panels[1], frame, label=False)
    panels[0].set_ylim(*_visible(frame))
    style.log_ticks(panels[0].yaxis)
    panels[0].set_ylabel("Training mean squared error")
    panels[1].set_ylabel("Test mean squared error")
    panels[1].tick_params(labelleft=True)
    with matplotlib.rc_context(style.RC):
        handles = [Line2D([], [], label=one.label, **one.style) for one in series]
        drawn.legend(handles=handles, loc="outside upper center", ncols=4)
    caption = (
        f"Training and test error on {_subject(frame)} by method; dotted: always predicting the training mean. The "
        "test curve is drawn because the source reports its lowest point; nothing is chosen on it."
    )
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def scaling(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw each method's test error on raw and on standardised features, beside the source's."""
    _require_one_task(frame)
    values = run_values(frame)
    values = values[~values["cosine"].astype(bool) & (values["method"] != "gradient descent")]
    if values.empty:
        raise NothingToDraw("the results hold no run of a method other than plain gradient descent")
    names = [name for name in METHODS if name in set(values["method"])]
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.26 * len(names) + 1.1)
    places = {name: float(len(names) - i) for i, name in enumerate(names)}
    for shift, (features, index) in zip((0.14, -0.14), {"raw": 1, "standardised": 0}.items(), strict=True):
        runs = select(values, features=features)
        look = style.group_style(index) | {"linestyle": "none"}
        height = runs["method"].map(places).astype(float) + shift
        axes.plot(runs["chosen"], height, color=look["color"], marker=look["marker"], alpha=0.3, linestyle="none")
        medians = runs.groupby("method")["chosen"].median()
        look |= {"markersize": 5, "label": f"{features} features"}
        axes.plot(medians, [places[name] + shift for name in medians.index], **look)
    _draw_source_methods(axes, frame, places)
    _draw_constant(axes, frame, across=True)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    round_numbers = [times * 10.0**power for power in range(6) for times in (1, 1.5, 2, 3, 4, 6, 8)]
    style.log_ticks(axes.xaxis, [number for number in round_numbers if low <= number <= high])
    axes.set_yticks(list(places.values()), names)
    axes.set_ylim(0.4, len(names) + 0.6)
    axes.set_xlabel("Test mean squared error")
    with matplotlib.rc_context(style.RC):
        drawn.legend(loc="outside upper center", ncols=2)
    seeds = values["seed"].nunique()
    note = f"Pale: single seeds; full: median of {seeds}. Test error of the epoch chosen on validation data"
    note += "; the source's is the lowest of its test curve, of one run." if _is_source(frame) else "."
    caption = (
        f"Test error on {_subject(frame)} by method, on raw and on standardised features, where nothing is clipped."
    )
    style.annotate(drawn, note, caption, frame)
    return drawn


def trails(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the paths of slope and intercept on the loss surface of a line, for one raw and one standardised feature."""
    runs = select(frame, part="line")
    surfaces = _measured(frame, "line")
    if runs.empty or not surfaces:
        raise NothingToDraw("the results hold no trail of two weights")
    runs = runs[runs["seed"] == runs["seed"].min()]
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.1, 2)
    for axes, (features, means) in zip(panels, surfaces.items(), strict=True):
        _draw_trails(axes, select(runs, features=features), LineLoss(**means))
        _title(axes, f"{features} feature, condition number {LineLoss(**means).condition:,.0f}")
        axes.set_xlabel("Slope")
    panels[0].set_ylabel("Intercept")
    with matplotlib.rc_context(style.RC):
        handles = [Line2D([], [], label=name, **_trail_look(name)) for name in _TRAILS if name in set(runs["method"])]
        drawn.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    rates = runs.drop_duplicates(["features", "method"])
    steps = int(runs["step"].max())
    caption = (
        f"The paths of the two weights of a line on one feature of {_dataset(frame)}, from zero, on the surface of its "
        f"training error: {steps} full-batch steps, a marker every {_marked(steps)}; star: least squares. "
        "Gradient descent and momentum have the rate 1 / largest curvature, the others a hundredth of the way there."
    )
    note = f"{len(rates)} runs, no randomness. Contours: 1.05, 2, 4, 8, ... times the lowest error."
    style.annotate(drawn, note, caption, frame)
    return drawn


def step_sizes(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw Adam's effective step size of each parameter over training, on raw and on standardised features."""
    names = [name for name in frame.columns if name.startswith("step_size ")]
    runs = select(frame, method="Adam", part="methods")
    runs = runs[runs[names].notna().any(axis=1)] if names else runs.iloc[:0]
    if runs.empty:
        raise NothingToDraw("the results hold no step sizes of Adam")
    runs = runs[runs["seed"] == runs["seed"].min()]
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, 2, sharey=True)
    for axes, features in zip(panels, ("raw", "standardised"), strict=True):
        _draw_step_sizes(axes, select(runs, features=features).sort_values("epoch"), names)
        _title(axes, f"{features} features")
        axes.set_xlabel("Epochs")
    panels[0].set_yscale("log")
    panels[0].set_ylabel("Effective step size")
    with matplotlib.rc_context(style.RC):
        handles = [Line2D([], [], label=label, color=_part_color(i)) for i, label in enumerate(_PARTS)]
        drawn.legend(handles=handles, loc="outside upper center", ncols=4)
    caption = (
        f"Adam's effective step size α / (√v + ε) of every parameter on {_subject(frame)}: what its mean gradient is "
        "multiplied by. Parameters that never had a gradient (of units dead from the start) are left out."
    )
    style.annotate(drawn, f"One seed, {int(runs['seed'].min())}.", caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the test errors of every setting over the seeds, on Boston housing with the source's beside."""
    values = run_values(frame)
    keys = ["features", "method", "hidden", "learning_rate"]
    rows = []
    for setting, runs in values.groupby(keys, sort=False):
        features, method, hidden, rate = setting
        kept = runs[runs["status"] != "diverged"]
        row = {"Features": features, "Method": method, "Hidden units": "-".join(map(str, json.loads(hidden)))}
        row |= {"Learning rate": f"{rate:g}{' (cosine)' if runs['cosine'].iloc[0] else ''}"}
        row |= {"Lowest, median": _median(kept["lowest"]), "Lowest on the test curve": _mean(kept["lowest"])}
        row |= {"Chosen, median": _median(kept["chosen"]), "Epoch chosen on validation data": _mean(kept["chosen"])}
        row |= {"Last epoch": _mean(kept["last"]), "Dead units": f"{runs['dead_units'].mean():.1f}"}
        if _is_source(frame):
            row["Source"] = _source_of(features, method, rate)
        rows.append(row | {"Seeds": len(kept), "Diverged": len(runs) - len(kept)})
    return pd.DataFrame(rows)


def readme_rows(frame: pd.DataFrame) -> list[str]:
    """Return the rows of README's table, in Markdown: the shared network's methods, then the larger networks."""
    kept = table(frame)
    kept = kept[(kept["Features"] != "raw, nothing held out") & (kept["Method"] != "gradient descent")]
    larger = kept["Learning rate"].str.contains("cosine")
    order = pd.concat([kept[~larger & (kept["Features"] == "raw")], kept[~larger & (kept["Features"] != "raw")]])
    columns = ["Features", "Hidden units", "Method", "Lowest, median", "Lowest on the test curve", "Source"]
    columns += ["Epoch chosen on validation data", "Last epoch"]
    return [f"| {' | '.join(row)} |" for row in pd.concat([order, kept[larger]])[columns].itertuples(index=False)]


FIGURES = {
    "03_optimizers_learning_rates": learning_rates,
    "03_optimizers_curves": curves,
    "03_optimizers_trails": trails,
    "03_optimizers_step_sizes": step_sizes,
    "03_optimizers_scaling": scaling,
}
TABLES = {"03_optimizers_table": table}


def _require_one_task(frame: pd.DataFrame) -> None:
    require_single(select(frame, features="raw"), ["dataset", "train_examples"])


def _dataset(frame: pd.DataFrame) -> str:
    name = frame["dataset"].iloc[0]
    return _DATASETS.get(name, name)


def _subject(frame: pd.DataFrame) -> str:
    return f"{_dataset(frame)} ({_units(frame)} hidden units)"


def _is_source(frame: pd.DataFrame) -> bool:
    return bool((frame["dataset"] == "boston_housing").all())


def _shared_hidden(values: pd.DataFrame) -> str:
    """The network of all methods, unlike those that are chosen from."""
    return str(values.loc[~values["cosine"].astype(bool), "hidden"].iloc[0])


def _units(frame: pd.DataFrame) -> int:
    return sum(json.loads(_shared_hidden(select(frame, part="methods"))))


def _measured(frame: pd.DataFrame, name: str) -> Any:
    """The same in all files: it belongs to the data."""
    return next((measured[name] for measured in frame.attrs.get("measurements", []) if name in measured), None)


def _title(axes: Axes, text: str) -> None:
    with matplotlib.rc_context(style.RC):
        axes.set_title(text)


def _points(axes: Axes, values: pd.DataFrame, column: str, label: str, look: dict) -> None:
    kept = values[values["status"] != "diverged"].groupby("learning_rate")[column]
    summary = pd.DataFrame({"mean": kept.mean(), "std": kept.std().fillna(0)}).astype(float)
    with matplotlib.rc_context(style.RC):
        axes.errorbar(summary.index, summary["mean"], yerr=summary["std"], label=label, elinewidth=0.8, **look)


def _draw_constant(axes: Axes, frame: pd.DataFrame, *, label: bool = True, across: bool = False) -> None:
    constant = _measured(frame, "constant_test_loss")
    if constant is not None:
        look = {"color": style.GRAY, "linewidth": 0.8, "linestyle": style.LINE_STYLES[2], "zorder": 1}
        line = axes.axvline if across else axes.axhline
        line(constant, label="always the training mean" if label else None, **look)


def _draw_source_rates(axes: Axes, frame: pd.DataFrame) -> None:
    if _is_source(frame):
        look = {"marker": "o", "markersize": 6, "markerfacecolor": "none", "color": style.GRAY, "linestyle": "none"}
        axes.plot(*zip(*SOURCE_RATES.items(), strict=True), label="source, best of its rates", **look)


def _draw_source_methods(axes: Axes, frame: pd.DataFrame, places: dict[str, int]) -> None:
    if _is_source(frame):
        points = [(value, places[name] + 0.14) for name, value in SOURCE.items() if name in places]
        look = {"marker": "D", "markersize": 5, "markerfacecolor": "none", "color": style.GRAY, "linestyle": "none"}
        axes.plot(*zip(*points, strict=True), label="source (raw)", zorder=3, **look)


def _raw_series(frame: pd.DataFrame) -> list[Series]:
    """The methods of the source; of plain gradient descent the largest rate and the one that validation data choose."""
    runs = select(frame, part="methods", features="raw")
    rates = select(run_values(frame), method="gradient descent", features="raw")
    series = []
    if not rates.empty:
        means = rates.groupby("learning_rate")["validation"].mean().dropna()
        picked = dict.fromkeys([rates["learning_rate"].max(), *([means.idxmin()] if len(means) else [])])
        series += [
            Series(
                f"gradient descent, rate {_power(rate)}", select(runs, method="gradient descent", learning_rate=rate)
            )
            for rate in picked
        ]
    for name in ("clipping", "minibatches", "momentum", "Adam, clipped", "Adam"):
        series.append(Series(name, select(runs, method=name)))
    found = [one for one in series if len(one.frame)]
    return [Series(one.label, one.frame, style.group_style(i)) for i, one in enumerate(found)]


def _power(rate: float) -> str:
    exponent = round(math.log10(rate))
    return f"$10^{{{exponent}}}$" if math.isclose(rate, 10.0**exponent) else f"{rate:g}"


def _visible(frame: pd.DataFrame) -> tuple[float, float]:
    """From below the best to a few times the constant prediction: the first steps start a thousand times higher."""
    runs = select(frame, part="methods", features="raw")
    low = float(np.nanmin(runs[["train_loss", "curve_test_loss"]].astype(float)))
    high = _measured(frame, "constant_test_loss") or float(np.nanmedian(runs["train_loss"].astype(float)))
    return 0.8 * low, 5 * high


def _draw_trails(axes: Axes, runs: pd.DataFrame, loss: LineLoss) -> None:
    star = loss.minimum
    points = pd.concat([runs[["slope", "intercept"]].astype(float), pd.DataFrame([{"slope": 0.0, "intercept": 0.0}])])
    shown = points[(points.abs() < 4 * np.abs(star).max()).all(axis=1)]
    low = np.minimum(shown.min().to_numpy(), star)
    high = np.maximum(shown.max().to_numpy(), star)
    margin = 0.12 * (high - low).max() if (high - low).min() == 0 else 0.12 * (high - low)
    low, high = low - margin, high + margin
    grid = np.meshgrid(np.linspace(low[0], high[0], 240), np.linspace(low[1], high[1], 240))
    height = loss(*grid) / loss(*star)
    with matplotlib.rc_context(style.RC):
        axes.contour(*grid, np.log2(height), levels=[math.log2(1.05), *range(1, 16)], colors="#BBBBBB", linewidths=0.5)
    for name in reversed(_TRAILS):  # the shortest paths last, and so on top
        run = select(runs, method=name).sort_values("step")
        if len(run):
            path = [[0.0, *run["slope"].astype(float)], [0.0, *run["intercept"].astype(float)]]
            axes.plot(*path, markevery=_marked(len(run)), markersize=2.2, linewidth=0.9, **_trail_look(name))
    axes.plot(*star, marker="*", markersize=8, color=style.BLACK, linestyle="none", zorder=5)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])


def _marked(steps: int) -> int:
    return max(1, steps // 10)


def _trail_look(name: str) -> dict[str, Any]:
    return style.group_style(_TRAILS.index(name))


def _draw_step_sizes(axes: Axes, run: pd.DataFrame, names: Sequence[str]) -> None:
    if run.empty:
        return
    units = sum(json.loads(run["hidden"].iloc[0]))
    inputs = (len(names) - 2 * units - 1) // units
    ends = np.cumsum([inputs * units, units, units, 1])
    for index, name in enumerate(names):
        values = run[name].astype(float)
        if values.iloc[0] < 1e4:  # a parameter without any gradient has α / ε, whatever happens
            axes.plot(
                run["epoch"], values, color=_part_color(int(np.searchsorted(ends, index, "right"))), linewidth=0.6
            )


def _part_color(index: int) -> str:
    return style.group_style(index)["color"]


def _note(values: pd.DataFrame, *by: str) -> str:
    kept = values[values["status"] != "diverged"]
    seeds = kept.groupby(list(by)).size()
    told = [f"Mean ± 1 standard deviation over {int(seeds.min())} seeds."] if seeds.min() > 1 else ["One seed."]
    failed = len(values) - len(kept)
    told += [f"{failed} diverged run{'s are' if failed > 1 else ' is'} in no mean."] if failed else []
    return " ".join(told)


def _median(column: pd.Series) -> str:
    return "-" if column.dropna().empty else f"{column.median():.2f}"


def _mean(column: pd.Series) -> str:
    return tables.mean_and_spread(column.mean(), column.std(), 2)


def _source_of(features: str, method: str, rate: float) -> str:
    if not features.startswith("raw"):
        return "-"
    value = SOURCE_RATES.get(rate) if method == "gradient descent" else SOURCE.get(method)
    return "-" if value is None else f"{value:.2f}"
