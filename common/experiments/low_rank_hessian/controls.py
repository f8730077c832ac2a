"""Runs of 05_low_rank_hessian beside its methods: controls, and some methods again with large batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from keras.optimizers import SGD

from common.data.load import Dataset
from common.diagnostics import TestCurve
from common.estimators import ArmijoLineSearch
from common.experiments.run import Run
from common.experiments.tuning import choose
from common.optimizers import ExponentialDecay
from common.results import combine

if TYPE_CHECKING:
    from common.experiments.low_rank_hessian.parameters import LowRankHessian

NEWTON_CG = "Newton, conjugate gradients"
LARGE = ("saddle-free Newton", "saddle-free Newton, Gauss-Newton", "Adam", "gradient descent, momentum")


def controls(newton: Run) -> list[Run]:
    """Return the run with shuffled eigenvectors, and its optimizer on the inner estimator's gradient.

    Args:
        newton: a run of `SaddleFreeNewton`.
    """
    runs = [newton.with_settings(f"{newton.name}, shuffled", shuffled=True)]
    runs += [newton.but("Adam at its rate", estimator=newton.estimator.inner)]
    return [run.but(run.name, group="control", diagnostics=[TestCurve()]) for run in runs]


def with_line_search(newton_cg: Run, rate_decay: float) -> Run:
    """Return a run of `NewtonCG` whose steps a line search shortens; their learning rate begins at 1.

    Args:
        newton_cg: the run without a line search.
        rate_decay: factor on the rate after each epoch, as for the methods.
    """
    searching = newton_cg.with_settings(f"{newton_cg.name}, line search", line_search=ArmijoLineSearch())
    return searching.but(searching.name, optimizer=SGD(ExponentialDecay(1.0, per_epoch=rate_decay)), group="control")


def tuned(
    methods: Sequence[Run], images: Dataset, p: LowRankHessian, **shared: Any
) -> tuple[list[Run], list[Run], pd.DataFrame]:
    """Tune the methods and a line search, then some methods again with large batches, with equally many trials of each.

    With large batches, the same factors multiply the tuned rates. Names begin with "large batch: ".

    Args:
        methods: all methods, among them NEWTON_CG and those of LARGE.
        images: as in `choose`.
        p: the notebook's parameters.
        shared: network, experiment and store, as in `choose`.

    Returns:
        The methods, then the line search and the runs with large batches, with the chosen rates, and the frame of all
        trials.
    """
    trial: dict[str, Any] = shared | {"seeds": [p.trial_seed], "epochs": p.sweep_epochs}
    (newton_cg,) = (run for run in methods if run.name == NEWTON_CG)
    plan = [*methods, with_line_search(newton_cg, p.rate_decay)]
    (*chosen, searching), trials = choose(plan, images, factors=p.trial_factors, **trial)
    if not p.large_batch_size:
        return chosen, [searching], trials
    many = {"batch_size": p.large_batch_size, "group": "large batch", "diagnostics": [TestCurve()]}
    by_name = {run.name: run for run in chosen}
    again = [by_name[name].but(f"large batch: {name}", **many) for name in LARGE]
    large, tried = choose(again, images, factors=p.trial_factors, **trial)
    return chosen, [searching, *large], combine([trials, tried])
