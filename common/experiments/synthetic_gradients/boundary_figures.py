"""Figures of 06_synthetic_gradients on the predictors' cosines and on how long layers wait."""

import matplotlib
import pandas as pd
from matplotlib.ticker import MaxNLocator

from common.experiments.synthetic_gradients.critical_path import critical_path as longest_chain
from common.experiments.synthetic_gradients.critical_path import longest_wait
from common.experiments.synthetic_gradients.run_selection import place, runs_of
from common.plotting import captions, style, tables
from common.plotting.curves import NothingToDraw, Series, draw_curves, select, spread_note

COUNTED = {"backpropagation": None, "linear predictors": 0, "predictors with a hidden layer": 1}  # hidden layers
_LOOKS = dict(zip(COUNTED, ("backpropagation", "cDNI", "DNI"), strict=True))  # whose predictors they are
_DEPTHS = range(3, 21)
_COUNTS = {"Longest chain to an update": longest_chain, "Longest wait of a layer": longest_wait}


def cosines(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the cosine between synthetic and exact gradients against epochs: a line per boundary, DNI and cDNI.

    The network is the deepest fully connected one; boundary 1 is the nearest to the input.
    """
    rows = select(runs_of(frame, "comparison"), family="fully connected")
    rows = rows[rows["label"].isin(["DNI", "cDNI"])]
    if rows.empty:
        raise NothingToDraw("the results hold no synthetic gradients of fully connected networks")
    rows = select(rows, layers=rows["layers"].max())
    names = _boundaries(rows)
    methods = [name for name in ("DNI", "cDNI") if (rows["label"] == name).any()]
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, len(methods), sharey=True)
    shown = []
    for axes, method in zip(panels, methods, strict=True):
        for number, (name, label) in enumerate(names.items()):
            # The boundaries have an order: from dark at the input to light.
            shade = matplotlib.colormaps["viridis"](0.9 * number / max(1, len(names) - 1))
            look = style.group_style(number) | {"color": matplotlib.colors.to_hex(shade)}
            series = [Series(label.lower(), select(rows, label=method), look)]
            draw_curves(axes, series, "epoch", name)
            shown += series
        with matplotlib.rc_context(style.RC):
            axes.set_title(method)
    panels[0].set_ylabel("Cosine to the exact gradient")
    style.legend(panels[0], above=max(1, len(names)))
    caption = (
        f"Cosine of the angle between the predicted and the exact gradient of the activations at each boundary of "
        f"{int(rows['layers'].iloc[0])} layers on {captions.dataset(rows)}; boundary 1 is the nearest to the input."
    )
    if where := place(select(rows, label="DNI")):
        caption += f" DNI's boundaries are {where}, all others behind it."
    style.annotate(drawn, spread_note(shown) if shown else "", caption, frame)
    return drawn


def cosine_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the final cosines of all networks of the comparison, boundary by boundary."""
    rows = runs_of(frame, "comparison")
    names = _boundaries(rows)
    if not names:
        raise NothingToDraw("the results hold no synthetic gradients")
    values = {name: tables.Value(label) for name, label in names.items()}
    tabulated = tables.setting_table(rows[rows["label"].isin(["DNI", "cDNI"])], {"run": "Setting"}, values)
    caption = (
        f"Cosine between the predicted and the exact gradient of the activations on {captions.dataset(rows)} at the "
        "end of training; boundary 1 is the nearest to the input."
    )
    return tables.printed(tabulated, caption)


def critical_path(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the number of dependent products against the number of layers: to an update, and after forward."""
    drawn, panels = style.figure(style.SINGLE_COLUMN, 2.6, len(_COUNTS), sharey=True)
    for axes, (title, count) in zip(panels, _COUNTS.items(), strict=True):
        for name, hidden_layers in COUNTED.items():
            with matplotlib.rc_context(style.RC):
                counts = [count(layers, hidden_layers) for layers in _DEPTHS]
                look = style.method_style(_LOOKS[name]) | {"marker": "none"}  # a formula has no measured points
                axes.plot(_DEPTHS, counts, label=name, **look)
                axes.set_title(title)
        axes.set_xlabel("Layers")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    panels[0].set_ylabel("Dependent matrix products")
    panels[0].set_ylim(bottom=0)
    style.legend(panels[0], above=2)
    caption = (
        "Matrix products each of which needs the result of the one before, counted, not timed, for fully connected "
        "networks (linear predictors of feature maps take one more). Left: from the input to "
        "the last layer's update. Right: from the end of a layer's own forward pass to its update. The predictors' own "
        "training, for which no layer waits, is not counted."
    )
    style.annotate(drawn, "A count: no seeds.", caption, frame)
    return drawn


def _boundaries(rows: pd.DataFrame) -> dict[str, str]:
    """Return the columns of cosines that are not empty, each with its name in a legend."""
    names = [name for name in rows if name.startswith("cosine_boundary_") and rows[name].notna().any()]
    return {name: f"Boundary {name.rsplit('_', 1)[1]}" for name in names}
