"""Runs of the sources: trials over their ranges, then what a budget of arithmetic pays for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import qmc

from common.data.load import Dataset
from common.estimators import parse as parse_estimator
from common.experiments.budgets import within
from common.experiments.comparison.sources import Source
from common.experiments.run import Run
from common.optimizers import parse as parse_optimizer
from common.settings import Configured

SAMPLING_SEED = 0


def settings(source: Source, count: int) -> list[dict[str, float]]:
    """Return so many settings of a source's fields, quasi-random and even in the logarithm, with three digits.

    They are the points of a scrambled Halton sequence (scipy.stats.qmc), the same ones each time; with more of them,
    the first ones stay.
    """
    names, points = list(source.ranges), qmc.Halton(len(source.ranges), seed=SAMPLING_SEED).random(count)
    low, high = np.log([source.ranges[name] for name in names]).T
    values = np.exp(low + points * (high - low))
    return [{name: float(f"{value:.3g}") for name, value in zip(names, row, strict=True)} for row in values]


def run_of(source: Source, values: Mapping[str, float], name: str, group: str, batch_size: int) -> Run:
    """Return a run of a source with given values of its fields, of one epoch."""
    texts = {part: getattr(source, part).format(**values) for part in ("estimator", "optimizer")}
    estimator, optimizer = parse_estimator(texts["estimator"]), parse_optimizer(texts["optimizer"])
    return Run(name, estimator, optimizer, 1, source.batch_size or batch_size, group=group)


def trials(
    source: Source, count: int, *, data: Dataset, network: Configured, batch_size: int, passes: float
) -> list[Run]:
    """Return the trials of a source, each of the budget's arithmetic.

    Args:
        source: of the table, or the user's.
        count: how many, ≥ 1.
        data: of all runs.
        network: of all runs.
        batch_size: examples a step, unless the source has its own.
        passes: the budget of each, in passes of backpropagation over the training split.
    """
    planned = []
    for number, values in enumerate(settings(source, count), start=1):
        run = run_of(source, values, f"{source.name}, trial {number}", "trial", batch_size)
        planned.append(of_budget(run, data, network, passes))
    return planned


def of_budget(run: Run, data: Dataset, network: Configured, passes: float) -> Run:
    """Return a run with the arithmetic of so many passes of backpropagation, recorded as often at least."""
    completed = run.but(run.name, data=data, network=network)
    return within(completed, passes * len(data.train), looks=math.ceil(passes))


def chosen(
    best: Mapping[str, int],
    tried: Mapping[str, Sequence[Run]],
    group: str,
    passes: float,
    data: Dataset,
    network: Configured,
) -> list[Run]:
    """Return each source's run with the settings of its best trial and another budget."""
    return [
        of_budget(tried[name][number].but(f"{name}", group=group, options={}), data, network, passes)
        for name, number in best.items()
    ]
