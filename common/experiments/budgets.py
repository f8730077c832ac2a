"""Runs of equal arithmetic: a budget of gradients determines the number of updates, given a step's cost."""

from __future__ import annotations

import dataclasses
import math

from common.checks import require
from common.experiments.run import Run
from common.training.budget import Budget, spent_by


def within(run: Run, gradients: float, looks: int) -> Run:
    """Return the run with as many updates as a budget pays for, divided into epochs of equal length.

    An epoch is at most as long as a pass over the training split, and the smaller last batch of a pass is left out.
    Fewer than `looks` steps of the budget remain unspent. If a method is so cheap that it has more epochs than `looks`,
    the bound is its number of epochs.

    Args:
        run: a run with its own network and data set.
        gradients: the budget, in gradients of one example.
        looks: the smallest number of epochs, ≥ 1; the run is recorded after each.

    Raises:
        ValueError: the budget does not pay for `looks` steps of the run.
    """
    require(looks >= 1, "looks", "≥ 1", looks)
    steps = affordable_steps(run, gradients)
    size = run.examples_per_step
    if steps < looks:
        raise ValueError(
            f"{run.name!r}: {gradients:,.0f} gradients pay for {steps} steps, which must be {looks} at least: one for "
            "each time that the run is recorded"
        )
    examples = len(run.data.train)
    epochs = max(looks, math.ceil(steps * size / examples))  # none sees more than a pass
    options = dict(run.options) | {"steps_per_epoch": min(steps // epochs, examples // size)}
    return dataclasses.replace(run, epochs=epochs, options=options)


def affordable_steps(run: Run, gradients: float) -> int:
    """Return the largest number of updates whose cost, with the set-up cost, is within a budget; 0 if none.

    Args:
        run: a run with its own network and data set.
        gradients: the budget, in gradients of one example.
    """
    size = run.examples_per_step
    task, estimator, _ = run.built_for(seed=0)
    estimator.build(task, Budget(run.data, run.epochs, size).context(seed=0))
    low, high = 0, int(gradients / estimator.cost(size)) + 1
    while high - low > 1:  # the cost of so many steps grows with them
        middle = (low + high) // 2
        if spent_by(estimator, size, middle)["cost"] <= gradients:
            low = middle
        else:
            high = middle
    return low
