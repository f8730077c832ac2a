"""Figure on training by evaluations alone, by the number of weights and of directions per step."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd

from common import results
from common.experiments.comparison.run_selection import passes_of, with_places
from common.experiments.comparison.sources import BASELINE, ZEROTH
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, select


def zeroth_order(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw test error against the number of weights, and against the expected cosine of the directions."""
    rows = select(results.last_rows(with_places(frame)), group=ZEROTH)
    rows = rows[rows["status"] != "diverged"]
    if rows.empty:
        raise NothingToDraw(f"the results hold no runs of the group {ZEROTH!r}")
    population = rows["estimator"].str.extract(r"ParameterEvolution\((\d+)")[0].astype(float)
    rows = rows.assign(directions=population / 2)
    exact, searched = rows[rows["run"].str.startswith(BASELINE)], rows[rows["directions"].notna()]
    count = searched["directions"]
    searched = searched.assign(expected=np.sqrt(count / (count + searched["coordinates"])))
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.6, 2, sharey=True)
    by_size = exact.groupby("coordinates")["test_error"].mean()
    with matplotlib.rc_context(style.RC):
        panels[0].plot(by_size.index, by_size, "s-", color=style.BLACK, label="backpropagation")
        for number, (count, own) in enumerate(searched.groupby("directions")):
            look = style.group_style(number)
            label = f"{count:.0f} direction{'s' if count > 1 else ''} per step"
            for axes, by in zip(panels, ("coordinates", "expected"), strict=True):
                means = own.groupby(by)["test_error"].mean()
                axes.plot(own[by], own["test_error"], color=look["color"], marker="o", markersize=2.2, linestyle="none",
                          markeredgewidth=0, alpha=0.4)  # fmt: skip
                axes.plot(means.index, means, label=label, **look)
    for axes in panels:
        axes.set_xscale("log")
        axes.set_yscale("log")
        style.log_ticks(axes.xaxis)
    style.log_ticks(panels[0].yaxis)
    panels[0].set_xlabel("Number of weights D")
    panels[1].set_xlabel("√(n/(n + D)), the expected cosine of n directions")
    panels[0].set_ylabel("Test error (%)")
    style.legend(panels[0])
    passes = passes_of(exact)
    data = captions.dataset(rows)
    caption = (
        f"How far evaluations alone get from scratch on {data}, with mlps of several sizes and the arithmetic of "
        f"{passes} passes of backpropagation: n random directions per step, each tried with both signs on its own "
        "share of the batch. Left: by the number of weights. Right: by the expected cosine of n directions with the "
        "gradient, in D dimensions where the loss is linear; one line for each n, its points from large networks to "
        "small ones."
    )
    counts = rows.groupby("run")["seed"].nunique()
    style.annotate(drawn, f"Pale: single seeds; full: mean of {counts.max()} seeds.", caption, frame)
    return drawn
