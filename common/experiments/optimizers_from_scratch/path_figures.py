"""Figures of 03_optimizers_from_scratch on single weights; `common.plotting` states their contract."""

import json
import math
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from common.experiments.optimizers_from_scratch import run_selection as optimizer_runs
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, select
from common.plotting.edge_labels import name_at_edge
from common.tasks.line_loss import LineLoss

_TRAILS = ("gradient descent", "momentum", "Nesterov", "RMSprop", "Adam", "AdamW", "Muon")
_FEATURE_LOOKS = {"raw": style.group_style(1), "standardised": style.group_style(0)}
_PARTS = ("hidden layer, weights", "hidden layer, biases", "output layer, weights", "output layer, bias")


def trails(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the paths of slope and intercept on the loss surface of a line, for one raw and one standardised feature."""
    frame = optimizer_runs.labelled(frame)
    runs = _first_seed(select(frame, part="line"))
    surfaces = optimizer_runs.measured(frame, "line")
    if runs.empty or not surfaces:
        raise NothingToDraw("the results hold no trail of two weights")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 3.1, 2)
    steps = int(runs["step"].max())
    for axes, (features, means) in zip(panels, surfaces.items(), strict=True):
        # Raw, the paths lie on one another and end apart; standardised, they end at the same place.
        _draw_trails(axes, select(runs, features=features), LineLoss(**means), ends=features == "raw")
        _title(axes, f"{features} feature, condition number {LineLoss(**means).condition:,.0f}")
        axes.set_xlabel("Slope")
    panels[0].set_ylabel("Intercept")
    style.legend(panels[0], above=len(_TRAILS))
    for axes, features in zip(panels, surfaces, strict=True):
        if features == "raw":
            _name_ends(axes, select(runs, features=features))
    of_raw = f" of mean {surfaces['raw']['x']:.3g}" if "raw" in surfaces else ""
    caption = (
        f"The paths of the two weights of a line on one feature{of_raw} of {captions.dataset(frame)}, from zero, on "
        f"the surface of its training error: {steps} full-batch steps, raw with the last one marked and named, "
        f"standardised with a marker every {_marked(steps)}; star: least squares. Gradient descent and momentum have "
        "the rate 1 / largest curvature, the others a hundredth of the way there."
    )
    number = len(runs.drop_duplicates(["features", "method"]))
    note = f"{number} runs, no randomness. Contours: 1.05, 2, 4, 8, ... times the lowest error."
    style.annotate(drawn, note, caption, frame)
    return drawn


def step_sizes(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the range of Adam's effective step sizes over training by layer, on raw and on standardised features."""
    frame = optimizer_runs.labelled(frame)
    runs = select(frame, method="Adam", part="methods", cosine=False)
    runs = _first_seed(runs[runs["step_sizes"].notna()] if "step_sizes" in runs else runs.iloc[:0])
    if runs.empty:
        raise NothingToDraw("the results hold no step sizes of Adam")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.4, len(_PARTS), sharey=True)
    for features, look in _FEATURE_LOOKS.items():
        sizes = _sizes_by_part(select(runs, features=features).sort_values("epoch"))
        for axes, part in zip(panels, _PARTS, strict=True):
            _draw_range(axes, sizes.get(part), f"{features} features", look)
    for axes, part in zip(panels, _PARTS, strict=True):
        _title(axes, part)
        axes.set_xlabel("Epochs")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    panels[0].set_yscale("log")
    style.power_ticks(panels[0].yaxis)
    panels[0].set_ylabel("Effective step size")
    style.legend(panels[0], above=len(_FEATURE_LOOKS))
    caption = (
        f"Adam's effective step size α / (√v + ε) on {optimizer_runs.name(frame)}: what a parameter's mean gradient is "
        "multiplied by. Band: from the smallest to the largest of a layer's parameters; line: their median. Where a "
        "unit dies in training, its gradients vanish and its step sizes rise. Parameters that never had a gradient (of "
        "units dead from the start) are left out."
    )
    style.annotate(drawn, f"One seed, {int(runs['seed'].min())}.", caption, frame)
    return drawn


def _first_seed(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["seed"] == runs["seed"].min()]


def _title(axes: Axes, text: str) -> None:
    with matplotlib.rc_context(style.RC):
        axes.set_title(text)


def _draw_trails(axes: Axes, runs: pd.DataFrame, loss: LineLoss, *, ends: bool) -> None:
    low, high = _window(runs, loss.minimum)
    grid = np.meshgrid(*(np.linspace(*ends, 240) for ends in zip(low, high, strict=True)))
    height = np.log2(loss(*grid) / loss(*loss.minimum))
    with matplotlib.rc_context(style.RC):
        axes.contour(*grid, height, levels=[math.log2(1.05), *range(1, 16)], colors="#BBBBBB", linewidths=0.5)
    for index, name in enumerate(_TRAILS):
        run = select(runs, method=name).sort_values("step")
        if len(run):
            path = [[0.0, *run["slope"].astype(float)], [0.0, *run["intercept"].astype(float)]]
            axes.plot(
                *path, label=name, markevery=[len(run)] if ends else _marked(len(run)), **_trail_look(index, ends)
            )
    axes.plot(*loss.minimum, marker="*", markersize=8, color=style.BLACK, linestyle="none", zorder=5)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])


def _name_ends(axes: Axes, runs: pd.DataFrame) -> None:
    last = runs.sort_values("step").groupby("method").last()
    points = last[["slope", "intercept"]].astype(float).set_axis(["x", "y"], axis=1)
    shown = points["x"].between(*axes.get_xlim()) & points["y"].between(*axes.get_ylim())
    colors = {name: style.method_style(name)["color"] for name in points.index}
    name_at_edge(axes, points[shown], colors, size=6)


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


def _trail_look(index: int, ends: bool) -> dict[str, Any]:
    # The shortest paths, which come first, on top. Of several that end at one place, all hollow marks are visible.
    look = style.method_style(_TRAILS[index]) | {"zorder": 3 - index / len(_TRAILS)}
    if ends:
        return look | {"markersize": 4.5, "markerfacecolor": "none", "markeredgewidth": 0.9, "linewidth": 0.6}
    return look | {"markersize": 2.2, "linewidth": 0.9}


def _sizes_by_part(run: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the step sizes of each part's parameters by epoch, of one hidden layer; empty without a run."""
    if run.empty:
        return {}
    sizes = np.stack(run["step_sizes"].tolist())
    units = sum(json.loads(run["hidden"].iloc[0]))
    part = np.repeat(_PARTS, [sizes.shape[1] - 2 * units - 1, units, units, 1])
    moved = sizes[0] < 1e4  # a parameter without any gradient has α / ε, whatever happens
    return {
        name: pd.DataFrame(sizes[:, moved & (part == name)], index=run["epoch"])
        for name in _PARTS
        if (moved & (part == name)).any()
    }


def _draw_range(axes: Axes, sizes: pd.DataFrame | None, label: str, look: dict[str, Any]) -> None:
    if sizes is None:
        return
    color, every = look["color"], max(1, len(sizes) // 5)
    axes.fill_between(sizes.index, sizes.min(axis=1), sizes.max(axis=1), color=color, alpha=0.2, linewidth=0)
    with matplotlib.rc_context(style.RC):
        axes.plot(sizes.index, sizes.median(axis=1), label=label, markevery=every, **look)
