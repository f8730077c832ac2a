"""Figures with a row per source: the ledger (error, cost of a step, cosine, needs), and errors of longer runs."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from common.experiments.comparison.run_selection import (
    aligned,
    at_first_place,
    color_of,
    errors_of,
    final,
    is_timed,
    mean_by_source,
    names,
    passes_of,
    with_longer,
    with_measured_seconds,
)
from common.experiments.comparison.sources import BASELINE, FAMILIES, NEEDS, source
from common.plotting import style, tables

INITIALS = dict(zip(NEEDS, ("b", "ℓ", "a", "d", "p"), strict=True))
_SMALLEST_COSINE = 1e-3


def ledger(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw one row per source at the first place: error and costs beside backpropagation's, cosine, needs.

    Without directions that were compared, there is no panel of cosines.
    """
    frame = at_first_place(frame)
    runs, rows, looked = final(frame), _rows(names(frame)), aligned(frame)
    widths = [2.1, 1.55, *([] if looked.empty else [1.55]), 1.35]
    drawn, panels = style.figure(
        style.DOUBLE_COLUMN, _height(rows), len(widths), sharey=True, gridspec_kw={"width_ratios": widths}
    )
    with matplotlib.rc_context(style.RC):
        _draw_errors(panels[0], runs, rows)
        _draw_costs(panels[1], runs, rows)
        if not looked.empty:
            _draw_cosines(panels[2], looked, rows)
        _draw_words(panels[-1], runs, rows)
    _name_rows(panels[0], rows)
    style.annotate(drawn, _note(runs), _caption(frame, runs, with_cosines=not looked.empty), frame)
    return drawn


def longer(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw one row per source at the first place: its test error at equal arithmetic and in longer runs.

    Raises:
        NothingToDraw: the results hold no longer runs.
    """
    frame = at_first_place(frame)
    sooner, later = with_longer(frame)
    rows = _rows([name for name in names(frame) if name in set(later["run"])])
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, _height(rows))
    with matplotlib.rc_context(style.RC):
        axes.axvline(errors_of(later, BASELINE).mean(), color=style.BLACK, linewidth=0.6, zorder=1)
        for name, place in rows.items():
            color, errors, before = color_of(name), errors_of(later, name), errors_of(sooner, name)
            axes.plot([before.mean(), errors.mean()], [place] * 2, color=color, linewidth=0.8)
            axes.plot(errors, [place] * len(errors), "o", color=color, markersize=2, alpha=0.5, markeredgewidth=0)
            axes.plot(before.mean(), place, "s", color=color, markerfacecolor="white", markersize=4)
            axes.plot(errors.mean(), place, "s", color=color, markersize=4)
            if errors.empty:
                axes.plot(before.mean(), place, "x", color=style.VERMILION)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel("Test error (%)")
    _name_rows(axes, rows)
    exact = [group[group["run"] == BASELINE] for group in (sooner, later)]
    caption = (
        f"Test error on {frame['place'].iloc[0]} with the arithmetic of {passes_of(exact[0])} passes of "
        f"backpropagation (hollow) and of {passes_of(exact[1])} (filled; of the best epoch on validation data), with "
        "the settings chosen for the shorter runs. Vertical line: backpropagation's longer runs."
    )
    count = later["seed"].nunique()
    note = f"Squares: means over {count} seeds; dots: seeds of the longer runs; a red cross: all of them diverged."
    style.annotate(drawn, note, caption, frame)
    return drawn


def _note(runs: pd.DataFrame) -> str:
    count = runs.groupby("run")["seed"].nunique()
    seeds = f"{count.min()} to {count.max()} seeds" if count.min() < count.max() else f"{count.max()} seeds"
    needs = ", ".join(f"{letter} {need}" for need, letter in INITIALS.items())
    return (
        f"Left, hollow: {seeds}; filled: their mean; a red cross: every seed diverged. Needs: {needs}. Errors on the "
        "right are means ± 1 standard deviation."
    )


def _caption(frame: pd.DataFrame, runs: pd.DataFrame, *, with_cosines: bool) -> str:
    passes = passes_of(runs[runs["run"] == BASELINE])
    cosines = (
        " Right: cosine with the exact gradient of the same minibatch, at the weights of backpropagation's run, at the "
        f"start (hollow) and after its first pass (filled); an arrow where it is below {_SMALLEST_COSINE:g}."
    )
    timed = "timed in turns" if is_timed(runs) else "as they were while training"
    return (
        f"Sources of a training direction on {frame['place'].iloc[0]}, each with the arithmetic of {passes} passes of "
        "backpropagation and equally many trials of its settings. Left: test error over backpropagation's of the same "
        "seed; the band is the 95 % interval of backpropagation's mean. Middle: arithmetic of an example (squares) and "
        f"its seconds (crosses; {timed}) over backpropagation's.{cosines if with_cosines else ''}"
    )


def _rows(listed: list[str]) -> dict[str, float]:
    """Assign a row to every source, with a free row above each family for its name."""
    rows, place, family = {}, -1.0, None
    for name in listed:
        place += 1 if source(name).family == family else 2
        rows[name], family = place, source(name).family
    return rows


def _height(rows: dict[str, float]) -> float:
    return 0.121 * (max(rows.values()) + 3) + 0.85


def _name_rows(axes: Axes, rows: dict[str, float]) -> None:
    """Label every row with its source, and the free rows with the families."""
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(max(rows.values()) + 0.8, min(rows.values()) - 1.6)
    for family in FAMILIES:
        own = [place for name, place in rows.items() if source(name).family == family]
        if own:
            look: dict[str, Any] = {"va": "center", "fontsize": 6.5, "fontweight": "bold"}
            listed = next(name for name, place in rows.items() if place == min(own))
            place = (0.01, min(own) - 1)
            axes.annotate(family, place, xycoords=axes.get_yaxis_transform(), color=color_of(listed), **look)


def _draw_errors(axes: Axes, runs: pd.DataFrame, rows: dict[str, float]) -> None:
    baseline = runs[runs["run"] == BASELINE]["test_error"].dropna()
    errors = baseline / baseline.mean()
    if len(errors) > 1:
        half = stats.t.ppf(0.975, len(errors) - 1) * errors.std(ddof=1) / math.sqrt(len(errors))
        lowest = max(1 - half, 0.1)  # the axis is logarithmic, and few seeds leave an interval that reaches below zero
        axes.axvspan(lowest, 1 + half, color="#D0D0D0", zorder=0, linewidth=0)
    axes.axvline(1, color=style.BLACK, linewidth=0.6, zorder=1)
    for name, place in rows.items():
        color, ratios = color_of(name), runs[runs["run"] == name]["error_ratio"].dropna()
        if ratios.empty:
            axes.plot(1, place, "x", color=style.VERMILION)
            continue
        axes.plot(ratios, [place] * len(ratios), "o", color=color, markerfacecolor="none", markersize=2.5, alpha=0.7)
        axes.plot(ratios.mean(), place, "s", color=color, markersize=4)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel("Test error\n÷ backpropagation's")


def _draw_costs(axes: Axes, runs: pd.DataFrame, rows: dict[str, float]) -> None:
    spent = with_measured_seconds(runs).assign(examples=runs["step"] * runs["batch_size"])
    each = spent.groupby("run")[["cost", "clock", "examples"]].sum()
    ratios = each.div(each["examples"], axis=0)
    ratios /= ratios.loc[BASELINE]
    axes.axvline(1, color=style.BLACK, linewidth=0.6)
    for name, place in rows.items():
        axes.plot(ratios.loc[name, "cost"], place, "s", color=color_of(name), markersize=4)
        axes.plot(ratios.loc[name, "clock"], place, "x", color=color_of(name), markersize=3.5, markeredgewidth=0.9)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel("Arithmetic ■, seconds ×\n÷ backprop.")


def _draw_cosines(axes: Axes, rows: pd.DataFrame, places: dict[str, float]) -> None:
    for epoch, face in ((0, "none"), (1, None)):
        means = mean_by_source(rows[rows["epoch"] == epoch], "aligned_cosine")
        for name, place in places.items():
            value, color = means.get(name, math.nan), color_of(name)
            if value < _SMALLEST_COSINE:
                axes.plot(
                    _SMALLEST_COSINE,
                    place,
                    marker=matplotlib.markers.CARETLEFT,
                    color=color,
                    markerfacecolor=face or color,
                    markersize=3.5,
                )
            elif not math.isnan(value):
                axes.plot(value, place, "o", color=color, markerfacecolor=face or color, markersize=3.2)
    axes.set_xscale("log")
    axes.set_xlim(_SMALLEST_COSINE * 0.7, 1.6)
    axes.set_xticks([0.001, 0.01, 0.1, 1], ["0.001", "0.01", "0.1", "1"])
    axes.minorticks_off()
    axes.set_xlabel("Cosine with\nexact gradient")


def _draw_words(axes: Axes, runs: pd.DataFrame, rows: dict[str, float]) -> None:
    """Draw the needs of each source, and its error as a number."""
    for name, place in rows.items():
        for number, need in enumerate(NEEDS):
            if need in source(name).needs:
                axes.text(number, place, INITIALS[need], ha="center", va="center", fontsize=6)
        errors = errors_of(runs, name)
        text = tables.mean_and_spread(errors.mean(), errors.std(ddof=1), 2) if len(errors) else "diverged"
        axes.text(len(NEEDS) + 6.4, place, text, ha="right", va="center", fontsize=6)
    axes.set_xlim(-0.7, len(NEEDS) + 6.6)
    axes.set_xticks([(len(NEEDS) - 1) / 2, len(NEEDS) + 4.4], ["Needs", "Error (%)"])
    axes.grid(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False, bottom=False)
