"""Selection of this experiment's rows: runs of networks, trials of learning rates, walks from the saddle."""

from typing import Any

import pandas as pd

from common.plotting import captions
from common.plotting.curves import NothingToDraw, select

SADDLE = "saddle: "  # how the names of the walks on the artificial saddle begin
MU = 0.02  # curvature -μ along the way out of the artificial saddle; across it, the curvature is 1


def networks(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of networks with their errors, without trials of learning rates and walks from the saddle.

    If epochs were timed in turn, `seconds` are from that clock, and NaN for runs without it. Recorded seconds depend on
    the machine's other load.
    """
    runs = frame[frame["group"].isin(["full", "control", "large batch", "cause", "sweep"])]
    if runs.empty:
        raise NothingToDraw("the results hold no run of a network")
    if "timed_seconds" in runs:
        runs = runs.assign(seconds=runs["timed_seconds"])
    return captions.prepared(runs, sizes_by="group")


def measurement(frame: pd.DataFrame, name: str) -> Any:
    """Return a measurement of the first file that has it, or None."""
    files = frame.attrs.get("measurements", [])
    return next((measurements[name] for measurements in files if name in measurements), None)


def has_trials(frame: pd.DataFrame) -> bool:
    """Return whether learning rates were chosen by trials."""
    return not select(frame, group="trial").empty
