"""Figures on progress: error against arithmetic, time to targets, and the costs of the best sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from common.experiments.comparison.run_selection import (
    at_first_place,
    color_of,
    final,
    held_memory,
    line_style,
    names,
    passes_of,
    with_measured_seconds,
    with_passes,
)
from common.experiments.comparison.sources import BASELINE, EQUAL, FAMILIES, source
from common.experiments.targets import spent_until
from common.plotting import style
from common.plotting.curves import Series, draw_curves, select, set_error_axis, spread_note
from common.plotting.edge_labels import name_at_edge

TARGETS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)  # × backpropagation's final validation error, fixed beforehand
_LARGEST_RATIO = 30.0  # that is shown


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw validation error against arithmetic, with one panel per family and backpropagation in every panel."""
    frame = at_first_place(frame)
    runs, known = select(frame, group=EQUAL), names(frame)
    families = [family for family in FAMILIES if any(source(name).family == family for name in known)]
    columns = min(3, len(families))
    lines = math.ceil(len(families) / columns)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.0 * lines + 0.4, columns, rows=lines, sharey=True, sharex=True)
    runs = with_passes(runs)
    shown = []
    for axes, family in zip(panels, families, strict=False):
        own = [name for name in known if source(name).family == family and name != BASELINE]
        series = [Series(BASELINE, select(runs, run=BASELINE), {"color": style.BLACK, "linestyle": "-"})]
        series += [Series(name, select(runs, run=name), line_style(i)) for i, name in enumerate(own)]
        draw_curves(axes, series, "passes", "validation_error")
        axes.set_title(family, fontweight="bold", fontsize=7)
        axes.set_xlabel("")
        axes.set_ylabel("")
        shown += series[1:]
    for axes in panels[len(families) :]:
        axes.set_visible(False)
    for number, axes in enumerate(panels[: len(families)]):
        if number + columns >= len(families):
            axes.set_xlabel("Arithmetic\n(passes of backprop.)")
            axes.tick_params(labelbottom=True)
        if number % columns == 0:
            set_error_axis(axes, runs, "validation")
    for axes in panels[: len(families)]:
        _name_ends(axes)
    caption = (
        f"Validation error on {frame['place'].iloc[0]} against arithmetic, by the family of the source; the same "
        "arithmetic for all. Rates fall to zero by a cosine, so that only the ends compare."
    )
    style.annotate(drawn, spread_note(shown), caption, frame)
    return drawn


def _name_ends(axes: Axes) -> None:
    """Write the name of each line beside its end."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    ends = {str(line.get_label()): np.asarray(line.get_xydata())[-1] for line in lines}
    points = pd.DataFrame.from_dict(ends, orient="index", columns=["x", "y"])
    name_at_edge(axes, points, {str(line.get_label()): str(line.get_color()) for line in lines})


def targets(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the share of targets that each source reached within a multiple of the best source's cost."""
    frame = at_first_place(frame)
    runs = with_measured_seconds(select(frame, group=EQUAL))
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.1, 2, sharey=True)
    quickest = []
    for axes, clock, label in zip(panels, ("cost", "clock"), ("arithmetic", "seconds"), strict=True):
        ratios = ratios_to_best(runs, clock)
        _draw_profile(axes, ratios)
        wins = (ratios["ratio"] == 1).groupby(ratios["run"]).mean()
        quickest.append(f"in {label} {wins.idxmax()} ({100 * wins.max():.0f} %)")
        axes.set_xlabel(f"τ: {label}\n÷ those of the best source")
    panels[0].set_ylabel("Share of targets reached within τ")
    _name_lines(panels[1], ratios)
    listed = ", ".join(f"{factor:g}" for factor in TARGETS)
    caption = (
        f"Time to target on {frame['place'].iloc[0]}: the share of targets, {listed} times backpropagation's final "
        "validation error, each with every seed, that a source reached within τ times what the quickest source "
        "for that target and seed spent."
    )
    note = "A source that is quickest to every target would be a line at 1; one that reaches few ends low. "
    note += f"Quickest to the largest share: {', '.join(quickest)}."
    style.annotate(drawn, note, caption, frame)
    return drawn


def ratios_to_best(runs: pd.DataFrame, clock: str) -> pd.DataFrame:
    """Return each run's cost to each target, divided by the least cost of any source with the same seed.

    Args:
        runs: runs of equal arithmetic at one place.
        clock: the column that measures the cost.

    Returns:
        Columns run, seed, target (the factor) and ratio, NaN if the target was not reached. Targets that no source
        reached are left out.
    """
    final_error = runs[runs["run"] == BASELINE].sort_values("epoch").groupby("seed")["validation_error"].last().mean()
    spent = [spent_until(runs, factor * final_error, clock).assign(target=factor) for factor in TARGETS]
    rows = pd.concat(spent, ignore_index=True)
    best = rows.groupby(["target", "seed"])["spent"].transform("min")
    return rows.assign(ratio=rows["spent"] / best)[best.notna()]


def _draw_profile(axes: Axes, ratios: pd.DataFrame) -> None:
    with matplotlib.rc_context(style.RC):
        for name, rows in ratios.groupby("run", sort=False):
            taus = np.sort(rows["ratio"].dropna())
            share = np.arange(1, len(taus) + 1) / len(rows)
            if not len(taus):
                continue
            ends = [taus[0], *taus, _LARGEST_RATIO]
            axes.step(ends, [0, *share, share[-1]], where="post", color=color_of(name), linewidth=0.9, alpha=0.85)
    axes.set_xscale("log")
    axes.set_xlim(0.97, _LARGEST_RATIO)
    axes.set_ylim(0, 1.02)
    style.log_ticks(axes.xaxis, at=[1, 2, 3, 5, 10, 20])


def _name_lines(axes: Axes, ratios: pd.DataFrame) -> None:
    """Write names beside the ends of lines; lines that end together share one label."""
    reached = ratios.groupby("run", sort=False)["ratio"].agg(lambda own: (own <= _LARGEST_RATIO).mean())
    place = math.inf
    for share, together in sorted(reached[reached > 0].groupby(reached.round(2)), reverse=True):
        place = min(share, place - 0.04)
        first, *others = together.index
        words = first if not others else f"{first}, {others[0]}" + f" and {len(others) - 1} more" * (len(others) > 1)
        look: dict[str, Any] = {"fontsize": 5.5, "va": "center", "color": color_of(first), "annotation_clip": False}
        axes.annotate(words, (1.01, place / 1.02), xycoords="axes fraction", **look)


def payments(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw test error against seconds, memory and bytes sent, for runs of equal arithmetic, with Pareto fronts."""
    frame = at_first_place(frame)
    runs = with_measured_seconds(final(frame))
    runs = runs[runs["status"] != "diverged"]
    runs = runs.assign(memory=held_memory(runs))
    kinds = {"clock": "Seconds", "memory": "Memory of a step (MB)", "bytes_sent": "Sent (MB)"}
    kinds = {name: label for name, label in kinds.items() if name in runs and runs[name].notna().any()}
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.2, len(kinds), sharey=True)
    fronts = []
    for axes, (name, label) in zip(panels, kinds.items(), strict=True):
        scale = 1.0 if name == "clock" else 1e-6
        points = pd.DataFrame(
            {"x": runs.groupby("run")[name].mean() * scale, "y": runs.groupby("run")["test_error"].mean()}
        ).dropna()
        axes.set_xscale("log")
        axes.set_yscale("log")
        corners = _draw_front(axes, points)
        axes.set_xlabel(label)
        style.log_ticks(axes.xaxis, at_least=2)
        fronts.append(corners)
    style.log_ticks(panels[0].yaxis)
    for axes, corners in zip(panels, fronts, strict=True):
        name_at_edge(axes, corners, {name: color_of(name) for name in corners.index}, size=5.5)
    panels[0].set_ylabel("Test error (%)")
    passes = passes_of(runs[runs["run"] == BASELINE])
    caption = (
        f"What sources pay beside arithmetic on {frame['place'].iloc[0]}, at that of {passes} passes of "
        "backpropagation: seconds of the whole run, memory that a step holds beyond the weights, bytes a worker would "
        "send in the whole run. The line joins those that no other beats in both."
    )
    style.annotate(drawn, "Means over the seeds; named: the sources on the front.", caption, frame)
    return drawn


def front(points: pd.DataFrame) -> Sequence[str]:
    """Return the names of the points (columns x and y) on the Pareto front, sorted by x."""
    ordered, best, kept = points.sort_values(["x", "y"]), math.inf, []
    for name, row in ordered.iterrows():
        if row["y"] < best:
            kept.append(name)
            best = row["y"]
    return kept


def _draw_front(axes: Axes, points: pd.DataFrame) -> pd.DataFrame:
    """Draw points and the line that joins those on the front, which are returned."""
    for name, row in points.iterrows():
        axes.plot(row["x"], row["y"], "o", color=color_of(name), markersize=3.5)
    corners = points.loc[front(points)]
    axes.step(corners["x"], corners["y"], where="post", color=style.GRAY, linewidth=0.7, zorder=0)
    return corners
