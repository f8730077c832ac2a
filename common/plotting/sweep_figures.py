"""A sweep as a figure, chosen by the number and kind of the settings that vary.

| varies | drawn |
|---|---|
| nothing | learning curves of the runs |
| one number | a line over its values |
| one string, or several settings that vary together | dots by the values |
| two settings | one line per value of the second, up to six; else one panel per value |
| three settings | one panel per pair of values of two, with a line over the third |
| more settings, or too many values | the twenty points with the lowest validation error, ranked |

If several runs of the notebook differ from point to point, they count as one more setting that varies. A run that is
the same along the whole axis is a level, drawn across the panel. Different settings are never averaged.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from common.plotting import captions, style
from common.plotting.curves import (
    NothingToDraw,
    draw_curves,
    error_name,
    require_single,
    series_by_run,
    set_error_axis,
    spread_note,
    with_errors,
)
from common.plotting.sweep_panels import ERROR, WIDTH, ErrorScale, Panel, legend_line, short
from common.plotting.sweep_points import (
    ANY,
    PREFIX,
    columns_of,
    filled_columns,
    is_numeric,
    levels,
    record_numbers,
    summaries,
    swept_rows,
    written,
)
from common.results.frame import bare

RANKED = 20
_LINES = 6
_PANELS = 12
_SIDE = 4  # largest number of panels along a side, if two settings have panels
_CATEGORIES = 24
_LEVELS = 3  # largest number of levels that are distinguished


@dataclass(frozen=True)
class _Layout:
    """The columns along the axis, in lines and in panels; `run` may be one of them.

    Attributes:
        axis: the column along the axis.
        lines: a column with one line per value; empty: one line.
        panels: none, one or two columns, with one panel per value or pair of values.
    """

    axis: str
    lines: str = ""
    panels: tuple[str, ...] = ()


def sweep_figure(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the test error of a sweep over the varying settings: means, their 95 % intervals, and seeds as dots.

    Args:
        frame: a frame of `results.read`.

    Raises:
        NothingToDraw: no run has a test metric.
        ValueError: runs have several metrics; a run has several records of a seed at one point.
    """
    rows = _with_test(swept_rows(frame))
    merged = _merged(rows)
    layout = _layout(merged)
    if layout is not None:
        return _draw_layout(frame, merged, layout)
    if not _varied(rows) and rows["run"].nunique() <= _LINES:
        return _draw_learning(frame, rows)
    return _draw_ranked(frame, rows)


def _with_test(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of runs that were tested, or that diverged before a test."""
    tested = rows.assign(_tested=rows["test_metric"].notna() | (rows["status"] == "diverged"))
    rows = rows[tested.groupby("run")["_tested"].transform("any")]
    if rows["test_metric"].isna().all():
        raise NothingToDraw("no run of the results has a test metric")
    require_single(rows, ["metric"])
    return with_errors(rows)


def _varied(rows: pd.DataFrame) -> list[str]:
    """Return the columns whose values differ; a value that fills in a string appears only in its own column."""
    filled = filled_columns(rows)
    return [name for name in columns_of(rows) if rows[name].nunique() > 1 and name not in filled]


def _merged(rows: pd.DataFrame) -> pd.DataFrame:
    """Merge columns that vary together into one: each value of the first has one value of each other.

    The new column has numbers if only one column has any, as when each optimizer has its batch size. Otherwise, it has
    strings of all values, as for the points of a random search.
    """
    for first in sorted(_varied(rows), key=lambda name: (-rows[name].nunique(), not is_numeric(rows, name))):
        if first not in rows:  # it is merged into another column
            continue
        others = [name for name in _varied(rows) if name != first and _determines(rows, first, name)]
        numbers = [name for name in (first, *others) if is_numeric(rows, name)]
        if others and numbers == [first]:
            title = f"{first} (with {', '.join(name.removeprefix(PREFIX) for name in others)})"
            rows = rows.drop(columns=others).rename(columns={first: title})
        elif others:
            names = [first, *others]
            values = [rows[name].map(short, na_action="ignore").astype("str") for name in names]
            title = PREFIX + ", ".join(name.removeprefix(PREFIX) for name in names)
            rows = rows.drop(columns=names).assign(**{title: values[0].str.cat(values[1:], sep=", ")})
    return rows


def _determines(rows: pd.DataFrame, first: str, other: str) -> bool:
    if (rows[first].isna() != rows[other].isna()).any():
        return False
    return bool((rows.groupby(first)[other].nunique() <= 1).all())


def _layout(rows: pd.DataFrame) -> _Layout | None:
    """Choose the columns along the axis, in lines and in panels; None if no setting or too many settings vary."""
    varied = _varied(rows)
    counts = {name: rows[name].nunique() for name in varied}
    if not varied:
        return _Layout("run") if _LINES < rows["run"].nunique() <= _CATEGORIES else None
    numeric = [name for name in varied if is_numeric(rows, name)]
    axis = max(numeric or varied, key=lambda name: counts[name])
    if not numeric and counts[axis] > _CATEGORIES:
        return None
    along = rows[rows[axis].notna()]  # the other runs are levels
    if along["run"].nunique() > 1:
        counts["run"] = along["run"].nunique()
    rest = sorted((name for name in counts if name != axis), key=lambda name: counts[name])
    for layout in _layouts(axis, rest):
        most = _PANELS if len(layout.panels) == 1 else _SIDE
        if counts.get(layout.lines, 1) <= _LINES and all(counts[name] <= most for name in layout.panels):
            return layout
    return None


def _layouts(axis: str, rest: Sequence[str]) -> Iterator[_Layout]:
    """Yield possible layouts of the columns, the best first; `rest` is sorted by the number of values."""
    if len(rest) == 1:
        yield _Layout(axis, rest[0])
        yield _Layout(axis, "", (rest[0],))
        return
    lines = "run" if "run" in rest else ""
    panels = tuple(name for name in rest if name != lines)
    if len(panels) <= 2:
        yield _Layout(axis, lines, panels)
    if len(panels) == 2 and not lines:
        yield from (_Layout(axis, panels[i], (panels[1 - i],)) for i in (0, 1))


def _draw_learning(frame: pd.DataFrame, rows: pd.DataFrame) -> style.PaperFigure:
    epochs = bare(frame)
    numbers = record_numbers(epochs)
    epochs = with_errors(epochs[numbers.isin(numbers[rows.index])])
    part, series = captions.part(epochs), series_by_run(epochs)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    draw_curves(axes, series, "epoch", f"{part}_error")
    set_error_axis(axes, epochs, part)
    style.legend(axes)
    caption = f"{error_name(epochs, part)} on {_place(rows)} against epochs; nothing was swept that changes a run."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def _draw_layout(frame: pd.DataFrame, rows: pd.DataFrame, layout: _Layout) -> style.PaperFigure:
    means = summaries(rows, ERROR)
    scale, values = ErrorScale.of(rows, means), levels(rows, layout.axis)
    looks, dashes = _looks(rows, layout), _dashes(rows, layout)
    points = [
        dict(zip(layout.panels, point, strict=True))
        for point in itertools.product(*(levels(_along(rows, layout.axis), name) for name in layout.panels))
    ]
    upright = is_numeric(rows, layout.axis)
    columns = _columns(rows, layout, len(points), upright)
    drawn, panels = _sized(rows, layout, math.ceil(len(points) / columns), columns, upright)
    with matplotlib.rc_context(style.RC):
        entries = [legend_line(_labelled(layout.lines, value), look) for value, look in looks.items() if layout.lines]
        entries += [_across_line(run, dash) for run, dash in dashes.items()]
        for axes, point in zip(panels, points, strict=False):
            panel = Panel(axes, upright, scale, values)
            shown, kept = (_matching(data, point, layout.axis) for data in (means, rows))
            _fill(panel, shown, kept, layout, looks, dashes)
            panel.set_values()
            axes.set_title("\n".join(_labelled(name, value, 40) for name, value in point.items()), pad=9)
        _name_axes(panels[: len(points)], columns, upright, scale, layout.axis.removeprefix(PREFIX), rows)
        for axes in panels[len(points) :]:
            axes.set_visible(False)
        _put_legend(drawn, entries)
    style.annotate(drawn, _note(means, scale), _caption(rows, layout, dashes), frame)
    return drawn


def _fill(
    panel: Panel,
    means: pd.DataFrame,
    rows: pd.DataFrame,
    layout: _Layout,
    looks: Mapping[Any, Mapping[str, Any]],
    dashes: Mapping[str, Any],
) -> None:
    """Draw the series and levels of one panel; a level has the color of its line, or black without a line."""
    for number, (value, look) in enumerate(looks.items()):
        own = {layout.lines: value} if layout.lines else {}
        series, seeds = (_along(_equal(data, own), layout.axis) for data in (means, rows))
        if len(series):
            panel.series(series, seeds, layout.axis, look, number - (len(looks) - 1) / 2)
    across = means[means[layout.axis].isna() & means["run"].isin(list(dashes))]
    for row, value in zip(across.itertuples(), across.get(layout.lines, [None] * len(across)), strict=True):
        panel.level(row, looks[value]["color"] if value in looks and layout.lines else style.BLACK, dashes[row.run])


def _along(data: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Return the values along the axis, in their order."""
    return data[data[axis].notna()]


def _equal(data: pd.DataFrame, point: Mapping[str, Any]) -> pd.DataFrame:
    for name, value in point.items():
        data = data[data[name] == value]
    return data


def _matching(data: pd.DataFrame, point: Mapping[str, Any], axis: str) -> pd.DataFrame:
    """Return the rows at a panel's values, and rows that do not depend on them, as a level does not on the run."""
    for name, value in point.items():
        independent = data[axis].isna() if name == "run" else data[name].isna()
        data = data[(data[name] == value) | independent]
    return data


def _looks(rows: pd.DataFrame, layout: _Layout) -> dict[Any, dict[str, Any]]:
    """Return color, line style and marker of each line."""
    if not layout.lines:
        return {None: style.group_style(0)}
    values = levels(_along(rows, layout.axis), layout.lines)
    return {value: style.group_style(number) for number, value in enumerate(values)}


def _dashes(rows: pd.DataFrame, layout: _Layout) -> dict[str, Any]:
    """Return the line styles of runs that are levels; none if there are too many to distinguish."""
    runs = levels(rows[rows[layout.axis].isna()], "run")
    return dict(zip(runs, style.LINE_STYLES[1:], strict=False)) if len(runs) <= _LEVELS else {}


def _columns(rows: pd.DataFrame, layout: _Layout, count: int, upright: bool) -> int:
    """Return the number of panels per row."""
    if len(layout.panels) == 2:
        return _along(rows, layout.axis)[layout.panels[1]].nunique()
    return min(count, 4 if upright else 3)


def _sized(
    rows: pd.DataFrame, layout: _Layout, lines: int, columns: int, upright: bool
) -> tuple[style.PaperFigure, list[Axes]]:
    """Return a figure of the size that its panels need."""
    named = 0.1 * len(_looks(rows, layout)) + 0.11 * lines * len(layout.panels)  # inches for legend and titles
    if upright:
        width = style.SINGLE_COLUMN if columns == 1 else style.DOUBLE_COLUMN
        return style.figure(width, lines * (1.9 if columns < 3 else 1.5) + 0.6 + named, columns, rows=lines)
    longest = max(len(written(value)) for value in levels(rows, layout.axis))
    places = rows[layout.axis].nunique() * (1 + 0.4 * (len(_looks(rows, layout)) - 1)) * (1.6 if longest > WIDTH else 1)
    width = style.SINGLE_COLUMN if columns == 1 and longest <= 20 else style.DOUBLE_COLUMN
    height = max(0.16 * places + 0.4, 0.06 * len(layout.axis.removeprefix(PREFIX)))  # the length of the axis' name
    return style.figure(width, lines * height + 0.8 + named, columns, rows=lines)


def _name_axes(
    panels: Sequence[Axes], columns: int, upright: bool, scale: ErrorScale, axis: str, rows: pd.DataFrame
) -> None:
    """Give all panels the scale of the error; names and numbers are only at the left and at the bottom."""
    unit = " (%)" if (rows["metric"] == "accuracy").all() else ""
    error = f"{error_name(rows, 'test')}{unit}"
    for number, axes in enumerate(panels):
        scale.set_on(axes.yaxis if upright else axes.xaxis)
        at_left, at_bottom = number % columns == 0, number + columns >= len(panels)
        axes.tick_params(labelleft=at_left, labelbottom=at_bottom)
        axes.set_xlabel((axis if upright else error) if at_bottom else "")
        axes.set_ylabel((error if upright else axis) if at_left else "")


def _put_legend(drawn: style.PaperFigure, entries: Sequence[Line2D]) -> None:
    if entries:
        longest = max(len(str(entry.get_label())) for entry in entries)
        beside = int(drawn.get_figwidth() * 20 / (longest + 9))
        drawn.legend(handles=list(entries), loc="outside upper center", ncols=min(max(beside, 1), len(entries)))


def _draw_ranked(frame: pd.DataFrame, rows: pd.DataFrame) -> style.PaperFigure:
    """Draw the test errors of the points with the lowest mean validation errors, the best first."""
    varied = _varied(rows)
    across = rows[rows[varied].isna().all(axis=1)] if varied else rows.iloc[:0]
    means = summaries(rows, ERROR)
    chosen_by = "test_error" if rows["validation_error"].isna().all() else "validation_error"
    order = summaries(rows, chosen_by)["mean"]  # also in the order of the points
    at_points = means[~means["run"].isin(across["run"])].assign(order=order)
    best = at_points.sort_values("order", kind="stable", na_position="last")[:RANKED]
    best = best.assign(rank=range(len(best)))
    keys = [*columns_of(rows), "run"]
    seeds = rows.merge(best[[*keys, "rank"]], on=keys)
    labelled = [*varied, *(["run"] if at_points["run"].nunique() > 1 else [])]
    labels = [
        ", ".join(ANY if pd.isna(value) else short(value) for value in point)
        for point in best[labelled].itertuples(index=False, name=None)
    ]
    levels_across = means[means["run"].isin(across["run"])]
    scale = ErrorScale.of(pd.concat([seeds, across]), pd.concat([best, levels_across]))
    lines = sum(len(textwrap.wrap(label, WIDTH)[:2]) for label in labels)
    drawn, (axes,) = style.figure(style.DOUBLE_COLUMN, 0.16 * max(lines, 3) + 1.0)
    dashes = dict(zip(levels(across, "run")[:_LEVELS], style.LINE_STYLES[1:], strict=False))
    with matplotlib.rc_context(style.RC):
        panel = Panel(axes, False, scale, range(len(best)), labels)
        panel.series(best, seeds, "rank", style.group_style(0))
        for row in levels_across[levels_across["run"].isin(list(dashes))].itertuples():
            panel.level(row, style.BLACK, dashes[row.run])
        panel.set_values()
        _name_axes(
            [axes], 1, False, scale, textwrap.fill(", ".join(name.removeprefix(PREFIX) for name in labelled), 50), rows
        )
        _put_legend(drawn, [_across_line(run, dash) for run, dash in dashes.items()])
    part = chosen_by.removesuffix("_error")
    caption = (
        f"{error_name(rows, 'test')} on {_place(rows)} at the {len(best)} of {len(at_points):,} points with the lowest "
        f"{part} error, best first."
    )
    caption += f" Across, with its interval: {', '.join(dashes)}, the same at every point." if dashes else ""
    style.annotate(drawn, _note(best, scale), caption, frame)
    return drawn


def _across_line(run: str, dash: Any) -> Line2D:
    return legend_line(run, {"color": style.BLACK, "linestyle": dash, "linewidth": 0.9})


def _labelled(name: str, value: Any, length: int = 60) -> str:
    """Return "sigma = 0.1" for a legend; the name of a run stands alone."""
    text = ANY if pd.isna(value) else short(value)
    text = text if name == "run" else f"{name.removeprefix(PREFIX)} = {text}"
    return text if len(text) <= length else f"{text[: length - 2]} …"


def _note(means: pd.DataFrame, scale: ErrorScale) -> str:
    counts = means["n"][means["n"] > 0]
    failed = int(means["diverged"].sum())
    sentences = ["No run was finished."]
    if len(counts):
        low, high = int(counts.min()), int(counts.max())
        over = f"{high} seeds" if low == high else f"{low} to {high} seeds"
        sentences = [f"Means and 95 % t intervals over {over}; circles: seeds." if high > 1 else "One seed."]
    if scale.cut:
        sentences.append("An interval that leaves the panel goes on.")
    if failed:
        sentences.append(f"Crosses: {failed} diverged run{'s' * (failed > 1)}, in no mean.")
    return " ".join(sentences)


def _caption(rows: pd.DataFrame, layout: _Layout, dashes: Mapping[str, Any]) -> str:
    names = {name: name.removeprefix(PREFIX) for name in (layout.axis, layout.lines, *layout.panels)}
    text = f"{error_name(rows, 'test')} on {_place(rows)} over {names[layout.axis]}"
    if layout.lines:
        text += f", {'a line' if is_numeric(rows, layout.axis) else 'dots'} for each {names[layout.lines]}"
    if layout.panels:
        text += f", a panel for each {' and '.join(names[name] for name in layout.panels)}"
    sentences = [f"{text}."]
    if dashes:
        sentences.append(f"Across, with its interval: {', '.join(dashes)}, the same at every {names[layout.axis]}.")
    across = rows[rows[layout.axis].isna()]["run"].nunique()
    if across > len(dashes):
        sentences.append(f"{across} runs that are the same at every {names[layout.axis]} are in the table alone.")
    return " ".join(sentences)


def _place(rows: pd.DataFrame) -> str:
    """Return the names of data sets and networks, e.g. "MNIST, Fashion-MNIST (MLP)"."""
    datasets = [captions.DATASETS.get(name, name) for name in rows["dataset"].drop_duplicates()]
    return f"{', '.join(datasets)} ({', '.join(rows['network'].drop_duplicates())})"
