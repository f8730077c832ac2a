"""Figures and table of 05_low_rank_hessian on the Hessian itself; their contract is that of `figures.curves`."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from common.experiments.low_rank_hessian.run_selection import measurement, networks
from common.plotting import captions, style, tables
from common.plotting.curves import PALE, NothingToDraw, column, select


def spectrum(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the spectrum of the Hessian at the start, in the middle and at the end of a run."""
    looks, run = _looks(frame), networks(frame)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.4, len(looks), sharey=True, sharex=True)
    for axes, (epoch, nodes, weights) in zip(panels, looks, strict=True):
        _draw_stems(axes, nodes, weights)
        with matplotlib.rc_context(style.RC):
            axes.set_title("start" if epoch == 0 else f"after epoch {epoch}")
        axes.set_xlabel("Eigenvalue")
    linear = _set_eigenvalue_axis(panels, max(float(np.abs(nodes).max()) for _, nodes, _ in looks))
    panels[0].set_yscale("log")
    # Less than one of all eigenvalues is noise of the quadrature.
    panels[0].set_ylim(bottom=0.5 / float(column(run, "coordinates", 1e6).iloc[0]))
    style.power_ticks(panels[0].yaxis)
    panels[0].set_ylabel("Share of all eigenvalues")
    caption = (
        f"Spectrum of the Hessian on {captions.name(run)} along a run of saddle-free Newton, by stochastic Lanczos "
        f"quadrature with {len(looks[0][1])} steps: nodes, and the share of all eigenvalues that each stands for. The "
        f"outermost nodes are eigenvalues. Shaded: the scale is linear between -{linear:g} and {linear:g}."
    )
    style.annotate(drawn, _note(frame), caption, frame)
    return drawn


def spectra(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the Hessian's largest eigenvalues, those around the number of classes, and its negative part."""
    classes, rows, run = measurement(frame, "classes") or 10, [], networks(frame)
    for epoch, nodes, weights in _looks(frame):
        falling = np.sort(nodes)[::-1]
        row = {"Epoch": f"{epoch}", "Largest": f"{falling[0]:.3g}"}
        for place in (classes - 1, classes, 2 * classes):  # from 1: outliers are expected to be one fewer than classes
            row[f"No. {place}"] = f"{falling[place - 1]:.3g}" if place <= len(falling) else "-"
        mass = weights * np.abs(nodes)
        negative = 100 * mass[nodes < 0].sum() / mass.sum()
        rows.append(row | {"Most negative": f"{falling[-1]:.3g}", "Negative share of Σ|λ| (%)": f"{negative:.1f}"})
    caption = (
        f"Eigenvalues of the Hessian on {captions.name(run)} along a run of saddle-free Newton, by stochastic Lanczos "
        f"quadrature: by rank, and the negative ones' share of the sum of magnitudes. {_note(frame)}"
    )
    return tables.printed(pd.DataFrame(rows), caption)


def eigenpairs(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw how fast the eigenvalues fall with the rank, and how long the eigenvectors stay valid."""
    looks, run, overlaps = _looks(frame), networks(frame), _overlaps(frame)
    drawn, (left, right) = style.figure(style.DOUBLE_COLUMN, 2.4, 2)
    for index, (epoch, nodes, _) in enumerate(looks):
        size = np.sort(np.abs(nodes))[::-1][: len(nodes) // 2]  # the last are not converged
        look = style.group_style(index) | {"markevery": max(1, len(size) // 6), "markersize": 3}
        left.plot(np.arange(1, len(size) + 1), size, label="start" if epoch == 0 else f"after epoch {epoch}", **look)
    classes = measurement(frame, "classes")
    if classes:
        left.axvline(classes - 1, color=style.GRAY, linewidth=0.8, linestyle=style.DASHED, label="classes - 1")
    left.set_yscale("log")
    style.log_ticks(left.yaxis)
    left.set_xlabel("Rank")
    left.set_ylabel("|eigenvalue| (Lanczos)")
    for index, (name, seeds) in enumerate(overlaps.items()):
        _draw_overlaps(right, name, seeds, style.group_style(index) | {"markersize": 3})
    if any(0 in seed for seeds in overlaps.values() for seed in seeds):
        right.plot([], [], color=style.GRAY, linewidth=0.8, linestyle=":", label="same step, twice")
    right.set_xscale("log")
    right.set_ylim(0, 1.02)
    if overlaps:
        style.log_ticks(right.xaxis)
    right.set_xlabel("Update steps")
    right.set_ylabel("Overlap of the eigenvectors' spans")
    for axes in (left, right):
        style.legend(axes)
    rank = select(run, run="saddle-free Newton")["SaddleFreeNewton.rank"].iloc[0]
    caption = (
        f"Left: Ritz values of the Hessian on {captions.name(run)} by magnitude, the first half, "
        f"which are eigenvalues. Right: mean squared cosine between the spans of the {rank} top eigenvectors at a step "
        "and some steps later, both of the same examples; level lines: at the same step, computed twice."
    )
    measured = max((len(seeds) for seeds in overlaps.values()), default=0)
    note = f"Left: one seed, {int(frame['seed'].min())}." if measured > 1 else _note(frame)
    if measured > 1:
        note += f" Right: pale: single seeds; full: mean of {measured} seeds."
    style.annotate(drawn, note, caption, frame)
    return drawn


def _looks(frame: pd.DataFrame) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return (epoch, nodes, weights) of each measurement of the first seed's spectrum, with rising nodes."""
    rows = frame[frame["spectrum_nodes"].map(np.ndim) > 0] if "spectrum_nodes" in frame else frame.iloc[:0]
    if rows.empty:
        raise NothingToDraw("the results hold no spectrum")
    rows = rows[rows["seed"] == rows["seed"].min()].sort_values("epoch")
    columns = zip(rows["epoch"], rows["spectrum_nodes"], rows["spectrum_weights"], strict=True)
    return [(int(epoch), np.asarray(nodes, float), np.asarray(weights, float)) for epoch, nodes, weights in columns]


def _overlaps(frame: pd.DataFrame) -> dict[str, list[pd.Series]]:
    """Return, by sorted name, each file's overlaps by step; JSON has turned the steps into strings."""
    overlaps: dict[str, list[pd.Series]] = {}
    for measurements in frame.attrs.get("measurements", []):
        for name, values in measurements.get("overlaps", {}).items():
            by_step = pd.Series({int(step): float(value) for step, value in values.items()}).sort_index()
            overlaps.setdefault(name, []).append(by_step)
    return dict(sorted(overlaps.items()))  # files sort names, a notebook's measurements do not: colors are the same


def _draw_overlaps(axes: Axes, name: str, seeds: Sequence[pd.Series], look: dict[str, Any]) -> None:
    """Draw the mean overlap against steps, the seeds' as pale lines, and level lines at that of no step."""
    mean = pd.concat(seeds, axis=1).mean(axis=1)
    later = mean[mean.index > 0]
    axes.plot(later.index, later, label=name, **look)
    if 0 in mean:
        axes.axhline(mean[0], color=look["color"], linewidth=0.8, linestyle=":")
    for seed in seeds if len(seeds) > 1 else ():
        later = seed[seed.index > 0]
        axes.plot(later.index, later, color=look["color"], linestyle=look["linestyle"], **PALE)


def _set_eigenvalue_axis(panels: Sequence[Axes], largest: float) -> float:
    """Make the x axes logarithmic on both sides of zero; return a thousandth of their end, below which they are linear.

    The linear part is shaded.
    """
    top = math.ceil(math.log10(largest))
    ticks, linear = [10.0**power for power in range(top, top - 3, -1)], 10.0 ** (top - 3)
    for axes in panels:
        axes.set_xscale("symlog", linthresh=linear, linscale=0.5)
        axes.axvspan(-linear, linear, color=style.GRAY, alpha=0.12, linewidth=0)
        axes.set_xticks([*(-tick for tick in ticks), 0.0, *ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(-(10.0**top), 10.0**top)
    return linear


def _draw_stems(axes: Axes, nodes: np.ndarray, weights: np.ndarray) -> None:
    with matplotlib.rc_context(style.RC):
        axes.vlines(nodes, 1e-12, weights, color=style.BLUE, linewidth=0.8)
        axes.plot(nodes, weights, marker="o", markersize=2, linestyle="none", color=style.BLUE, label="nodes")


def _note(frame: pd.DataFrame) -> str:
    return f"One seed, {int(frame['seed'].min())}."
