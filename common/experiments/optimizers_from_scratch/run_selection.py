"""Selection of runs of 03_optimizers_from_scratch: errors, the network chosen on validation data, the source.

There are three test errors. `lowest` is the lowest point of the test curve, which the source reports although it is a
choice made on test data. `chosen` is that of the epoch with the lowest validation error. `last` is that of the last
epoch.
"""

import json
import math
from typing import Any

import pandas as pd

from common import results
from common.plotting import captions
from common.plotting.curves import NothingToDraw, require_single, select

# The source's lowest test error on Boston housing, raw features, 4 hidden units, one run each.
SOURCE = {"clipping": 49.35, "minibatches": 30.62, "momentum": 29.12, "Adam, clipped": 28.04, "Adam": 29.34}
SOURCE_RATES = {1e-6: 71.76}  # of plain gradient descent: the best of its learning rates
METHODS = (
    "gradient descent",
    "clipping",
    "minibatches",
    "momentum",
    "Nesterov",
    "RMSprop",
    "Adam, clipped",
    "Adam",
    "AdamW",
    "Muon",
)
_ERRORS = ("lowest", "chosen", "last", "validation", "last_validation")


_LINE = "line: "
TUNED = "tuned"  # group of the runs with cross-validated rates; their names begin with it


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the columns by which figures select; a frame that has them is returned unchanged.

    Args:
        frame: a tidy frame of this experiment.

    Returns:
        The frame with the columns part ("methods", "line" for two weights, "tuned" or "trial"), method (of the group's
        name), dataset and features ("raw", "standardised" or "raw, nothing held out", both of the data set's name),
        hidden (JSON, "[]" for a line) and cosine (whether the learning rate falls along one).
    """
    if "features" in frame:
        return frame
    group, data = frame["group"].astype(str), frame["dataset"].astype(str).str.partition(", ")
    line = group.str.startswith(_LINE)
    hidden = frame["Network.hidden"].astype(object) if "Network.hidden" in frame else pd.Series("[]", frame.index)
    runs = frame.assign(
        part=group.where(group.isin([TUNED, "trial"]), line.map({True: "line", False: "methods"})),
        method=group.str.removeprefix(_LINE),
        features=data[2].str.removesuffix(", one feature"),
        dataset=data[0],
        hidden=hidden.mask(line, "[]"),
        cosine=(frame["schedule"] == "CosineDecay").astype(bool),
    )
    runs.attrs = frame.attrs
    return runs


def run_values(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each run's last row with its errors, in the order of the methods.

    Args:
        frame: a tidy frame of this experiment.

    Returns:
        The rows with the columns lowest, chosen and last (test errors), validation (the lowest) and last_validation. A
        diverged run has no errors (NaN), and `chosen` is NaN if nothing was held out.
    """
    runs = select(labelled(frame), part="methods")
    number = runs.groupby(results.run_columns(runs), dropna=False, sort=False).ngroup()
    curves = runs[["epoch", "status", "curve_test_loss", "validation_loss"]].sort_values("epoch").groupby(number)
    errors = pd.DataFrame([_errors(curve) for _, curve in curves], columns=_ERRORS)
    last = results.last_rows(runs)
    values = last.assign(**errors.loc[number[last.index]].set_index(last.index))
    return values.sort_values("method", key=lambda names: names.map(METHODS.index), kind="stable")


def _errors(run: pd.DataFrame) -> dict[str, float]:
    if run["status"].iloc[-1] == "diverged":
        return dict.fromkeys(_ERRORS, math.nan)
    test, validation = run["curve_test_loss"].astype(float), run["validation_loss"].astype(float)
    chosen = test[validation.idxmin()] if validation.notna().any() else math.nan
    values = (test.min(), chosen, test.iloc[-1], validation.min(), validation.iloc[-1])
    return dict(zip(_ERRORS, values, strict=True))


def chosen_network(frame: pd.DataFrame) -> tuple[str, str]:
    """Return method and hidden layers, as in the columns, with the lowest mean validation error at the end.

    Raises:
        NothingToDraw: there is no network on standardised features, or all of them diverged.
    """
    networks = select(run_values(frame), cosine=True)
    means = networks.groupby(["method", "hidden"])["last_validation"].mean().dropna()
    if means.empty:
        raise NothingToDraw("the results hold no finished network to choose on standardised features")
    return means.idxmin()


def require_one_task(frame: pd.DataFrame) -> None:
    """Raise a ValueError if the frame mixes data sets or training splits."""
    require_single(select(labelled(frame), features="raw"), ["dataset", "train_examples"])


def name(frame: pd.DataFrame) -> str:
    """Return data set and shared network for a caption, e.g. "Boston housing (4 hidden units)"."""
    return f"{captions.dataset(labelled(frame))} ({units(frame)} hidden units)"


def units(frame: pd.DataFrame) -> int:
    """Return the hidden units of the network that all methods share, not of the chosen networks."""
    runs = select(labelled(frame), part="methods", cosine=False)
    return sum(json.loads(runs["hidden"].iloc[0]))


def is_source(frame: pd.DataFrame) -> bool:
    """Return whether the data are the source's."""
    return bool((labelled(frame)["dataset"] == "boston_housing").all())


def measured(frame: pd.DataFrame, name: str) -> Any:
    """Return a measurement of the notebook, or None; it belongs to the data and is the same in all files."""
    return next(
        (measurements[name] for measurements in frame.attrs.get("measurements", []) if name in measurements), None
    )
