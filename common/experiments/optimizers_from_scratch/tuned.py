"""The optimizers of 03_optimizers_from_scratch on standardised features, each at a cross-validated learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from common.data import Dataset, folds, load
from common.experiments.optimizers_from_scratch.run_selection import TUNED
from common.experiments.run import Run
from common.experiments.tuning import choose

if TYPE_CHECKING:
    from common.experiments.optimizers_from_scratch.parameters import OptimizersFromScratch


def tuned(
    plan: Sequence[Run], everything: Dataset, p: OptimizersFromScratch, **shared: Any
) -> tuple[list[Run], pd.DataFrame]:
    """Choose the learning rate of every method on standardised features by cross-validation.

    Each rate is tried on every fold of the training and validation examples. The runs themselves train on all of these
    examples, and nothing is held out. Methods on the shared network have equally many epochs.

    Args:
        plan: the notebook's runs; of those on standardised features the rates are tuned.
        everything: the data as published, of which nothing is held out.
        p: the notebook's parameters.
        shared: experiment, network and store, as in `choose`.

    Returns:
        The runs with the chosen rates, in the group "tuned", and the frame of all trials; both are empty without
        `trial_factors`.
    """
    if not p.trial_factors:
        return [], pd.DataFrame()
    scaled = load(p.dataset, 0, standardize=True).named(f"{p.dataset}, standardised, nothing held out")
    runs = []
    for run in plan:
        if run.data is not None and run.data.name.endswith(", standardised"):
            name = f"{TUNED}: {run.name.removesuffix(', standardised')}"
            epochs = run.epochs if run.network else p.epochs
            runs.append(run.but(name, group=TUNED, data=scaled, epochs=epochs, diagnostics=()))
    parts = folds(everything, p.folds, standardize=True)
    return choose(runs, everything, factors=p.trial_factors, seeds=[p.trial_seed], folds=parts, **shared)
