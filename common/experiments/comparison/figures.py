"""Figures and tables of 08_comparison: the ledger of sources, and how far each gets for its arithmetic.

The contract of every figure is said in `common.plotting`.
"""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from common import results
from common.experiments.comparison.sources import FAMILIES, NEEDS, SOURCES, source
from common.experiments.estimator_calls import compared
from common.plotting import captions, style, tables
from common.plotting.curves import NothingToDraw, draw_curves, select, series_by_run, set_error_axis, spread_note

BASELINE = "backpropagation"
EQUAL, LONGER = "equal arithmetic", "own convergence"
MARGIN = 0.0025  # equivalence margin of accuracies, fixed before the runs
_INITIALS = dict(zip(NEEDS, ("b", "ℓ", "a", "d", "p"), strict=True))
_COLORS = {
    "exact gradient": style.BLACK,
    "noise": style.BLUE,
    "compressed": style.SKY,
    "curvature": style.GREEN,
    "feedback": style.PURPLE,
    "decoupled": style.VERMILION,
    "forward": style.BROWN,
    "evolution": style.ORANGE,
    "yours": style.GRAY,
}


def ledger(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw a row for each source: error, arithmetic and seconds beside backpropagation's, cosine, what it needs."""
    frame = captions.prepared(frame)
    final, names = _final(frame), _names(frame)
    places = _places(names)
    height = 0.14 * (max(places.values()) + 3) + 0.8
    drawn, panels = style.figure(
        style.DOUBLE_COLUMN, height, 4, sharey=True, gridspec_kw={"width_ratios": [2.2, 1.6, 1.3, 0.7]}
    )
    _draw_errors(panels[0], final, places)
    _draw_costs(panels[1], final, places)
    _draw_cosines(panels[2], frame, places)
    _draw_needs(panels[3], places)
    panels[0].set_yticks(list(places.values()), list(places))
    panels[0].set_ylim(max(places.values()) + 0.8, min(places.values()) - 1.6)
    for family in FAMILIES:
        rows = [place for name, place in places.items() if source(name).family == family]
        if rows:
            panels[0].annotate(
                family,
                (0.01, min(rows) - 1),
                xycoords=panels[0].get_yaxis_transform(),
                va="center",
                fontsize=6.5,
                fontweight="bold",
                color=_COLORS[family],
            )
    count = final.groupby("run")["seed"].nunique()
    seeds = f"{count.min()} to {count.max()} seeds" if count.min() < count.max() else f"{count.max()} seeds"
    passes = int(frame[frame["run"] == BASELINE]["epoch"].max())
    caption = (
        f"Sources of a training direction on {captions.name(frame)}, each with the arithmetic of {passes} passes of "
        "backpropagation. Left: test error over backpropagation's of the same seed; the band is the 95 % interval of "
        "backpropagation's mean. Middle: arithmetic of a step (squares) and its seconds (crosses), per example, over "
        "backpropagation's. Right: cosine with the exact gradient of the same minibatch, at the weights of a run of "
        "backpropagation."
    )
    needs = ", ".join(f"{letter} {need}" for need, letter in _INITIALS.items())
    note = f"Hollow: {seeds}; filled: mean; a red cross: every seed diverged. Needs: {needs}."
    style.annotate(drawn, note, caption, frame)
    return drawn


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw validation error against arithmetic and seconds, a panel row for all sources of equal arithmetic."""
    frame = captions.prepared(frame)
    runs = select(frame, group=EQUAL)
    if runs.empty:
        raise NothingToDraw(f"the results hold no runs of the group {EQUAL!r}")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.4, 2, sharey=True)
    series = series_by_run(runs)
    part = captions.part(runs)
    for axes, x in zip(panels, ("cost", "seconds"), strict=True):
        draw_curves(axes, series, x, f"{part}_error")
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis)
    set_error_axis(panels[0], runs, part)
    style.legend(panels[0], above=4)
    caption = f"Validation error on {captions.name(frame)} against arithmetic and seconds as they were while training."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate test error, its paired difference to backpropagation and what every source spent."""
    frame = captions.prepared(frame)
    final = _final(frame)
    differences = results.paired_differences(select(frame, group=EQUAL), BASELINE, margin=MARGIN)
    longer = select(results.last_rows(frame), group=LONGER)
    longer = longer.assign(run=longer["run"].str.removesuffix(", longer"))
    rows = []
    for name in _names(frame):
        own = final[final["run"] == name]
        errors = own["test_error"].where(own["status"] != "diverged").dropna()
        later = longer[(longer["run"] == name) & (longer["status"] != "diverged")]["test_error"].dropna()
        rows.append(
            {
                "Source": name,
                "Test error (%)": tables.mean_and_spread(errors.mean(), errors.std(ddof=1), 2),
                "Difference (points) [95 %]": _difference(name, differences),
                "Verdict": "-" if name == BASELINE else differences.loc[name, "verdict"],
                "Longer (%)": tables.mean_and_spread(later.mean(), later.std(ddof=1), 2),
                "Gradients": f"{own['cost'].mean() / own['train_examples'].mean():.2f} passes",
                "Steps": int(own["step"].mean()),
                "MB sent": f"{own['bytes_sent'].mean() / 1e6:,.0f}" if "bytes_sent" in own else "-",
                "Needs": " ".join(_INITIALS[need] for need in NEEDS if need in source(name).needs),
                "Seeds": len(errors),
            }
        )
    return pd.DataFrame(rows)


FIGURES = {"08_ledger": ledger, "08_curves": curves}
TABLES = {"08_ledger_table": table}


def _names(frame: pd.DataFrame) -> list[str]:
    """Name the sources in the order of their families, those of the table in its order."""
    known = select(frame, group=EQUAL).sort_values("order")["run"].drop_duplicates().tolist()
    listed = list(SOURCES)
    return sorted(
        known,
        key=lambda name: (
            FAMILIES.index(source(name).family),
            listed.index(name) if name in listed else len(listed),
        ),
    )


def _places(names: list[str]) -> dict[str, float]:
    """Give every source a row, with a free one above each family for its name."""
    places, place, family = {}, -1.0, None
    for name in names:
        place += 1 if source(name).family == family else 2
        places[name], family = place, source(name).family
    return places


def _final(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the last rows of the runs of equal arithmetic, with `error_ratio` to backpropagation of the same seed."""
    rows = select(results.last_rows(frame), group=EQUAL)
    baseline = rows[rows["run"] == BASELINE].set_index("seed")["test_error"]
    if baseline.dropna().empty:
        raise NothingToDraw(f"the results hold no runs of {BASELINE!r} with equal arithmetic")
    good = rows["status"] != "diverged"
    return rows.assign(error_ratio=(rows["test_error"] / rows["seed"].map(baseline)).where(good))


def _draw_errors(axes: Axes, final: pd.DataFrame, places: dict[str, float]) -> None:
    errors = (
        final[final["run"] == BASELINE]["test_error"].dropna() / final[final["run"] == BASELINE]["test_error"].mean()
    )
    if len(errors) > 1:
        half = stats.t.ppf(0.975, len(errors) - 1) * errors.std(ddof=1) / math.sqrt(len(errors))
        lowest = max(1 - half, 0.1)  # the axis is logarithmic, and few seeds leave an interval that reaches below zero
        axes.axvspan(lowest, 1 + half, color="#E3E3E3", zorder=0, linewidth=0)
    axes.axvline(1, color=style.BLACK, linewidth=0.6, zorder=1)
    for name, place in places.items():
        color, ratios = _COLORS[source(name).family], final[final["run"] == name]["error_ratio"].dropna()
        if ratios.empty:
            axes.plot(1, place, "x", color=style.VERMILION)
            continue
        axes.plot(ratios, [place] * len(ratios), "o", color=color, markerfacecolor="none", markersize=2.5, alpha=0.7)
        axes.plot(ratios.mean(), place, "s", color=color, markersize=4)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel("Test error ÷ backpropagation's")


def _draw_costs(axes: Axes, final: pd.DataFrame, places: dict[str, float]) -> None:
    spent = final.assign(examples=final["step"] * final["batch_size"])
    per_example = spent.groupby("run")[["cost", "seconds", "examples"]].sum()
    per_example = per_example.div(per_example["examples"], axis=0)
    ratios = per_example / per_example.loc[BASELINE]
    axes.axvline(1, color=style.BLACK, linewidth=0.6)
    for name, place in places.items():
        color = _COLORS[source(name).family]
        axes.plot(ratios.loc[name, "cost"], place, "s", color=color, markersize=4)
        axes.plot(ratios.loc[name, "seconds"], place, "x", color=color, markersize=3.5, markeredgewidth=0.9)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel("Arithmetic, seconds\n÷ backpropagation's")


def _draw_cosines(axes: Axes, frame: pd.DataFrame, places: dict[str, float]) -> None:
    rows = compared(select(frame, run=BASELINE, group=EQUAL), "aligned_estimators", ["aligned_cosine"])
    texts = select(frame, group=EQUAL).drop_duplicates("run").set_index("run")["estimator"]
    axes.axvline(0, color=style.BLACK, linewidth=0.6)
    for name, place in places.items():
        own = rows[rows["aligned_estimators"] == texts.get(name)]
        color = _COLORS[source(name).family]
        for number, (_, values) in enumerate(own.groupby("epoch")):
            face = color if number else "none"
            axes.plot(values["aligned_cosine"].mean(), place, "o", color=color, markerfacecolor=face, markersize=3)
    axes.set_xlim(-0.1, 1.08)
    axes.set_xlabel("Cosine with the exact gradient\n(hollow: at the start)")


def _draw_needs(axes: Axes, places: dict[str, float]) -> None:
    for name, place in places.items():
        for column, need in enumerate(NEEDS):
            if need in source(name).needs:
                axes.text(column, place, _INITIALS[need], ha="center", va="center", fontsize=6)
    axes.set_xlim(-0.7, len(NEEDS) - 0.3)
    axes.set_xticks([])
    axes.grid(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)
    axes.set_xlabel("Needs")


def _difference(name: str, differences: pd.DataFrame) -> str:
    if name == BASELINE:
        return "-"
    low, mean, high = (-100 * float(differences.loc[name, part]) for part in ("high", "difference", "low"))
    return "-" if math.isnan(mean) else f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
