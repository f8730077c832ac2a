"""Figures of 06_synthetic_gradients about what predictors know and how long layers wait."""

import matplotlib
import pandas as pd
from matplotlib.ticker import MaxNLocator

from common.plotting import captions as subject
from common.plotting import style, tables
from common.plotting.curves import NothingToDraw, Series, draw_curves, select, spread_note

CUTS = {"dense": "before the batch norm", "norm": "before the ReLU"}  # by what a block has in front of the predictor
_COUNTS = {"chain": "Longest chain to an update", "wait": "Longest wait of a layer"}


def cosines(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the cosine between synthetic and exact gradients against epochs, a line a boundary, DNI beside cDNI.

    Of the deepest fully connected network; boundary 1 is the nearest to the input.
    """
    rows = select(frame, budget="comparison", family="fully connected")
    rows = rows[rows["gradient"].isin(["DNI", "cDNI"])]
    if rows.empty:
        raise NothingToDraw("the results hold no synthetic gradients of fully connected networks")
    rows = select(subject.prepared(rows, several_networks=True), layers=rows["layers"].max())
    names = [name for name in rows if name.startswith("cosine_boundary_") and rows[name].notna().any()]
    methods = [name for name in ("DNI", "cDNI") if (rows["gradient"] == name).any()]
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, len(methods), sharey=True)
    shown = []
    for axes, method in zip(panels, methods, strict=True):
        for number, name in enumerate(names):
            label = f"boundary {name.rsplit('_', 1)[1]}"
            series = [Series(label, select(rows, gradient=method), style.group_style(number))]
            draw_curves(axes, series, "epoch", name)
            shown += series
        with matplotlib.rc_context(style.RC):
            axes.set_title(method)
    panels[0].set_ylabel("Cosine to the exact gradient")
    style.legend(panels[0], above=max(1, len(names)))
    caption = (
        f"Cosine of the angle between the predicted and the exact gradient of the activations at each boundary of "
        f"{int(rows['layers'].iloc[0])} layers on {subject.dataset(rows)}; boundary 1 is the nearest to the input."
    )
    if where := place(select(rows, gradient="DNI")):
        caption += f" DNI's boundaries are {where}, all others behind it."
    style.annotate(drawn, spread_note(shown) if shown else "", caption, frame)
    return drawn


def place(runs: pd.DataFrame) -> str:
    """Say where the predictors of one method's runs are: "before the ReLU"; an empty text where they follow a block."""
    known = runs["cut"].dropna() if "cut" in runs else []
    return CUTS.get(known.iloc[0], "") if len(known) else ""


def cosine_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the cosines at the end of training, of all networks of the comparison, boundary by boundary."""
    rows = select(frame, budget="comparison")
    names = [name for name in rows if name.startswith("cosine_boundary_") and rows[name].notna().any()]
    if not names:
        raise NothingToDraw("the results hold no synthetic gradients")
    rows = subject.prepared(rows[rows["gradient"].isin(["DNI", "cDNI"])], several_networks=True)
    values = {name: tables.Value(f"Boundary {name.rsplit('_', 1)[1]}") for name in names}
    return tables.setting_table(rows, {"setting": "Setting"}, values)


def critical_path(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw how many products depend on each other, against the number of layers: to an update, and after forward."""
    rows = select(frame, budget="critical path")
    if rows.empty:
        raise NothingToDraw("the results hold no counts of dependent products")
    rows = rows.drop_duplicates(["order", "setting", "depth"]).sort_values("depth")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.4, len(_COUNTS), sharey=True)
    for axes, (name, label) in zip(panels, _COUNTS.items(), strict=True):
        for number, (_, part) in enumerate(rows.groupby(["order", "setting"])):
            with matplotlib.rc_context(style.RC):
                look = style.group_style(number) | {"markevery": 3}
                axes.plot(part["depth"], part[name], label=part["setting"].iloc[0], **look)
                axes.set_title(label)
        axes.set_xlabel("Layers")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    panels[0].set_ylabel("Dependent matrix products")
    panels[0].set_ylim(bottom=0)
    style.legend(panels[0])
    caption = (
        "Matrix products each of which needs the result of the one before, counted, not timed, for fully connected "
        "networks (linear predictors of feature maps take one more). Left: from the input to "
        "the last layer's update. Right: from the end of a layer's own forward pass to its update. The predictors' own "
        "training, for which no layer waits, is not counted."
    )
    style.annotate(drawn, "A count: no seeds.", caption, frame)
    return drawn
