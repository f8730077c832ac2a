"""Figures of 06_synthetic_gradients on the source's experiment: regressed weight gradients, and the correction."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from common.experiments.synthetic_gradients.run_selection import (
    METHOD_STYLES,
    REGRESSED,
    measured,
    predictor_rate,
    runs_of,
)
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, Series, draw_curves, select, spread_note


def source_loss(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the smoothed training loss against steps, one line per method."""
    rows = runs_of(frame, "source")
    rows = rows.assign(predictor_rate=predictor_rate(rows))
    series = [Series(name, part, METHOD_STYLES[name]) for (_, name), part in rows.groupby(["order", "label"])]
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    draw_curves(axes, series, "step", "train_loss")
    axes.set_ylabel("Training loss")
    style.legend(axes)
    first, rates = rows.iloc[0], rows.groupby("label")["predictor_rate"].first().dropna()
    predictors = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
    caption = (
        f"Training loss on {captions.dataset(rows)}, means over {int(rows['step'].min())} steps, batch "
        f"{int(first['batch_size'])}, gradient descent at {first['learning_rate']:g}; predictors' rates: {predictors}. "
        "DNI and cDNI: the right target, on the same batches."
    )
    style.annotate(drawn, spread_note(series), caption, frame)
    return drawn


def weight_gradients(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the actual gradient of the last weights, the regressed one and their difference."""
    what = "Gradient of the last layer's weights (hidden units by classes)"
    return _gradients(frame, REGRESSED, "weight_gradient", what, "Class")


def boundary_gradients(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the actual gradient of the hidden activations, cDNI's prediction and their difference."""
    what = "Gradient of the hidden activations (examples of a batch by hidden units)"
    return _gradients(frame, "cDNI", "boundary_gradient", what, "Example")


def digits(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw test images with the class that each method's network predicts."""
    rows = measured(runs_of(frame, "source"), "sample_images")
    rows = rows[rows["status"] != "diverged"]
    if rows.empty:
        raise NothingToDraw("the results hold no images and predictions")
    seed = rows["seed"].min()
    rows = select(rows, seed=seed).sort_values("order")
    first = rows.iloc[0]
    predictions = np.stack([np.asarray(cell, int) for cell in rows["sample_predictions"]])
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 1.9, len(first["sample_images"]))
    for axes, image, label, predicted in zip(
        panels, first["sample_images"], first["sample_labels"], predictions.T, strict=True
    ):
        _image(axes, np.asarray(image, float), cmap="Greys", vmin=0, vmax=1, aspect="equal")
        with matplotlib.rc_context(style.RC):
            axes.set_title(f"is {int(label)}")
            axes.text(0.5, -0.1, "\n".join(map(str, predicted)), transform=axes.transAxes, ha="center", va="top")
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_visible(False)
    with matplotlib.rc_context(style.RC):
        panels[0].text(-0.1, -0.1, "\n".join(rows["label"]), transform=panels[0].transAxes, ha="right", va="top")
    caption = (
        f"The first test images of {captions.dataset(rows)} with their labels, and below each what the networks "
        f"take it for after {int(rows['step'].max())} steps."
    )
    style.annotate(drawn, f"Seed {int(seed)}.", caption, frame)
    return drawn


def _gradients(frame: pd.DataFrame, label: str, name: str, what: str, rows_name: str) -> style.PaperFigure:
    """Draw an exact gradient, the synthetic one and their difference, for the first seed that has them."""
    rows = select(runs_of(frame, "source"), label=label)
    rows = measured(measured(rows, name), f"synthetic_{name}").sort_values("seed")
    if rows.empty:
        raise NothingToDraw(f"the results hold no gradients of {label!r}")
    run = rows.iloc[0]
    actual, synthetic = (np.asarray(run[column], float) for column in (name, f"synthetic_{name}"))
    parts = {"actual": actual, "synthetic": synthetic, "difference": actual - synthetic}
    limit = max(*(float(np.abs(part).max()) for part in parts.values()), 1e-12)
    drawn, panels = style.figure(style.DOUBLE_COLUMN, 1.8, 3, sharey=True)
    for axes, (title, part) in zip(panels, parts.items(), strict=True):
        image = _image(axes, part, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        with matplotlib.rc_context(style.RC):
            axes.set_title(title)
        axes.set_xlabel("Hidden unit")
    panels[0].set_ylabel(rows_name)
    with matplotlib.rc_context(style.RC):
        drawn.colorbar(image, ax=panels, fraction=0.02, pad=0.01, shrink=0.8)
    steps, dataset = int(run["step"]), captions.dataset(rows)
    caption = f"{what} on {dataset} after {steps} steps: actual, synthetic, and what they differ by."
    lengths = ", ".join(f"{np.linalg.norm(part):.3g}" for part in parts.values())
    scale = float(np.linalg.norm(actual) * np.linalg.norm(synthetic))
    cosine = f" Cosine of actual and synthetic {np.sum(actual * synthetic) / scale:.2f}." if scale else ""
    style.annotate(drawn, f"Lengths {lengths}.{cosine} Seed {int(run['seed'])}, one batch.", caption, frame)
    return drawn


def _image(axes, matrix: np.ndarray, **options):
    """Draw a matrix as an image that fills the panel."""
    with matplotlib.rc_context(style.RC):
        image = axes.imshow(matrix, interpolation="nearest", **options)
    axes.grid(False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    return image
