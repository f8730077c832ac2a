"""Figures of 06_synthetic_gradients about the source's experiment: weight gradients regressed, and set right."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from common.plotting import captions as subject
from common.plotting import style
from common.plotting.curves import NothingToDraw, Series, draw_curves, select, spread_note

METHODS = ("no backprop", "backprop", "DNI", "cDNI")  # that are compared
_REGRESSED = "weights regressed"
METHOD_STYLES = {name: style.group_style(i) for i, name in enumerate((*METHODS, _REGRESSED))}  # one look in all figures


def source_loss(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the smoothed training loss against steps, one line a method."""
    rows = select(frame, budget="source")
    if rows.empty:
        raise NothingToDraw("the results hold no runs of the budget 'source'")
    rows = subject.prepared(rows, several_networks=True)
    groups = rows.groupby(["order", "gradient"])
    series = [Series(name, part, METHOD_STYLES[name]) for (_, name), part in groups]
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    draw_curves(axes, series, "step", "train_loss")
    axes.set_ylabel("Training loss")
    style.legend(axes)
    first, rates = rows.iloc[0], rows.groupby("gradient")["predictor_rate"].first()
    predictors = ", ".join(f"{name} {rate:g}" for name, rate in rates.items() if rate)
    caption = (
        f"Training loss on {subject.dataset(rows)}, means over {int(rows['step'].min())} steps, batch "
        f"{int(first['batch_size'])}, gradient descent at {first['learning_rate']:g}; predictors' rates: {predictors}. "
        "DNI and cDNI: the right target, on the same batches."
    )
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def weight_gradients(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the actual gradient of the last weights, the regressed one and their difference."""
    what = "Gradient of the last layer's weights (hidden units by classes)"
    return _gradients(frame, _REGRESSED, what, ("Hidden unit", "Class"))


def boundary_gradients(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the actual gradient of the hidden activations, the one that cDNI predicts and their difference."""
    what = "Gradient of the hidden activations (examples of a batch by hidden units)"
    return _gradients(frame, "cDNI", what, ("Hidden unit", "Example"))


def digits(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw test images with what each method's network takes them for."""
    pixels, predicted = select(frame, budget="source digits"), select(frame, budget="source predictions")
    if pixels.empty or predicted.empty:
        raise NothingToDraw("the results hold no images and predictions")
    seed = pixels["seed"].min()
    pixels, predicted = select(pixels, seed=seed), select(predicted, seed=seed)
    subject.prepared(frame, several_networks=True)
    numbers = sorted(pixels["digit"].unique())
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 1.9, len(numbers))
    methods = predicted.drop_duplicates("gradient").sort_values("order")["gradient"]
    for axes, number in zip(panels, numbers, strict=True):
        of_digit = select(predicted, digit=number)
        _image(axes, select(pixels, digit=number), "pixel", cmap="Greys", vmin=0, vmax=1)
        label = int(of_digit["label"].iloc[0])
        lines = [f"{int(select(of_digit, gradient=name)['predicted'].iloc[0])}" for name in methods]
        with matplotlib.rc_context(style.RC):
            axes.set_title(f"is {label}")
            axes.text(0.5, -0.1, "\n".join(lines), transform=axes.transAxes, ha="center", va="top")
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_visible(False)
    with matplotlib.rc_context(style.RC):
        panels[0].text(-0.1, -0.1, "\n".join(methods), transform=panels[0].transAxes, ha="right", va="top")
    caption = (
        f"The first test images of {subject.dataset(frame)} with their labels, and below each what the networks "
        f"take it for after {int(predicted['step'].max())} steps."
    )
    style.annotate(drawn, f"Seed {int(seed)}.", caption, frame)
    return drawn


def _gradients(frame: pd.DataFrame, gradient: str, what: str, axes_names: tuple[str, str]) -> style.PaperFigure:
    rows = select(frame, budget="source gradients", gradient=gradient)
    if len(rows):
        rows = rows[np.isfinite(rows[["actual", "synthetic"]].astype(float)).all(axis=1)]
    if rows.empty:
        raise NothingToDraw(f"the results hold no gradients of {gradient!r}")
    rows = select(subject.prepared(rows, several_networks=True), seed=rows["seed"].min())
    rows = rows.assign(difference=rows["actual"] - rows["synthetic"])
    limit = max(float(rows[["actual", "synthetic", "difference"]].abs().max().max()), 1e-12)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 1.8, 3, sharey=True)
    for axes, name in zip(panels, ("actual", "synthetic", "difference"), strict=True):
        image = _image(axes, rows, name, cmap="RdBu_r", vmin=-limit, vmax=limit)
        with matplotlib.rc_context(style.RC):
            axes.set_title(name)
        axes.set_xlabel(axes_names[0])
    panels[0].set_ylabel(axes_names[1])
    with matplotlib.rc_context(style.RC):
        drawn.colorbar(image, ax=panels, shrink=0.8)
    lengths = [float(np.linalg.norm(rows[name])) for name in ("actual", "synthetic", "difference")]
    steps = int(rows["step"].iloc[0])
    caption = f"{what} on {subject.dataset(rows)} after {steps} steps: actual, synthetic, and what they differ by."
    note = f"Lengths {lengths[0]:.3g}, {lengths[1]:.3g}, {lengths[2]:.3g}. Seed {int(rows['seed'].iloc[0])}, one batch."
    style.annotate(drawn, note, caption, frame)
    return drawn


def _image(axes, rows: pd.DataFrame, value: str, **options):
    """Draw rows of (row, column, value) as an image, all over the panel."""
    matrix = rows.pivot(index="row", columns="column", values=value).to_numpy(float)
    if value == "pixel":
        options["aspect"] = "equal"
    else:
        options["aspect"] = "auto"
    with matplotlib.rc_context(style.RC):
        image = axes.imshow(matrix, interpolation="nearest", **options)
    axes.grid(False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    return image
