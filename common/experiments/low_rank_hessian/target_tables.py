"""Table of 05_low_rank_hessian: seconds until the methods first reach target errors, seed by seed."""

import numpy as np
import pandas as pd

from common.experiments.low_rank_hessian.run_selection import measurement, networks
from common.experiments.targets import spent_until
from common.plotting import captions, tables
from common.plotting.curves import NothingToDraw, select
from common.results import with_interval

RIVAL = "Adam"  # the method whose seconds divide the others'


def times(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate seconds to each target of validation error by method, and their ratio to Adam's, paired by seed.

    The targets are the notebook's `target_accuracies`, or 98.5 % if the results lack them. The ratio is a geometric
    mean, whose 95 % interval is the t interval of the logarithms, in brackets; "-" without two common seeds.

    Raises:
        NothingToDraw: the frame has no validation errors or no seconds of the methods.
    """
    runs = select(networks(frame), group="full")
    # A probe of the spectrum looks before training, too, when there is no error.
    runs = runs[runs["validation_error"].notna()].sort_values("order", kind="stable")
    if not runs["seconds"].notna().any():
        raise NothingToDraw("the results hold no validation error after known seconds")
    tabulated = pd.DataFrame({"Setting": runs["run"].drop_duplicates()})
    for target in measurement(frame, "target_accuracies") or [0.985]:
        error = 100 * (1 - target)
        spent = spent_until(runs, error, "seconds")
        ratios = _ratios(spent)
        tabulated[f"Seconds to {error:.3g} %"] = [_seconds(spent, name) for name in tabulated["Setting"]]
        tabulated[f"Ratio at {error:.3g} %"] = [ratios.get(name, "-") for name in tabulated["Setting"]]
    caption = (
        f"Seconds of training until the validation error on {captions.name(runs)} is first as low as said, by method, "
        f"interpolated between epochs. In parentheses, how many seeds got there, if not all. Ratio: to {RIVAL}'s "
        "seconds with the same seed, as a geometric mean with its 95 % interval over the seeds in which both got there."
    )
    return tables.printed(tabulated.reset_index(drop=True), caption)


def _seconds(spent: pd.DataFrame, name: str) -> str:
    seconds = spent.loc[spent["run"] == name, "spent"]
    reached = seconds.dropna()
    shown = tables.mean_and_spread(reached.mean(), reached.std(), digits=0)
    return shown if len(reached) in (0, len(seconds)) else f"{shown} ({len(reached)} of {len(seconds)})"


def _ratios(spent: pd.DataFrame) -> dict[str, str]:
    """Return each method's ratio to the rival's seconds, and "1" for the rival; empty if it never got there."""
    logarithms = np.log(spent.pivot(index="seed", columns="run", values="spent"))
    if RIVAL not in logarithms or logarithms[RIVAL].isna().all():
        return {}
    differences = logarithms.sub(logarithms[RIVAL], axis=0)
    summary = pd.DataFrame({"mean": differences.mean(), "std": differences.std(), "n": differences.count()})
    compared = with_interval(summary[summary["n"] > 1])
    return {name: _ratio(row) for name, row in compared.iterrows()} | {RIVAL: "1"}


def _ratio(row: pd.Series) -> str:
    middle, low, high = np.exp([row["mean"], row["low"], row["high"]])
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"
