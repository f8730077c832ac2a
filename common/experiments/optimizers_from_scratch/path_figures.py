"""Figures of 03_optimizers_from_scratch on single weights; `common.plotting` states their contract."""

import json
import math
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from common.experiments.optimizers_from_scratch import run_selection as optimizer_runs
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, select
from common.tasks.line_loss import LineLoss

_TRAILS = ("gradient descent", "momentum", "Nesterov", "RMSprop", "Adam", "AdamW", "Muon")
_PARTS = ("hidden layer, weights", "hidden layer, biases", "output layer, weights", "output layer, bias")


def trails(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the paths of slope and intercept on the loss surface of a line, for one raw and one standardised feature."""
    frame = optimizer_runs.labelled(frame)
    runs = _first_seed(select(frame, part="line"))
    surfaces = optimizer_runs.measured(frame, "line")
    if runs.empty or not surfaces:
        raise NothingToDraw("the results hold no trail of two weights")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.1, 2)
    for axes, (features, means) in zip(panels, surfaces.items(), strict=True):
        _draw_trails(axes, select(runs, features=features), LineLoss(**means))
        _title(axes, f"{features} feature, condition number {LineLoss(**means).condition:,.0f}")
        axes.set_xlabel("Slope")
    panels[0].set_ylabel("Intercept")
    style.legend(panels[0], above=len(_TRAILS))
    steps = int(runs["step"].max())
    caption = (
        f"The paths of the two weights of a line on one feature of {captions.dataset(frame)}, from zero, on the "
        f"surface of its training error: {steps} full-batch steps, a marker every {_marked(steps)}; star: least "
        "squares. Gradient descent and momentum have the rate 1 / largest curvature, the others a hundredth of the way "
        "there."
    )
    number = len(runs.drop_duplicates(["features", "method"]))
    note = f"{number} runs, no randomness. Contours: 1.05, 2, 4, 8, ... times the lowest error."
    style.annotate(drawn, note, caption, frame)
    return drawn


def step_sizes(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw Adam's effective step size of each parameter over training, on raw and on standardised features."""
    frame = optimizer_runs.labelled(frame)
    runs = select(frame, method="Adam", part="methods", cosine=False)
    runs = _first_seed(runs[runs["step_sizes"].notna()] if "step_sizes" in runs else runs.iloc[:0])
    if runs.empty:
        raise NothingToDraw("the results hold no step sizes of Adam")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, 2, sharey=True)
    for axes, features in zip(panels, ("raw", "standardised"), strict=True):
        _draw_step_sizes(axes, select(runs, features=features).sort_values("epoch"))
        _title(axes, f"{features} features")
        axes.set_xlabel("Epochs")
    panels[0].set_yscale("log")
    style.power_ticks(panels[0].yaxis)
    panels[0].set_ylabel("Effective step size")
    style.legend(panels[0], above=len(_PARTS))
    caption = (
        f"Adam's effective step size α / (√v + ε) of every parameter on {optimizer_runs.name(frame)}: what its mean "
        "gradient is multiplied by. Parameters that never had a gradient (of units dead from the start) are left out."
    )
    style.annotate(drawn, f"One seed, {int(runs['seed'].min())}.", caption, frame)
    return drawn


def _first_seed(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["seed"] == runs["seed"].min()]


def _title(axes: Axes, text: str) -> None:
    with matplotlib.rc_context(style.RC):
        axes.set_title(text)


def _draw_trails(axes: Axes, runs: pd.DataFrame, loss: LineLoss) -> None:
    low, high = _window(runs, loss.minimum)
    grid = np.meshgrid(*(np.linspace(*ends, 240) for ends in zip(low, high, strict=True)))
    height = np.log2(loss(*grid) / loss(*loss.minimum))
    with matplotlib.rc_context(style.RC):
        axes.contour(*grid, height, levels=[math.log2(1.05), *range(1, 16)], colors="#BBBBBB", linewidths=0.5)
    for index, name in enumerate(_TRAILS):
        run = select(runs, method=name).sort_values("step")
        if len(run):
            path = [[0.0, *run["slope"].astype(float)], [0.0, *run["intercept"].astype(float)]]
            axes.plot(*path, label=name, markevery=_marked(len(run)), **_trail_look(index))
    axes.plot(*loss.minimum, marker="*", markersize=8, color=style.BLACK, linestyle="none", zorder=5)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])


def _window(runs: pd.DataFrame, star: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return limits that show start, least squares and the trails with a margin, except trails that are far off."""
    points = np.vstack([runs[["slope", "intercept"]].astype(float), np.zeros(2), star])
    shown = points[(np.abs(points) < 4 * np.abs(star).max()).all(axis=1)]
    low, high = shown.min(axis=0), shown.max(axis=0)
    extent = high - low
    margin = 0.12 * (extent if extent.min() > 0 else np.full(2, extent.max()))
    return low - margin, high + margin


def _marked(steps: int) -> int:
    return max(1, steps // 10)


def _trail_look(index: int) -> dict[str, Any]:
    # The shortest paths, which come first, on top.
    return style.method_style(_TRAILS[index]) | {
        "markersize": 2.2,
        "linewidth": 0.9,
        "zorder": 3 - index / len(_TRAILS),
    }


def _draw_step_sizes(axes: Axes, run: pd.DataFrame) -> None:
    for index, label in enumerate(_PARTS):
        axes.plot([], [], label=label, color=_part_color(index))
    if run.empty:
        return
    sizes = np.stack(run["step_sizes"].tolist())
    for values, part in zip(sizes.T, _part_of_each(run, sizes.shape[1]), strict=True):
        if values[0] < 1e4:  # a parameter without any gradient has α / ε, whatever happens
            axes.plot(run["epoch"], values, color=_part_color(part), linewidth=0.6)


def _part_of_each(run: pd.DataFrame, parameters: int) -> list[int]:
    """Return the index in `_PARTS` of each parameter, for one hidden layer."""
    units = sum(json.loads(run["hidden"].iloc[0]))
    return np.repeat(range(4), [parameters - 2 * units - 1, units, units, 1]).tolist()


def _part_color(index: int) -> str:
    return style.group_style(index)["color"]
