"""Figures and tables of 06_synthetic_gradients: modules that learn from predicted gradients, and backpropagation.

`source_figures` has the source's experiment. `boundary_figures` has the predictors' cosines and the waiting times of
layers, `control_figures` other sources of a module's gradient, and `run_selection` describes each run. A run's `group`
is `source`, `comparison`, `control` or `unlocked`. Every function takes the frame of `results.read` (in the notebook:
of `train_all`) and returns a figure.
"""

import matplotlib
import pandas as pd
from matplotlib.ticker import MaxNLocator

from common import results
from common.experiments.synthetic_gradients.boundary_figures import cosine_table, cosines, critical_path
from common.experiments.synthetic_gradients.control_figures import controls
from common.experiments.synthetic_gradients.run_selection import (
    FAMILIES,
    GROUPS,
    METHOD_STYLES,
    METHODS,
    by_method,
    described,
    place,
    predictor_rate,
    runs_of,
    setting,
)
from common.experiments.synthetic_gradients.source_figures import (
    boundary_gradients,
    digits,
    source_loss,
    weight_gradients,
)
from common.plotting import captions, style, tables
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
from common.results.summary import last_rows

__all__ = ["FIGURES", "TABLES", "digits"]  # digits are the notebook's: with enough data all networks know them

_METHODS_SAID = (
    "No backprop: only the last layer learns. DNI: synthetic gradients predicted from activations; cDNI: from "
    "activations and label."
)


def curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error against updates of the fully connected networks, with one panel per depth.

    The other figures have the same contract.

    Args:
        frame: rows of this experiment on one data set and precision, with several settings and seeds.

    Returns:
        The figure; in a notebook, the last line of a cell shows it.

    Raises:
        NothingToDraw: the frame has no data for the figure.
        ValueError: the frame mixes data sets or precisions, or holds a seed twice.
    """
    return _curves(frame, "fully connected")


def convolutional_curves(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error against updates of the convolutional networks, with one panel per depth."""
    return _curves(frame, "convolutional")


def depths(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final test error against the number of layers, fully connected and convolutional."""
    rows = runs_of(frame, "comparison")
    families = [name for name in FAMILIES if (rows["family"] == name).any()]
    counts = [select(rows, family=family)["layers"].nunique() for family in families]
    widths = [count - 0.4 for count in counts]  # a step from one depth to the next is equally wide in all panels
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, len(families), sharey=True, width_ratios=widths)
    shown = []
    for axes, family in zip(panels, families, strict=True):
        series = by_method(select(rows, family=family))
        draw_final(axes, series, "layers", "test_error")
        axes.set_xticks(sorted(select(rows, family=family)["layers"].unique()))
        axes.set_xlabel(f"Layers, {family}")
        shown += series
    set_error_axis(panels[0], rows, "test")
    style.legend(panels[0], above=len(METHODS))
    caption = (
        f"{error_name(rows, 'test')} on {captions.dataset(rows)} after the last epoch. {_METHODS_SAID} {_batches(rows)}"
    )
    style.annotate(drawn, spread_note(shown, ["layers"]), caption, frame)
    return drawn


def unlocked(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the error of modules that update at random: against their updates, and at the end against p."""
    rows = runs_of(frame, "unlocked")
    rows = rows.assign(probability=setting(rows, "SyntheticGradients.update_probability", 1.0).astype(float))
    rows = rows.assign(updates=rows["probability"] * rows["step"])
    part = captions.part(rows)
    by_probability = series_by(rows, "probability", "p = {:g}")
    shades = matplotlib.colormaps["Blues"](
        [0.4 + 0.6 * i / len(by_probability) for i in range(1, len(by_probability) + 1)]
    )
    series = [
        Series(curve.label, curve.frame, dict(curve.style) | {"color": matplotlib.colors.to_hex(shade)})
        for curve, shade in zip(by_probability, shades, strict=True)
    ]
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, 2)
    draw_curves(panels[0], series, "updates", f"{part}_error")
    panels[0].set_xscale("log")
    style.log_ticks(panels[0].xaxis)
    panels[0].set_xlabel("Expected updates of a module")
    ended = [Series("cDNI", rows, METHOD_STYLES["cDNI"])]
    rare = _rare_backpropagation(frame)
    ended += [Series("backprop", rare, METHOD_STYLES["backprop"])] if len(rare) else []
    draw_final(panels[1], ended, "probability", "test_error")
    panels[1].set_xscale("log")
    style.log_ticks(panels[1].xaxis, sorted(rows["probability"].unique()))
    panels[1].set_xlabel("Probability p that a module updates at a step")
    for axes, name in zip(panels, (part, "test"), strict=True):
        set_error_axis(axes, rows, name)
    style.legend(panels[0])
    if len(ended) > 1:
        style.legend(panels[1])
    caption = (
        f"{error_name(rows, part)} and test error on {captions.dataset(rows)}, {int(rows['layers'].iloc[0])} fully "
        "connected layers, cDNI. At each step each module updates with probability p, by itself; one that rests keeps "
        "its weights and its moments and tells the module below it nothing. Left: against p times the steps."
    )
    if len(rare):
        caption += " Black: backpropagation whose modules update as rarely."
    if (setting(rows, "schedule", "") == "CosineDecay").all():
        caption += " Rates fall by a cosine to zero, so that only the ends compare."
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate validation and test error, settings and cost of every run."""
    rows = described(frame[frame["group"].isin(GROUPS)])
    rows = rows.assign(passes=rows["cost"].astype(float) / rows["train_examples"].astype(float))
    errors = tables.errors(rows)
    values = errors | {
        "step": tables.Value("Updates", digits=0, outcome=False),
        "passes": tables.Value("Cost (epochs' worth of gradients)", digits=2, outcome=False),
    }
    keys = {"group": "Runs", "run": "Setting", "batch_size": "Batch"}
    tabulated = tables.setting_table(rows, keys, values)
    first = last_rows(rows).groupby("order", as_index=False).first()
    settings = {
        "Rate": first["learning_rate"],
        "Predictors' rate": predictor_rate(first),
        "Predictors' hidden layers": setting(first, "SyntheticGradients.hidden_layers", None),
    }
    for number, (header, column) in enumerate(settings.items(), len(keys)):
        cells = [value if isinstance(value, str) else "-" if pd.isna(value) else f"{value:g}" for value in column]
        tabulated.insert(number, header, cells)
    caption = (
        f"Errors on {captions.dataset(rows)} of the source's experiment, of networks by depth, of modules that update "
        "at random, and of controls."
    )
    if where := place(select(rows, group="comparison", family=FAMILIES[0], label="DNI")):
        caption += f" DNI's predictors of fully connected networks are {where}, all others behind a block."
    return tables.printed(tabulated, caption, groups=keys["group"])


def depth_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the final test error of the comparison, with one row per network and one column per method."""
    rows = runs_of(frame, "comparison")
    summary = results.summarize(rows, ["family", "layers", "label"], "test_error").set_index("label")
    tabulated = []
    for family in FAMILIES:
        for layers, cells in summary[summary["family"] == family].groupby("layers"):
            shown = {name: "-" for name in METHODS}
            for row in cells.itertuples():
                ended = tables.mean_and_spread(row.mean, row.std, 2)
                shown[row.Index] = "diverged" if not row.n and row.diverged else ended
            tabulated.append({"Networks": family, "Layers": int(layers)} | shown)
    caption = (
        f"{error_name(rows, 'test')} (%) on {captions.dataset(rows)} after the last epoch, by method, "
        f"{int(rows['seed'].nunique())} seeds. {_METHODS_SAID}"
    )
    return tables.printed(pd.DataFrame(tabulated), caption, groups="Networks")


FIGURES = {
    "06_synthetic_source_loss": source_loss,
    "06_synthetic_source_weights": weight_gradients,
    "06_synthetic_source_boundary": boundary_gradients,
    "06_synthetic_depths": depths,
    "06_synthetic_curves": curves,
    "06_synthetic_convolutional_curves": convolutional_curves,
    "06_synthetic_cosines": cosines,
    "06_synthetic_controls": controls,
    "06_synthetic_unlocked": unlocked,
    "06_synthetic_critical_path": critical_path,
}
TABLES = {
    "06_synthetic_table": table,
    "06_synthetic_depth_table": depth_table,
    "06_synthetic_cosine_table": cosine_table,
}


def _batches(rows: pd.DataFrame) -> str:
    """Return the words for the batches, and for methods with another batch or other than linear predictors."""
    sentences = []
    for family, runs in rows.groupby("family"):
        sizes = runs.groupby("label")["batch_size"].first().astype(int)
        usual = int(sizes.mode().iloc[0])
        parts = [f"{usual}"]
        for name, part in runs.groupby("label"):
            layers = int(setting(part, "SyntheticGradients.hidden_layers", 0).iloc[0])
            deep = f"with {layers} hidden layer{'s' if layers > 1 else ''}" if layers else ""
            about = " ".join(filter(None, (deep, place(part))))
            if about or sizes[name] != usual:
                parts.append(f"{name} {sizes[name]}" + (f" (predictors {about})" if about else ""))
        sentences.append(f"Batches, {family}: {'; '.join(parts)}.")
    return " ".join(sentences)


def _rare_backpropagation(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the controls of unlocked modules: backpropagation whose modules update as rarely."""
    rows = select(frame, group="control")
    if rows.empty:
        return rows
    rows = described(rows)
    probability = setting(rows, "SyntheticGradients.update_probability", None)
    known = probability.notna() & (setting(rows, "SyntheticGradients.mixing", 0.0).astype(float) == 1)
    return rows[known].assign(probability=probability[known].astype(float))


def _curves(frame: pd.DataFrame, family: str) -> style.PaperFigure:
    rows = select(runs_of(frame, "comparison"), family=family)
    if rows.empty:
        raise NothingToDraw(f"the results hold no {family} networks")
    part = captions.part(rows)
    counts = sorted(rows["layers"].unique())
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 2.5, len(counts), sharey=True)
    shown = []
    for axes, layers in zip(panels, counts, strict=True):
        series = by_method(select(rows, layers=layers))
        draw_curves(axes, series, "step", f"{part}_error")  # DNI's batches are larger, and its epochs more
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        with matplotlib.rc_context(style.RC):
            axes.set_title(f"{int(layers)} layers")
        shown += series
    set_error_axis(panels[0], rows, part)
    style.legend(panels[0], above=len(METHODS))
    caption = (
        f"{error_name(rows, part)} on {captions.dataset(rows)}, {family} networks, the last layer counted; rates "
        f"decayed by a cosine to zero. {_batches(rows)}"
    )
    style.annotate(drawn, spread_note(shown), caption, frame)
    return drawn
