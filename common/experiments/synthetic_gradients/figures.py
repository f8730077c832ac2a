"""Figures and tables of 06_synthetic_gradients: modules that learn from predicted gradients, beside backpropagation.

`synthetic_source` has the source's experiment, `synthetic_boundaries` what predictors know and how long layers wait. A
run's `budget` says what it is for: `source`, `comparison` or `unlocked`; rows of other budgets are what was looked at
or counted beside the runs. Every function takes the frame of `results.read` (in the notebook: of `results.combine`)
and returns a figure.
"""

import matplotlib
import pandas as pd

from common import results
from common.experiments.synthetic_gradients.boundary_figures import cosine_table, cosines, critical_path, place
from common.experiments.synthetic_gradients.source_figures import (
    METHOD_STYLES,
    METHODS,
    boundary_gradients,
    digits,
    source_loss,
    weight_gradients,
)
from common.plotting import captions as subject
from common.plotting import style, tables
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_curves,
    draw_final,
    error_name,
    select,
    series_by,
    set_error_axis,
    spread_note,
)

FAMILIES = ("fully connected", "convolutional")
BUDGETS = ("source", "comparison", "unlocked")
SETTINGS = {
    "learning_rate": "Rate",
    "predictor_rate": "Predictors' rate",
    "predictor_layers": "Predictors' hidden layers",
    "cut": "Predictors behind",
}


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error against epochs of the fully connected networks, a panel a depth.

    The other figures' contract is the same.

    Args:
        frame: rows of this experiment on one data set and precision, several settings and seeds.

    Returns:
        The figure; in a notebook, the last line of a cell shows it.

    Raises:
        NothingToDraw: when the frame holds nothing of what the figure shows.
        ValueError: when the frame mixes data sets or precisions, or holds a seed twice.
    """
    return _curves(frame, "fully connected")


def convolutional_curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error against epochs of the convolutional networks, a panel a depth."""
    return _curves(frame, "convolutional")


def depths(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final test error against the number of layers, fully connected and convolutional."""
    rows = _of(frame, "comparison")
    families = [name for name in FAMILIES if (rows["family"] == name).any()]
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, len(families), sharey=True)
    shown = []
    for axes, family in zip(panels, families, strict=True):
        series = _by_method(select(rows, family=family))
        draw_final(axes, series, "layers", "test_error")
        axes.set_xticks(sorted(select(rows, family=family)["layers"].unique()))
        axes.set_xlabel(f"Layers, {family}")
        shown += series
    set_error_axis(panels[0], rows, "test")
    style.legend(panels[0], above=len(METHODS))
    caption = (
        f"{error_name(rows, 'test')} on {subject.dataset(rows)} after the last epoch. No backprop: only the last layer "
        f"learns. DNI: synthetic gradients predicted from activations; cDNI: from activations and label. {_told(rows)}"
    )
    style.annotate(drawn, spread_note(shown, ["layers"]), caption, frame)
    return drawn


def unlocked(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error of modules that update at random: against epochs, and at the end against their probability."""
    rows = _of(frame, "unlocked")
    part = subject.part(rows)
    series = series_by(rows, "update_probability", "p = {:g}")
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, 2)
    draw_curves(panels[0], series, "epoch", f"{part}_error")
    draw_final(panels[1], [Series("cDNI", rows, METHOD_STYLES["cDNI"])], "update_probability", "test_error")
    panels[1].set_xscale("log")
    style.log_ticks(panels[1].xaxis, sorted(rows["update_probability"].unique()))
    panels[1].set_xlabel("Probability p that a module updates at a step")
    for axes, name in zip(panels, (part, "test"), strict=True):
        set_error_axis(axes, rows, name)
    style.legend(panels[0])
    caption = (
        f"{error_name(rows, part)} and test error on {subject.dataset(rows)}, {int(rows['layers'].iloc[0])} fully "
        "connected layers, cDNI. At each step each module updates with probability p, by itself; one that rests keeps "
        "its weights and its moments and tells the module below it nothing."
    )
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate validation and test error, settings and cost of every run."""
    rows = subject.prepared(frame[frame["budget"].isin(BUDGETS)], several_networks=True)
    values = {
        "validation_error": tables.Value("Validation error (%)"),
        "test_error": tables.Value("Test error (%)"),
        "step": tables.Value("Updates", digits=0),
        "cost": tables.Value("Cost (minibatch gradients)", digits=0),
        "seconds": tables.Value("Seconds", digits=0),
    }
    keys = {"budget": "Budget", "setting": "Setting", "network": "Network", "batch_size": "Batch"}
    made = tables.setting_table(rows, keys, values)
    first = results.last_rows(rows).groupby("order").first().reindex(columns=[*SETTINGS])
    for number, (name, header) in enumerate(SETTINGS.items(), len(keys)):
        told = [value if isinstance(value, str) else f"{value:g}" if pd.notna(value) else "-" for value in first[name]]
        made.insert(number, header, told)
    return made


FIGURES = {
    "06_synthetic_source_loss": source_loss,
    "06_synthetic_source_weights": weight_gradients,
    "06_synthetic_source_boundary": boundary_gradients,
    "06_synthetic_source_digits": digits,
    "06_synthetic_depths": depths,
    "06_synthetic_curves": curves,
    "06_synthetic_convolutional_curves": convolutional_curves,
    "06_synthetic_cosines": cosines,
    "06_synthetic_unlocked": unlocked,
    "06_synthetic_critical_path": critical_path,
}
TABLES = {"06_synthetic_table": table, "06_synthetic_cosine_table": cosine_table}


def _of(frame: pd.DataFrame, budget: str) -> pd.DataFrame:
    rows = select(frame, budget=budget)
    if rows.empty:
        raise NothingToDraw(f"the results hold no runs of the budget {budget!r}")
    return subject.prepared(rows, several_networks=True)


def _told(rows: pd.DataFrame) -> str:
    """Say each method's batch, and what its predictors have that linear ones behind a block have not."""
    sentences = []
    for family, runs in rows.groupby("family"):
        told = []
        for name, part in runs.groupby("gradient"):
            layers = int(part["predictor_layers"].iloc[0])
            deep = f"with {layers} hidden layer{'s' if layers > 1 else ''}" if layers else ""
            about = " ".join(filter(None, (deep, place(part))))
            told.append(f"{name} {int(part['batch_size'].iloc[0])}" + (f" (predictors {about})" if about else ""))
        sentences.append(f"Batches, {family}: {'; '.join(told)}.")
    return " ".join(sentences)


def _by_method(rows: pd.DataFrame) -> list[Series]:
    """Make a series of every method that there is, always in the same style."""
    found = ((name, select(rows, gradient=name)) for name in METHODS)
    return [Series(name, part, METHOD_STYLES[name]) for name, part in found if len(part)]


def _curves(frame: pd.DataFrame, family: str) -> style.PaperFigure:
    rows = select(_of(frame, "comparison"), family=family)
    if rows.empty:
        raise NothingToDraw(f"the results hold no {family} networks")
    part = subject.part(rows)
    counts = sorted(rows["layers"].unique())
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, len(counts), sharey=True)
    shown = []
    for axes, layers in zip(panels, counts, strict=True):
        series = _by_method(select(rows, layers=layers))
        draw_curves(axes, series, "epoch", f"{part}_error")
        with matplotlib.rc_context(style.RC):
            axes.set_title(f"{int(layers)} layers")
        shown += series
    set_error_axis(panels[0], rows, part)
    style.legend(panels[0], above=len(METHODS))
    caption = (
        f"{error_name(rows, part)} on {subject.dataset(rows)}, {family} networks, the last layer counted; rates "
        f"decayed by a cosine to zero. {_told(rows)}"
    )
    style.annotate(drawn, spread_note(shown), caption, frame)
    return drawn
