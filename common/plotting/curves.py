"""Curves and final values of groups of runs: their mean, the seeds themselves, and what diverged.

Shared by all experiments. A group is a `Series`: the rows of one setting with all its seeds, a label, a style.
The seeds are drawn, pale: a standard deviation of two or three says little, and on a logarithmic axis its bar often
has no end. Curves of more than `MOST_CURVES` seeds have a band instead. A diverged run is drawn by itself, thin, up to
where it diverged (a cross), and is in no mean.
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
MOST_CURVES = 5  # seeds drawn one by one
_PALE: dict[str, Any] = {"alpha": 0.4, "zorder": 1.5}
_DOTS: dict[str, Any] = {"marker": "o", "markersize": 2.2, "markeredgewidth": 0, "linestyle": "none"} | _PALE
_PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}


class NothingToDraw(ValueError):  # noqa: N818 - a statement about the results, not a fault of the code
    """The results hold nothing of what a figure shows."""


@dataclass(frozen=True)
class Series:
    """One setting's runs.

    Attributes:
        label: its name in the legend.
        frame: its rows, one run per seed (and per parameter value in `draw_final`).
        style: color, linestyle and marker for matplotlib.
    """

    label: str
    frame: pd.DataFrame
    style: Mapping[str, Any] = field(default_factory=dict)


def select(frame: pd.DataFrame, **conditions: Any) -> pd.DataFrame:
    """Return the rows whose columns equal the given values; rows where such a column is NA or missing are left out."""
    kept = pd.Series(True, index=frame.index)
    for name, value in conditions.items():
        kept &= (column(frame, name) == value).fillna(False).astype(bool)
    return frame[kept]


def series_by(frame: pd.DataFrame, by: str | Sequence[str], label: str = "{}") -> list[Series]:
    """Make one series per value of one or several columns, in the order of the values, each with its style.

    Args:
        frame: a tidy frame.
        by: the column(s).
        label: format of the legend's entry, filled with the value(s), e.g. "batch {}".
    """
    names = [by] if isinstance(by, str) else list(by)
    groups = frame.groupby(names, sort=True, dropna=False)
    return [Series(label.format(*key), rows, style.group_style(i)) for i, (key, rows) in enumerate(groups)]


def series_by_run(runs: pd.DataFrame, prefix: str = "") -> list[Series]:
    """Make one series per run of a plan, in the plan's order, each in its method's look.

    Args:
        runs: rows of a frame.
        prefix: what a run's name begins with and its label does not.
    """
    groups = {name.removeprefix(prefix): rows for (_, name), rows in runs.groupby(["order", "run"])}
    looks = style.method_styles(groups)
    return [Series(name, rows, looks[name]) for name, rows in groups.items()]


def column(frame: pd.DataFrame, name: str, default: Any = None) -> pd.Series:
    """Return a column, or the default in every row: a setting that is the same in all runs has no column of its own."""
    return frame[name] if name in frame else pd.Series(default, index=frame.index, name=name)


def with_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Add train_error, validation_error and test_error, which read better than accuracies near 100 %.

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
    """Name what `{part}_error` holds, without its unit; part is "train", "validation" or "test"."""
    return f"{_PARTS[part]} {'error' if (frame['metric'] == 'accuracy').all() else 'mean squared error'}"


def set_error_axis(axes: Axes, frame: pd.DataFrame, part: str) -> None:
    """Make the y axis that of `{part}_error`: logarithmic (unless every error is zero), labeled, with its unit."""
    if math.isfinite(axes.dataLim.minposy):
        axes.set_yscale("log")
        style.log_ticks(axes.yaxis)
    unit = " (%)" if (frame["metric"] == "accuracy").all() else ""
    axes.set_ylabel(f"{error_name(frame, part)}{unit}")


def require_single(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a frame that mixes what one figure must not average.

    Raises:
        ValueError: naming the column and its values.
    """
    for name in columns:
        values = frame[name].drop_duplicates().tolist()
        if len(values) > 1:
            listed = ", ".join(map(str, values))
            raise ValueError(f"the results mix several values of {name} ({listed}); draw them from separate folders")


def draw_curves(
    axes: Axes, series: Sequence[Series], x: str, y: str, *, skip_undefined: bool = False, median: bool = False
) -> None:
    """Draw y against x for each series: mean, the seeds pale; diverged runs thin, ending in a cross.

    Args:
        axes: the panel. Its scales are the caller's.
        series: the groups.
        x: "epoch", "step", "seconds" or "cost". Seeds are averaged epoch by epoch, in x too.
        y: any numeric column.
        skip_undefined: where some seeds have no value (NaN), average the others, which the note must then say; where
            none has one, the line has a gap. Without it, an epoch in which a seed has no value is left out.
        median: draw the median alone, for values that one seed in five has ten times larger than the others.

    Raises:
        ValueError: when a series holds several runs of one seed, with the parameter they differ in.
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
    """Draw a value of the runs' last rows against a parameter: mean, the seeds as pale dots, diverged runs.

    Args:
        axes: the panel. Its scales are the caller's.
        series: the groups.
        parameter: a parameter column of numbers.
        value: the column to average, e.g. "test_error".
        seed_by_seed: draw a line for each seed and no mean, where the seeds are of several populations.

    Raises:
        ValueError: when a series holds several runs of one seed and parameter value.
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
    """Draw a value of each run on a line of its own: the mean, and the seeds as pale dots.

    Args:
        axes: the panel. Its scales are the caller's.
        rows: last rows of runs; diverged ones are left out.
        places: the height of each run that is to be drawn.
        value: the column to average.
        **look: color and marker.
    """
    rows = rows[(rows["status"] != "diverged") & rows[value].notna() & rows["run"].isin(list(places))]
    with matplotlib.rc_context(style.RC):
        axes.plot(rows[value].astype(float), rows["run"].map(places).astype(float), color=look.get("color"), **_DOTS)
        means = rows.groupby("run")[value].mean().reindex(list(places))
        axes.plot(means, list(places.values()), **look | {"linestyle": "none"})


def draw_level(axes: Axes, runs: pd.DataFrame, value: str, label: str) -> None:
    """Draw the final value of one setting's runs as a dashed line across the panel, each seed as a pale one.

    Args:
        axes: the panel.
        runs: the setting's rows, with all seeds; without any that finished, nothing is drawn.
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
    """Say which are the seeds, how many, and how many runs diverged.

    Args:
        series: all that the figure shows.
        by: the parameter of `draw_final`, when its values are seeds' groups of their own.
        median: whether the median is drawn.
        crosses: whether diverged runs are marked by them.
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
    # Past the end of the shortest run (stopped early) the mean would be one over other seeds.
    curve = curve[curve["rows" if skip_undefined else "n"] == runs]
    return curve if curve["n"].any() else curve.iloc[:0]


def _draw_seeds(axes: Axes, series: Series, frame: pd.DataFrame, x: str, y: str) -> None:
    if not 1 < frame["seed"].nunique() <= MOST_CURVES:
        return
    look = {name: series.style[name] for name in ("color", "linestyle") if name in series.style}
    for _, run in frame.sort_values("epoch").groupby("seed"):
        axes.plot(run[x].astype(float), run[y].astype(float), linewidth=0.5, **look, **_PALE)


def _draw_middle(axes: Axes, series: Series, curve: pd.DataFrame, *, band: bool) -> None:
    if curve.empty:
        return
    gaps = curve["middle"].isna().any()  # a point between two gaps is seen by its marker alone
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
    # Above the panel, where nothing that was measured stands; each mark on a line of its own, a cross and its text.
    height = 7 * (len(axes.texts) // 2)
    side, align = (-5, "right") if to_the_left else (5, "left")
    place: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "va": "center", "color": series.style.get("color")}
    place |= {"textcoords": "offset points"}
    axes.annotate(r"$\times$", (x, 1.03), xytext=(0, height), ha="center", fontsize=9, fontweight="bold", **place)
    axes.annotate(text, (x, 1.03), xytext=(side, height), ha=align, fontsize=6, **place)
    axes.update_datalim([(x, 0.0)], updatey=False)  # within the axis, even where no run of this x has a value
    axes.autoscale_view(scaley=False)
