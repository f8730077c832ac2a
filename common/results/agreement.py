"""Compare two trainings of one run, number by number: identical to the bit, equal as printed, or different."""

import math
from dataclasses import dataclass

import pandas as pd

IDENTICAL, AS_PRINTED, DIFFERENT = "identical to the bit", "equal as printed", "different"
# What a run's loop measures; seconds are another thing each time, and diagnostics change no run.
MEASURED = ("train_loss", "train_metric", "validation_loss", "validation_metric", "test_loss", "test_metric")
CURVES = ("train_loss", "validation_metric", "test_metric")
_PRINTED = ("validation_metric", "test_metric")


@dataclass(frozen=True)
class Agreement:
    """The agreement of two trainings of one run.

    Attributes:
        verdict: `IDENTICAL`: every number of the stored run is repeated, bit for bit. `AS_PRINTED`: both ended alike,
            and the last validation and test metrics agree to the decimals of the tables. These are 0.01 points of
            accuracy or 0.01 of a mean squared error. `DIFFERENT`: neither.
        numbers: how many numbers were compared.
        largest: for each of `CURVES` that the stored run has, the largest absolute difference and its epoch. It is
            infinite if only one of the two numbers is finite.
        reason: differences other than numbers, such as how the runs ended; empty if there are none.
    """

    verdict: str
    numbers: int
    largest: dict[str, tuple[float, int]]
    reason: str = ""


def agreement(stored: pd.DataFrame, again: pd.DataFrame) -> Agreement:
    """Compare a run that was trained again with the stored run, in the epochs that the stored run recorded.

    A measure that the stored run has in no epoch is not compared.

    Args:
        stored: the rows of the stored run.
        again: the rows of its second training, which may have recorded more epochs.
    """
    reason = _other_end(stored, again)
    pairs = _by_epoch(stored).join(_by_epoch(again).add_suffix(" again"), how="left")
    missing = pairs["present again"].isna()
    if missing.any() and not reason:
        reason = f"epoch {pairs.index[missing][0]} is not there again"
    differences = {name: _differences(pairs[name], pairs[f"{name} again"]) for name in MEASURED if _kept(stored, name)}
    largest = {name: (values.max(), int(values.idxmax())) for name, values in differences.items() if name in CURVES}
    numbers = sum(int(pairs[name].notna().sum()) for name in differences)
    if not reason and numbers and all((values == 0).all() for values in differences.values()):
        return Agreement(IDENTICAL, numbers, largest)
    printed = [name for name in _PRINTED if name in differences]
    alike = not reason and printed and all(_printed(stored, name) == _printed(again, name) for name in printed)
    return Agreement(AS_PRINTED if alike else DIFFERENT, numbers, largest, reason)


def _by_epoch(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the measures by epoch, without those before training; a run that diverged at once keeps them."""
    rows = frame[frame["epoch"] > 0] if (frame["epoch"] > 0).any() else frame
    return rows.set_index("epoch")[list(MEASURED)].astype(float).assign(present=True)


def _kept(frame: pd.DataFrame, name: str) -> bool:
    return bool(frame[name].notna().any())


def _differences(left: pd.Series, right: pd.Series) -> pd.Series:
    """Return absolute differences: 0 if both are equal or missing, infinite if one of them is not finite."""
    difference = (left - right).abs()
    same = (left == right) | (left.isna() & right.isna())
    return difference.where(~same, 0.0).fillna(math.inf)


def _other_end(stored: pd.DataFrame, again: pd.DataFrame) -> str:
    ends = [_end(frame.iloc[-1]) for frame in (stored, again)]
    return "" if ends[0] == ends[1] else f"it {ends[0]}, and again {ends[1]}"


def _end(row: pd.Series) -> str:
    if row["status"] == "diverged":
        return f"diverged at step {int(row['diverged_step'])}"
    return f"{row['status']} after epoch {int(row['epoch'])} and step {int(row['step'])}"


def _printed(frame: pd.DataFrame, name: str) -> str:
    """Return the last value of a metric, rounded as in tables."""
    value = float(frame[name].iloc[-1])
    return f"{100 * value:.2f}" if frame["metric"].iloc[-1] == "accuracy" else f"{value:.2f}"
