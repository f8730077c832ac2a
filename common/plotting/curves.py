"""Curves and final values of groups of runs: the mean, the single seeds, and diverged runs.

All experiments use this module. A group is a `Series`: the rows of one setting with all its seeds, a label and a style.
Each seed is drawn as a pale curve. The standard deviation of two or three seeds says little, and its bar often has no
lower end on a logarithmic axis. Curves of more than `MOST_CURVES` seeds have a band instead. A diverged run has its own
thin curve, which ends in a cross where it diverged. No mean includes it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from common import results
from common.plotting import style

X_LABELS = {
    "epoch": "Epochs",
    "step": "Update steps",
    "seconds": "Training time (s)",
    "cost": "Cost (gradients of one example)",
    "bytes_sent": "Sent (bytes)",
}
MOST_CURVES = 5  # largest number of seeds with their own curves
PALE: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.4, "zorder": 1.5}  # the look of a single seed beside a mean
_DOTS: dict[str, Any] = PALE | {"marker": "o", "markersize": 2.2, "markeredgewidth": 0, "linestyle": "none"}
_PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}


class NothingToDraw(ValueError):  # noqa: N818 - a statement about the results, not a fault of the code
    """The results have no data for a figure."""


@dataclass(frozen=True)
class Series:
    """The runs of one setting.

    Attributes:
        label: its name in the legend.
        frame: its rows, one run per seed (and per parameter value in `draw_final`).
        style: color, linestyle and marker for matplotlib.
    """

    label: str
    frame: pd.DataFrame
    style: Mapping[str, Any] = field(default_factory=dict)


def select(frame: pd.DataFrame, **conditions: Any) -> pd.DataFrame:
    """Return the rows whose columns equal the given values; an NA value or a missing column excludes a row."""
    kept = pd.Series(True, index=frame.index)
    for name, value in conditions.items():
        kept &= (column(frame, name) == value).fillna(False).astype(bool)
    return frame[kept]


def series_by(frame: pd.DataFrame, by: str | Sequence[str], label: str = "{}") -> list[Series]:
    """Return one series per value of one or several columns, in the order of the values, each with its style.

    Args:
        frame: a tidy frame.
        by: the column(s).
        label: format of the legend's entry, filled with the value(s), e.g. "batch {}".
    """
    names = [by] if isinstance(by, str) else list(by)
    groups = frame.groupby(names, sort=True, dropna=False)
    return [Series(label.format(*key), rows, style.group_style(i)) for i, (key, rows) in enumerate(groups)]


def series_by_run(runs: pd.DataFrame, prefix: str = "") -> list[Series]:
    """Return one series per run of a plan, in the plan's order, each in its method's style.

    Args:
        runs: rows of a frame.
        prefix: start of a run's name that its label leaves out.
    """
    groups = {name.removeprefix(prefix): rows for (_, name), rows in runs.groupby(["order", "run"])}
    looks = style.method_styles(groups)
    return [Series(name, rows, looks[name]) for name, rows in groups.items()]


def column(frame: pd.DataFrame, name: str, default: Any = None) -> pd.Series:
    """Return a column, or the default in every row: a setting that all runs share may have no column."""
    return frame[name] if name in frame else pd.Series(default, index=frame.index, name=name)


def with_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Add train_error, validation_error and test_error, which are more readable than accuracies near 100 %.

    Args:
        frame: a tidy frame with one kind of metric.

    Returns:
        The frame with the error in percent for "accuracy", and the metric itself for "mean_squared_error".
    """
    accuracy = frame["metric"] == "accuracy"
    for part in _PARTS:
        metric = frame[f"{part}_metric"].astype(float)
        frame = frame.assign(**{f"{part}_error": (100 * (1 - metric)).where(accuracy, metric)})
    return frame


def error_name(frame: pd.DataFrame, part: str) -> str:
    """Return the name of `{part}_error` without its unit; part is "train", "validation" or "test"."""
    return f"{_PARTS[part]} {'error' if (frame['metric'] == 'accuracy').all() else 'mean squared error'}"


def set_error_axis(axes: Axes, frame: pd.DataFrame, part: str) -> None:
    """Set the y axis for `{part}_error`: logarithmic (unless every error is zero), with a label and a unit."""
    if math.isfinite(axes.dataLim.minposy):
        axes.set_yscale("log")
        style.log_ticks(axes.yaxis)
    unit = " (%)" if (frame["metric"] == "accuracy").all() else ""
    axes.set_ylabel(f"{error_name(frame, part)}{unit}")


def require_single(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a frame that mixes settings which one figure must not average.

    Raises:
        ValueError: the frame mixes settings; the message names the column and its values.
    """
    for name in columns:
        values = frame[name].drop_duplicates().tolist()
        if len(values) > 1:
            listed = ", ".join(map(str, values))
            raise ValueError(f"the results mix several values of {name} ({listed}); draw them from separate folders")


def draw_curves(
    axes: Axes, series: Sequence[Series], x: str, y: str, *, skip_undefined: bool = False, median: bool = False
) -> None:
    """Draw y against x for each series: a mean, pale seeds, and thin curves of diverged runs that end in a cross.

    Args:
        axes: the panel; the caller sets its scales.
        series: the groups.
        x: "epoch", "step", "seconds" or "cost". Seeds are averaged epoch by epoch, in x too.
        y: any numeric column.
        skip_undefined: if some seeds have no value (NaN), average the others; the note must then say so. If no seed has
            one, the line has a gap. Without this option, an epoch in which a seed has no value is left out.
        median: draw only the median, for values that are ten times larger in one seed of five than in the others.

    Raises:
        ValueError: a series has several runs of one seed; the message names the parameter in which they differ.
    """
    for curve in series:
        _refuse_mixture(curve, [])
        failed = curve.frame["status"] == "diverged"
        _draw_middle(axes, curve, _middle_curve(curve.frame[~failed], x, y, skip_undefined, median), band=not median)
        if not median:
            _draw_seeds(axes, curve, curve.frame[~failed], x, y)
        for _, run in curve.frame[failed].groupby("seed"):
            _draw_diverged(axes, curve, run.sort_values("epoch"), x, y)
    axes.set_xlabel(X_LABELS.get(x, x))
    if x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def draw_final(axes: Axes, series: Sequence[Series], parameter: str, value: str, *, seed_by_seed: bool = False) -> None:
    """Draw a value of the runs' last rows against a parameter: the mean, the seeds as pale dots, and diverged runs.

    Args:
        axes: the panel; the caller sets its scales.
        series: the groups.
        parameter: a parameter column of numbers.
        value: the column to average, e.g. "test_error".
        seed_by_seed: draw one line per seed and no mean, if the seeds come from several populations.

    Raises:
        ValueError: a series has several runs of one seed and parameter value.
    """
    for curve in series:
        _refuse_mixture(curve, [parameter])
        summary = results.summarize(curve.frame, [parameter], value)
        rows = results.last_rows(curve.frame)
        rows = rows[(rows["status"] != "diverged") & rows[value].notna()]
        with matplotlib.rc_context(style.RC):
            if seed_by_seed:
                for number, (_, own) in enumerate(rows.sort_values(parameter).groupby("seed")):
                    label = "" if number else curve.label
                    axes.plot(own[parameter].astype(float), own[value].astype(float), label=label, **curve.style)
            else:
                axes.plot(summary[parameter].astype(float), summary["mean"], label=curve.label, **curve.style)
                if rows.groupby(parameter).size().max() > 1:
                    places, values = rows[parameter].astype(float), rows[value].astype(float)
                    axes.plot(places, values, color=curve.style.get("color"), **_DOTS)
        for _, row in summary[summary["diverged"] > 0].iterrows():
            failed, runs = int(row["diverged"]), int(row["diverged"] + row["n"])
            first = row[parameter] == summary[parameter].min()
            _mark_diverged(axes, curve, float(row[parameter]), f"{failed} of {runs} diverged", to_the_left=not first)


def draw_rows(axes: Axes, rows: pd.DataFrame, places: Mapping[str, float], value: str, **look: Any) -> None:
    """Draw a value of each run on its own line: the mean, and the seeds as pale dots.

    Args:
        axes: the panel; the caller sets its scales.
        rows: last rows of runs; diverged runs are left out.
        places: maps each run to draw to its height.
        value: the column to average.
        **look: color and marker.
    """
    rows = rows[(rows["status"] != "diverged") & rows[value].notna() & rows["run"].isin(list(places))]
    with matplotlib.rc_context(style.RC):
        axes.plot(rows[value].astype(float), rows["run"].map(places).astype(float), color=look.get("color"), **_DOTS)
        means = rows.groupby("run")[value].mean().reindex(list(places))
        axes.plot(means, list(places.values()), **look | {"linestyle": "none"})


def draw_ranks(axes: Axes, ranked: pd.DataFrame, rows: pd.DataFrame, value: str) -> None:
    """Draw a row per setting, from the bottom up: mean, seeds and the number of diverged runs; see `label_ranks`.

    Args:
        axes: the panel; the caller sets its scale.
        ranked: as in `label_ranks`, with the column `filled`: whether the setting's mean has a filled marker.
        rows: last rows of runs.
        value: the column to average.
    """
    for filled, face in ((True, style.BLUE), (False, "white")):
        places = {row.run: float(row.Index) for row in ranked[ranked["filled"] == filled].itertuples()}
        draw_rows(axes, rows, places, value, color=style.BLUE, marker="o", markersize=3.5, markerfacecolor=face)
    label_ranks(axes, ranked)


def label_ranks(axes: Axes, ranked: pd.DataFrame) -> None:
    """Name the rows of a panel, and say how many of a row's runs diverged.

    Args:
        axes: the panel.
        ranked: a row per setting, of `results.summarize`, with the column `run`; its index is the height, from 0.
    """
    with matplotlib.rc_context(style.RC):
        axes.set_yticks(ranked.index, ranked["run"], fontsize=6)
        axes.set_ylim(-0.6, len(ranked) - 0.4)
    for place, row in ranked[ranked["diverged"] > 0].iterrows():
        label = rf"$\times$ {row['diverged']} of {row['diverged'] + row['n']} diverged"
        left = axes.get_yaxis_transform()
        axes.annotate(label, (0.02, place), xycoords=left, va="center", fontsize=6, color=style.VERMILION)


def draw_level(axes: Axes, runs: pd.DataFrame, value: str, label: str) -> None:
    """Draw the final value of one setting's runs as a dashed line across the panel, and each seed as a pale line.

    Args:
        axes: the panel.
        runs: the setting's rows, with all seeds; nothing is drawn if no run finished.
        value: the column to average.
        label: the line's name in the legend.
    """
    if runs.empty:
        return
    row = results.summarize(runs, ["experiment"], value).iloc[0]
    if math.isnan(row["mean"]):
        return
    axes.axhline(row["mean"], color=style.BLACK, linewidth=0.8, linestyle=style.DASHED, label=label)
    ended = results.last_rows(runs)
    for level in ended.loc[ended["status"] != "diverged", value].dropna() if row["n"] > 1 else ():
        axes.axhline(level, color=style.BLACK, linewidth=0.5, alpha=0.2, zorder=1)


def spread_note(
    series: Sequence[Series], by: Sequence[str] = (), *, median: bool = False, crosses: bool = True, middle: bool = True
) -> str:
    """Return a note on how seeds are drawn, their number, and the number of diverged runs.

    Args:
        series: all series in the figure.
        by: the parameter of `draw_final`, if each of its values has its own group of seeds.
        median: whether the median is drawn.
        crosses: whether crosses mark diverged runs.
        middle: whether a mean or median is drawn.
    """
    rows = pd.concat([results.last_rows(curve.frame).assign(_series=i) for i, curve in enumerate(series)])
    kept = rows[rows["status"] != "diverged"]
    counts = kept.groupby(["_series", *by], dropna=False).size()
    failed = len(rows.drop(columns="_series").drop_duplicates(results.run_columns(rows))) - len(
        kept.drop(columns="_series").drop_duplicates(results.run_columns(kept))
    )
    drawn = ("median" if median else "mean") if middle else ""
    return " ".join(filter(None, (_seed_sentence(counts, drawn, bool(by)), _diverged_sentence(failed, crosses))))


def _seed_sentence(counts: pd.Series, middle: str, final: bool) -> str:
    if counts.empty:
        return "No run was finished."
    low, high = int(counts.min()), int(counts.max())
    if high == 1:
        return "One seed."
    seeds = f"{high if low == high else f'{low} to {high}'} seeds"
    if not middle:
        return f"A line for each of {seeds}."
    if middle == "median":
        return f"Median of {seeds}."
    if high > MOST_CURVES and not final:
        return f"Line: mean of {seeds}; band: from the lowest to the highest."
    return f"Pale: single seeds; full: {middle} of {seeds}."


def _diverged_sentence(count: int, crosses: bool) -> str:
    if not count:
        return ""
    mark = " (cross)" if crosses else ""
    return f"{count} diverged run{'s' if count > 1 else ''}{mark} {'are' if count > 1 else 'is'} in no mean."


def _refuse_mixture(series: Series, by: Sequence[str]) -> None:
    rows = results.last_rows(series.frame)
    twice = rows[rows.duplicated(["seed", *by], keep=False)]
    if twice.empty:
        return
    names = [name for name in results.run_columns(rows) if name not in by and twice[name].nunique(dropna=False) > 1]
    differing = [name for name in names if name != "seed"] or ["nothing but their file"]
    raise ValueError(
        f"the series {series.label!r} holds several runs of seed {twice['seed'].iloc[0]}, which differ in "
        f"{', '.join(differing)}; split it"
    )


def _middle_curve(frame: pd.DataFrame, x: str, y: str, skip_undefined: bool, median: bool) -> pd.DataFrame:
    runs = frame["seed"].nunique()
    groups = frame.assign(_x=frame[x].astype(float), _y=frame[y].astype(float)).groupby("epoch")
    curve = groups.agg(x=("_x", "mean"), middle=("_y", "mean"), n=("_y", "count"), rows=("_y", "size"))
    values = groups["_y"]
    curve = curve.assign(low=values.min(), high=values.max())
    if median:
        curve = curve.assign(middle=values.median())
    # After the end of the shortest run (stopped early), the mean would be over other seeds.
    curve = curve[curve["rows" if skip_undefined else "n"] == runs]
    return curve if curve["n"].any() else curve.iloc[:0]


def _draw_seeds(axes: Axes, series: Series, frame: pd.DataFrame, x: str, y: str) -> None:
    if not 1 < frame["seed"].nunique() <= MOST_CURVES:
        return
    look = {name: series.style[name] for name in ("color", "linestyle") if name in series.style}
    for _, run in frame.sort_values("epoch").groupby("seed"):
        if len(run) == 1:  # a line of one point is invisible
            axes.plot(run[x].astype(float), run[y].astype(float), color=look.get("color"), **_DOTS)
        else:
            axes.plot(run[x].astype(float), run[y].astype(float), **look | PALE)


def _draw_middle(axes: Axes, series: Series, curve: pd.DataFrame, *, band: bool) -> None:
    if curve.empty:
        return
    gaps = curve["middle"].isna().any()  # only a marker makes a point between two gaps visible
    every = 1 if gaps else math.ceil(len(curve) / 5)
    with matplotlib.rc_context(style.RC):
        axes.plot(curve["x"], curve["middle"], label=series.label, markevery=every, **series.style)
    if band and curve["n"].max() > MOST_CURVES:
        color = series.style.get("color")
        axes.fill_between(curve["x"], curve["low"], curve["high"], color=color, alpha=0.18, linewidth=0)


def _draw_diverged(axes: Axes, series: Series, run: pd.DataFrame, x: str, y: str) -> None:
    points = run[[x, y]].astype(float)
    points = points[points.map(math.isfinite).all(axis=1)]
    if points.empty:  # diverged before its first epoch ended
        start = float(run[x].iloc[-1])
        _mark_diverged(axes, series, 0.0 if math.isnan(start) else start, "")
        return
    look = {name: series.style[name] for name in ("color", "linestyle") if name in series.style}
    axes.plot(points[x], points[y], linewidth=0.6, alpha=0.8, **look)
    axes.plot(*points.iloc[-1], marker="x", markersize=5, markeredgewidth=1.2, color=series.style.get("color"))


def _mark_diverged(axes: Axes, series: Series, x: float, text: str, *, to_the_left: bool = True) -> None:
    # The marks, each a cross and its text on its own line, are above the panel, where no measured values are.
    height = 7 * (len(axes.texts) // 2)
    side, align = (-5, "right") if to_the_left else (5, "left")
    place: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "va": "center", "color": series.style.get("color")}
    place |= {"textcoords": "offset points"}
    axes.annotate(r"$\times$", (x, 1.03), xytext=(0, height), ha="center", fontsize=9, fontweight="bold", **place)
    axes.annotate(text, (x, 1.03), xytext=(side, height), ha=align, fontsize=6, **place)
    axes.update_datalim([(x, 0.0)], updatey=False)  # within the axis, even if no run at this x has a value
    axes.autoscale_view(scaley=False)
