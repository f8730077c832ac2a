"""Selection of the runs of 02_noisy_gradients that its figures compare.

Runs of two groups are stored: `full` has the source's batch size and epochs, `sweep` about as many updates with smaller
batches. Every run of the sweep differs in one setting from its run at the reference noise.
"""

import numpy as np
import pandas as pd

from common.plotting import captions
from common.plotting.curves import NothingToDraw, column, select

TUNED = "tuned"  # group of the remedies with tuned rates; their names begin with it
SERVER_ALONE = "server alone"  # how the names of runs on public examples alone begin
NOTHING_DONE = "nothing done"  # the notebook's name of the sweep's run at the reference noise
# What a run has unless the figure is about it.
PLAIN = {"noise": "constant", "schedule": "constant", "momentum": 0.0, "averaging": 0.0}
PLAIN |= {"sketch": "none", "trained_on": "all", "devices": 0}
# What the columns of an estimator's or optimizer's arguments are called here, and what holds where there is none.
_ARGUMENTS = {
    "ConstantNoise.sigma": ("sigma", 0.0),
    "SGD.momentum": ("momentum", 0.0),
    "OverTheAir.devices": ("devices", 0),
    "OverTheAir.label_skewed": ("label_skewed", False),
}


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """Prepare a frame for the figures: drop trials, add errors (`captions.prepared`), columns for noise and remedy.

    The columns are noise (constant, annealed, relative or channel), sketch (none, random or public), trained_on (all or
    public), sigma, momentum, averaging, devices, label_skewed, decibels, dimensions and redraw_every. A missing setting
    is zero.
    """
    frame = captions.prepared(frame[frame["group"] != "trial"])
    derived = {}
    for name, (short, default) in _ARGUMENTS.items():
        values = pd.Series([default if pd.isna(value) else value for value in column(frame, name)], index=frame.index)
        derived[short] = values.astype(type(default))
    decay = pd.to_numeric(column(frame, "SGD.ema_momentum")).fillna(0.99)  # what Keras takes unless another is given
    derived["averaging"] = np.where(column(frame, "SGD.use_ema").fillna(False).astype(bool), decay.astype(float), 0.0)
    estimators = frame["estimator"].str
    levels = [estimators.contains(name) for name in ("OverTheAir", "AnnealedNoise", "RelativeNoise")]
    derived["noise"] = np.select(levels, ["channel", "annealed", "relative"], "constant")
    owners = [estimators.contains(name) for name in ("PublicSubspace", "SignSketch")]
    derived["sketch"] = np.select(owners, ["public", "random"], "none")
    for short, names in {
        "dimensions": ("PublicSubspace.dimensions", "SignSketch.dimensions"),
        "redraw_every": ("PublicSubspace.refresh_every", "SignSketch.redraw_every"),
    }.items():
        values = [pd.to_numeric(column(frame, name)).fillna(0) for name in names]
        derived[short] = np.select(owners, values, 0).astype(int)
    channel_noise = pd.to_numeric(column(frame, "OverTheAir.channel_noise")).fillna(1.0)
    derived["decibels"] = (-20 * np.log10(channel_noise)).round(6) + 0.0
    derived["trained_on"] = np.where(frame["run"].str.startswith(SERVER_ALONE), "public", "all")
    return frame.assign(**derived)


def reference(frame: pd.DataFrame) -> pd.Series:
    """Return a row of the sweep's run at the reference noise without a remedy, which the other runs vary.

    Raises:
        NothingToDraw: there is no such run.
    """
    rows = select(frame, group="sweep", run=NOTHING_DONE)
    if rows.empty:
        raise NothingToDraw(f"the results hold no run {NOTHING_DONE!r}, to which the others are compared")
    return rows.iloc[0]


def sigma_sweep(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the sweep that differ from the reference only in σ, including σ = 0 and the reference."""
    same = {name: reference(frame)[name] for name in ("batch_size", "learning_rate")}
    return select(frame, group="sweep", **PLAIN, **same)


def budget(runs: pd.DataFrame) -> str:
    """Return the words for batch size and epochs of runs that share them, e.g. "batch 32, 1 epoch"."""
    epochs, batch = int(runs["epoch"].max()), int(runs["batch_size"].iloc[0])
    return f"batch {batch}, {epochs} epoch{'s' if epochs > 1 else ''}"
