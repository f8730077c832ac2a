"""Figure of 05_low_rank_hessian on the artificial saddle; its contract is that of `figures.curves`."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from common.experiments.low_rank_hessian.run_selection import SADDLE
from common.plotting import style
from common.plotting.curves import NothingToDraw, select
from common.tasks.saddle import Saddle


def saddle(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the paths of two weights that start beside a saddle, and the loss along them."""
    runs = select(frame, group="saddle")
    if runs.empty:
        raise NothingToDraw("the results hold no path at a saddle")
    runs = runs[runs["seed"] == runs["seed"].min()]
    mu = float(runs["SaddleSurface.mu"].iloc[0])
    surface = Saddle(mu)
    drawn, (left, right) = style.figure(style.DOUBLE_COLUMN, 2.8, 2)
    _draw_surface(left, surface)
    looks = style.method_styles(name.removeprefix(SADDLE) for name in runs.sort_values("order")["run"].unique())
    for _, run in runs.sort_values("step").groupby("order"):
        u, v, name = run["u"].astype(float), run["v"].astype(float), run["run"].iloc[0].removeprefix(SADDLE)
        look = looks[name] | {"markersize": 2.5}
        right.plot(run["step"], np.maximum(surface(u, v), 1e-9), markevery=_marked(run), label=name, **look)
        left.plot(u, v, markevery=_marked(run), **look)
    right.axhline(surface.height, color=style.GRAY, linewidth=0.8, linestyle=style.DASHED, label="at the saddle")
    right.set_yscale("log")
    style.power_ticks(right.yaxis)
    left.set_xlabel("u, the stiff direction")
    left.set_ylabel("v, the way out")
    right.set_xlabel("Update steps")
    right.set_ylabel("Loss")
    style.legend(right, above=3)
    steps = int(runs["step"].max())
    caption = (
        f"The saddle (cross) of u²/2 + (μ/4)(1 - v²)², μ = {mu:g}: curvatures 1 and -{mu:g}; star: a minimum. Left: "
        f"the paths of {steps} steps, some of which leave the panel, "
        f"on the surface, a marker every {_marked(runs[runs['order'] == runs['order'].min()])}. Right: the loss along "
        "them, from 1e-9 up; dashed: at the saddle. Newton by conjugate gradients takes the gradient itself where the "
        "curvature along it is negative."
    )
    number = runs["run"].nunique()
    style.annotate(drawn, f"{number} runs, no randomness but that of the test vectors.", caption, frame)
    return drawn


def _draw_surface(axes: Axes, surface: Saddle) -> None:
    u, v = np.meshgrid(np.linspace(-0.6, 1.1, 200), np.linspace(-0.3, 1.3, 200))
    levels = surface.height * np.array([0.05, 0.2, 0.5, 0.8, 1.0, 2, 5, 10, 20, 40, 80])
    with matplotlib.rc_context(style.RC):
        axes.contour(u, v, surface(u, v), levels=levels, colors="#BBBBBB", linewidths=0.5)
    axes.plot(0, 0, marker="X", markersize=6, color=style.BLACK, linestyle="none", zorder=5)
    axes.plot(0, 1, marker="*", markersize=8, color=style.BLACK, linestyle="none", zorder=5)
    axes.set_xlim(-0.6, 1.1)
    axes.set_ylim(-0.3, 1.3)


def _marked(run: pd.DataFrame) -> int:
    return max(1, len(run) // 10)
