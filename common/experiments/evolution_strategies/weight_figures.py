"""Figures of 04_evolution_strategies about perturbed weights; their contract is said in `common.plotting`.

Rows of the budget `weights` are runs; those of `weights alignment` compare estimates of several populations with the
exact gradient on one network. The column `rank` is 0 for perturbations of full rank, `evaluations` examples × members.
"""

import math

import numpy as np
import pandas as pd

from common.plotting import captions as subject
from common.plotting import style, tables
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    error_name,
    select,
    series_by_setting,
    set_error_axis,
    spread_note,
)


def weights_cosine(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the cosine to the exact gradient against the population, full and low rank, beside √(n/(n+D))."""
    rows = select(frame, budget="weights alignment")
    if rows.empty:
        raise NothingToDraw("the results hold no estimates from perturbed weights")
    rows = subject.prepared(rows)
    series = _by_rank(rows)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    draw_final(axes, series, "population", "cosine")
    coordinates = int(rows["coordinates"].iloc[0])
    populations = np.geomspace(rows["population"].min(), rows["population"].max(), 100)
    expected = [math.sqrt(it / 2 / (it / 2 + coordinates)) for it in populations]  # n directions, each with both signs
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
        f"{subject.name(rows)}, D = {coordinates:,} weights. Dashed: what is expected where the loss is linear."
    )
    style.annotate(drawn, spread_note(series, ["population"]), caption, frame)
    return drawn


def weights_accuracy(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error of the runs without backpropagation against evaluations and against seconds."""
    rows = select(frame, budget="weights")
    if rows.empty:
        raise NothingToDraw("the results hold no runs with perturbed weights")
    rows = subject.prepared(rows, several_networks=True)
    part = subject.part(rows)
    rows = rows.assign(millions=rows["evaluations"] / 1e6)
    series = series_by_setting(rows, "weights: ")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.7, 2, sharey=True)
    for axes, (name, label) in zip(
        panels,
        (("millions", "Evaluations (million examples × members)"), ("seconds", "Training time (s)")),
        strict=True,
    ):
        draw_curves(axes, series, name, f"{part}_error")
        axes.set_xlabel(label)
    panels[0].set_xscale("log")  # a layer's members are many, and each of them a part of the network only
    set_error_axis(panels[0], rows, part)
    style.legend(panels[1], above=3)
    caption = (
        f"{error_name(rows, part)} on {subject.name(rows)}, trained by perturbing the weights, without derivatives. "
        "Where a layer at a time is perturbed, an evaluation runs the network from that layer on."
    )
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def weights_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate validation and test accuracy, evaluations, cost and time of every run without backpropagation."""
    rows = select(frame, budget="weights")
    if rows.empty:
        raise NothingToDraw("the results hold no runs with perturbed weights")
    values = tables.ACCURACIES | {
        "evaluations": tables.Value("Evaluations (million)", scale=1e-6, digits=1),
        "gradients": tables.Value("Cost (million gradients of one example)", scale=1e-6, digits=1),
        "seconds": tables.Value("Seconds", digits=0),
    }
    keys = {"setting": "Setting", "network": "Network", "coordinates": "Weights"}
    rows = rows.assign(gradients=rows["cost"] * rows["batch_size"])  # batches differ
    made = tables.setting_table(subject.prepared(rows, several_networks=True), keys, values)
    return made.assign(Setting=made["Setting"].str.removeprefix("weights: "))


def _by_rank(rows: pd.DataFrame) -> list[Series]:
    return [
        Series(f"rank {rank}" if rank else "full rank", part, style.group_style(i))
        for i, (rank, part) in enumerate(rows.groupby("rank"))
    ]
