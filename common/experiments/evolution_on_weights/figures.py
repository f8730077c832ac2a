"""Figures and table of 07_evolution_on_weights: runs that perturb weights, and the quality of their estimates.

`common.plotting` states the contract of every figure.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from common import results
from common.experiments.estimator_calls import arguments, compared, with_settings
from common.plotting import captions, style, tables
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    draw_rows,
    error_name,
    select,
    series_by_run,
    set_error_axis,
    spread_note,
)

# Of the estimators' arguments, what a text leaves out where it is the default.
_LAYERWISE, _AT_ONCE = {"keep": 1.0}, {"rank": 1, "own_data": True, "keep": 1.0}
PARTS = "parts"  # the group of the runs of equal arithmetic
_CURVES = ("a layer at a time", "at once, alike", "backpropagation")  # of them, what the curves show


def accuracy(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error of all runs against arithmetic; the runs were not timed in turn."""
    rows = _runs(frame)
    rows = rows[~rows["group"].eq(PARTS) | rows["run"].isin(_CURVES)]
    part = captions.part(rows)
    rows = rows.assign(millions=rows["cost"] / 1e6)
    series = series_by_run(rows)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 3.0)
    draw_curves(axes, series, "millions", f"{part}_error")
    axes.set_xscale("log")  # a layer's members are many, and each of them a part of the network only
    style.log_ticks(axes.xaxis)
    axes.set_xlabel("Cost (million gradients of one example)")
    set_error_axis(axes, rows, part)
    style.legend(axes, above=2)
    caption = (
        f"{error_name(rows, part)} on {captions.name(rows)}, trained by perturbing the weights, without derivatives, "
        "and by backpropagation. Cost is counted in multiply-accumulates: where a layer at a time is perturbed, an "
        "evaluation runs the network from that layer on."
    )
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def parts(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final errors of the runs of equal arithmetic: the method, and without one or two of its parts."""
    rows = select(results.last_rows(_runs(frame)), group=PARTS)
    if rows.empty:
        raise NothingToDraw(f"the results hold no runs of the group {PARTS!r}")
    names = rows.sort_values("order")["run"].drop_duplicates().tolist()
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.9 + 0.21 * len(names))
    for place, name in enumerate(names):
        color = style.BLACK if name == "backpropagation" else style.BLUE if name.startswith("a layer") else style.ORANGE
        draw_rows(axes, rows, {name: place}, "test_error", color=color, marker="o", markersize=4.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    if math.isfinite(axes.dataLim.minposx):
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis)
    axes.set_xlabel("Test error (%)")
    gradients = float(f"{rows['cost'].mean():.2g}")
    caption = (
        f"Test error on {captions.name(rows)} after the arithmetic of {gradients:,.0f} gradients of one example. "
        "Whole: no part of a perturbation is left out. Alike: examples are not drawn by how wrong the network is."
    )
    style.annotate(drawn, spread_note(series_by_run(rows), crosses=False), caption, frame)
    return drawn


def cosine(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the cosine to the exact gradient against the population, full and low rank, beside √(n/(n+D))."""
    rows = compared(frame, "aligned_estimators", ["aligned_cosine"])
    if rows.empty:
        raise NothingToDraw("the results hold no estimates from perturbed weights")
    rows = captions.prepared(with_settings(rows, rows["aligned_estimators"].map(_members)))
    series = [
        Series(f"rank {rank}" if rank else "full rank", part, style.group_style(i))
        for i, (rank, part) in enumerate(rows.groupby("rank"))
    ]
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    draw_final(axes, series, "population", "aligned_cosine")
    coordinates = int(rows["coordinates"].iloc[0])
    populations = np.geomspace(rows["population"].min(), rows["population"].max(), 100)
    expected = [math.sqrt(size / 2 / (size / 2 + coordinates)) for size in populations]  # n pairs: each with both signs
    axes.plot(populations, expected, color=style.BLACK, linewidth=0.8, linestyle=style.DASHED, label="√(n/(n + D))")
    axes.set_xscale("log")
    axes.set_yscale("log")
    style.log_ticks(axes.xaxis, sorted(rows["population"].unique()))
    style.log_ticks(axes.yaxis)
    axes.set_xlabel("Population, 2 n")
    axes.set_ylabel("Cosine to the exact gradient")
    style.legend(axes)
    caption = (
        f"Estimates from n antithetic pairs of perturbed weights and the exact gradient of the same examples on "
        f"{captions.name(rows)}, D = {coordinates:,} weights. Dashed: what is expected where the loss is linear."
    )
    style.annotate(drawn, spread_note(series, ["population"]), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate validation and test error, evaluations, cost and time of every run."""
    runs = _runs(frame)
    errors = tables.errors(runs)
    values = errors | {
        "evaluations": tables.Value("Evaluations (million)", scale=1e-6, digits=1, outcome=False),
        "cost": tables.Value("Cost (million gradients of one example)", scale=1e-6, digits=1, outcome=False),
        "seconds": tables.Value("Seconds", digits=0, outcome=False),
    }
    keys = {"run": "Setting", "network": "Network", "coordinates": "Weights"}
    caption = (
        f"Errors on {captions.dataset(runs)}, trained by perturbing the weights and by backpropagation, and what the "
        "runs took. Where a layer at a time is perturbed, an evaluation runs the network from that layer on."
    )
    lowest = [value.header for value in errors.values()]
    tabulated = tables.setting_table(runs, keys, values)
    return tables.printed(tabulated.assign(Network=tabulated["Network"].map(captions.network)), caption, lowest=lowest)


FIGURES = {"07_weights_accuracy": accuracy, "07_weights_parts": parts, "07_weights_cosine": cosine}
TABLES = {"07_weights_table": table}


def _runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return all runs but trials, with errors and the column `evaluations`: of a member on one example, so far.

    Raises:
        NothingToDraw: no run perturbs weights.
    """
    rows = captions.prepared(frame, several_networks=True)
    rows = rows[rows["group"] != "trial"]
    if not rows["estimator"].str.startswith(("LayerwiseEvolution", "ParameterEvolution")).any():
        raise NothingToDraw("the results hold no runs with perturbed weights")
    each = [_evaluations(call, size) for call, size in zip(rows["estimator"], rows["batch_size"], strict=True)]
    return rows.assign(evaluations=np.array(each) * rows["step"])


def _evaluations(call: str, batch_size: int) -> float:
    """Return an estimate's evaluations on a batch, as `evaluations_per_step` does; NaN if there are no members."""
    if call.startswith("Backpropagation"):
        return math.nan
    if call.startswith("LayerwiseEvolution"):
        known = arguments(call, ("pairs", "sigma"), _LAYERWISE)
        return 2 * round(known["keep"] * batch_size) * sum(known["pairs"])
    known = arguments(call, ("population", "sigma"), _AT_ONCE)
    return 2 * round(known["keep"] * batch_size) if known["own_data"] else known["population"] * batch_size


def _members(call: str) -> dict[str, Any]:
    """Return population and rank, 0 for full rank, from the `repr` of a `ParameterEvolution`."""
    known = arguments(call, ("population", "sigma"), _AT_ONCE)
    return {"population": known["population"], "rank": known["rank"] or 0}
