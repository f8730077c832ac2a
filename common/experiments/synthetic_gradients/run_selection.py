"""Selection of runs of 06_synthetic_gradients: method, kind of network, depth and predictors, from the columns."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd

from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, Series, column, select

METHODS = ("no backprop", "backprop", "DNI", "cDNI")  # of the comparison
REGRESSED = "weights regressed"
METHOD_STYLES = {name: style.method_style(name) for name in (*METHODS, REGRESSED)}
GROUPS = ("source", "comparison", "control", "unlocked")
FAMILIES = ("fully connected", "convolutional")
CUTS = {"dense": "before the batch norm", "norm": "before the ReLU"}  # by the layer in front of the predictor
_WITHOUT_PREDICTORS = {"LastModuleOnly": "no backprop", "Backpropagation": "backprop", "WeightRegression": REGRESSED}


def runs_of(frame: pd.DataFrame, group: str) -> pd.DataFrame:
    """Return the rows of one group, with the errors and the columns `label` (the method), `family` and `layers`.

    Raises:
        NothingToDraw: there is no such run.
        ValueError: the frame mixes data sets or precisions.
    """
    rows = select(frame, group=group)
    if rows.empty:
        raise NothingToDraw(f"the results hold no runs of the group {group!r}")
    return described(rows)


def described(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the errors and the columns `label`, `family` and `layers`."""
    rows = captions.prepared(frame, several_networks=True)
    conditioned = setting(rows, "SyntheticGradients.labels", True).astype(bool)
    predicted = pd.Series(np.where(conditioned, "cDNI", "DNI"), index=rows.index)
    convolutional = rows["network"].astype(str).str.startswith("normalised_convnet")
    return rows.assign(
        label=rows["method"].map(_WITHOUT_PREDICTORS).fillna(predicted),
        family=np.where(convolutional, *FAMILIES[::-1]),
        layers=_layers(rows),
    )


def setting(frame: pd.DataFrame, name: str, default: Any) -> pd.Series:
    """Return a column of settings, with the default where a run, or the whole frame, lacks them."""
    settings = column(frame, name)
    return settings.astype(object).where(settings.notna(), default)


def by_method(rows: pd.DataFrame) -> list[Series]:
    """Return one series per existing method of the comparison, always in the same style."""
    parts = {name: select(rows, label=name) for name in METHODS}
    return [Series(name, part, METHOD_STYLES[name]) for name, part in parts.items() if len(part)]


def predictor_rate(rows: pd.DataFrame) -> pd.Series:
    """Return the (first) learning rate of each run's predictors or models; NaN if there are none."""
    columns = ("SyntheticGradients.optimizer", "WeightRegression.optimizer")
    texts = setting(rows, columns[0], None).fillna(setting(rows, columns[1], None))
    # "Adam(CosineDecay(0.003))": an optimizer's first argument is its rate, a schedule's likewise.
    return texts.astype("string").str.extract(r"\((\d[\d.e+-]*)", expand=False).astype(float)


def place(rows: pd.DataFrame) -> str:
    """Return the place of one method's predictors: "before the ReLU", or empty if they follow a block."""
    boundaries = setting(rows, "SyntheticGradients.boundaries", "").iloc[:1]
    named = re.match(r"\W*([a-z]+)_\d", "".join(boundaries))
    return CUTS.get(named[1], "") if named else ""


def measured(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows in which a diagnostic stored an array of finite numbers under this name."""
    if name not in rows:
        return rows.iloc[:0]
    finite = [np.ndim(cell) > 0 and bool(np.isfinite(np.asarray(cell, float)).all()) for cell in rows[name]]
    return rows[np.array(finite, bool)]


def _layers(rows: pd.DataFrame) -> pd.Series:
    """Count the layers, including the last one; for a convolutional network they are in its name.

    The hidden layers of other networks are a column, unless they are the same in all runs; then they are in the run's
    name.
    """
    count = rows["network"].astype(str).str.extract(r"convnet_(\d+)$", expand=False)
    hidden = setting(rows, "Network.hidden", "[]").map(lambda text: len(json.loads(text)))
    count = count.fillna((hidden + 1).where(hidden > 0).astype("Int64").astype("string"))
    return pd.to_numeric(count.fillna(rows["run"].astype(str).str.extract(r"^(\d+) layers", expand=False)))
