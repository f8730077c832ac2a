"""The figure of 06_synthetic_gradients on where a module's gradient may come from, in networks of one depth."""

import pandas as pd

from common import results
from common.experiments.synthetic_gradients.run_selection import FAMILIES, METHOD_STYLES, described
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, Series, draw_rows, error_name, label_ranks, select, spread_note


def controls(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the test error of the networks with controls by the source of a module's gradient, the lowest on top."""
    group = select(frame, group="control")
    depths = [name for name in group["run"].unique() if name.endswith("labels alone")]
    if not depths:
        raise NothingToDraw("the results hold no controls of the methods")
    rows = described(frame[frame["group"].isin(["comparison", "control"])])
    layers = rows.loc[rows["run"] == depths[0], "layers"].iloc[0]
    begin = f"{int(layers)} layers, "
    rows = select(rows, family=FAMILIES[0], layers=layers)
    rows = results.last_rows(rows[rows["run"].str.startswith(begin)])
    rows = rows.assign(run=rows["run"].str.removeprefix(begin))
    ranked = results.summarize(rows, ["run"], "test_error")
    ranked = ranked.sort_values("mean", ascending=False, na_position="first", ignore_index=True)
    if not ranked["n"].any():
        raise NothingToDraw("every run that is compared with the controls diverged")
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.75 + 0.15 * len(ranked))
    plain = {"color": style.GRAY, "marker": "o", "markersize": 3.5, "markerfacecolor": "white"}
    for name, place in zip(ranked["run"], ranked.index, strict=True):
        look = METHOD_STYLES.get(name, plain) | {"linestyle": "none"}
        draw_rows(axes, rows, {name: float(place)}, "test_error", **look)
    label_ranks(axes, ranked)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel(f"{error_name(rows, 'test')} (%)")
    caption = (
        f"{error_name(rows, 'test')} on {captions.dataset(rows)} of {int(layers)} fully connected layers by the source "
        "of a module's gradient. DNI: predicted from activations; cDNI: from activations and label; labels alone: from "
        "the label, without activations; λ: that part of a module's gradient is sent by the module above, the rest is "
        "predicted; local heads: each block's own loss. Open: controls."
    )
    style.annotate(drawn, spread_note([Series("", rows)], ["run"]), caption, frame)
    return drawn
