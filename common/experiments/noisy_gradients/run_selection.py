"""The runs of 02_noisy_gradients that its figures compare with.

Runs of two budgets are stored: `full` has the source's batch size and epochs, `sweep` about as many updates of smaller
batches. Every run of the sweep differs in one thing from its run at the reference noise.
"""

import pandas as pd

from common.plotting.curves import NothingToDraw, select

NOTHING_DONE = "nothing done"  # the notebook's name of the sweep's run at the reference noise
# What a run has unless the figure is about it.
PLAIN = {"noise": "constant", "schedule": "constant", "momentum": 0.0, "averaging": 0.0}
PLAIN |= {"sketch": "none", "trained_on": "all", "devices": 0}


def reference(frame: pd.DataFrame) -> pd.Series:
    """Return a row of the sweep's run that does nothing about the reference noise: what the other runs vary.

    Raises:
        NothingToDraw: when there is none.
    """
    rows = select(frame, budget="sweep", setting=NOTHING_DONE)
    if rows.empty:
        raise NothingToDraw(f"the results hold no run {NOTHING_DONE!r}, to which the others are compared")
    return rows.iloc[0]


def sigma_sweep(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the sweep that differ from the reference in σ alone, σ = 0 and the reference among them."""
    same = {name: reference(frame)[name] for name in ("batch_size", "learning_rate")}
    return select(frame, budget="sweep", **PLAIN, **same)


def budget(runs: pd.DataFrame) -> str:
    """Name batch size and epochs of runs that share them, e.g. "batch 32, 1 epoch"."""
    epochs, batch = int(runs["epoch"].max()), int(runs["batch_size"].iloc[0])
    return f"batch {batch}, {epochs} epoch{'s' if epochs > 1 else ''}"
