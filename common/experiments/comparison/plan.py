"""Runs of the sources: tuning trials over their ranges, then runs within a budget of arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from common.checks import require
from common.data.load import Dataset
from common.diagnostics import LayerAlignment
from common.estimators import parse as parse_estimator
from common.estimators.noise.privacy import noise_multiplier
from common.experiments.budgets import within
from common.experiments.comparison.sources import (
    ALIGNED,
    ANGLES_SUFFIX,
    BASELINE,
    SOURCES,
    ZEROTH,
    Source,
    evolution_with,
    settings,
    source,
)
from common.experiments.run import Run
from common.experiments.tuning import best_of
from common.optimizers import parse as parse_optimizer
from common.tasks.networks import Network
from common.training.best_weights import BestWeights

DELTA = 1e-5


@dataclass(frozen=True)
class Conditions:
    """The conditions that all runs of the comparison share.

    Attributes:
        data: the data set.
        network: the network to train.
        batch_size: examples per step, unless a source has its own batch size.
    """

    data: Dataset
    network: Network
    batch_size: int

    def run(
        self,
        source: Source,
        values: Mapping[str, float],
        name: str,
        *,
        group: str,
        passes: int,
        keep_best: bool = False,
    ) -> Run:
        """Return a run of a source with given settings.

        Args:
            source: a source of the table, or the user's.
            values: the values of its fields.
            name: the name of the run.
            group: the group of the run.
            passes: the budget, in passes of backpropagation over the training split, which determines the number of
                updates (see `budgets.within`). The run is recorded at least as often.
            keep_best: whether the weights of the best epoch on validation data are tested.
        """
        if source.epsilon is not None:
            # The noise that the privacy takes depends on the number of steps, and that not on the noise.
            steps = self._within(source, {"noise_multiplier": 1.0} | dict(values), name, group, passes)
            count = steps.epochs * steps.options["steps_per_epoch"]
            rate = steps.examples_per_step / len(self.data.train)
            sigma = math.ceil(1_000 * noise_multiplier(source.epsilon, rate, count, DELTA)) / 1_000
            values = {"noise_multiplier": sigma} | dict(values)
        run = self._within(source, values, name, group, passes)
        return run.but(name, callbacks=[BestWeights]) if keep_best else run

    def _within(self, source: Source, values: Mapping[str, float], name: str, group: str, passes: int) -> Run:
        estimator = parse_estimator(source.estimator.format(**values))
        optimizer = parse_optimizer(source.optimizer.format(**values))
        size = source.batch_size or self.batch_size
        network = _normalised(self.network) if source.normalised else self.network
        run = Run(name, estimator, optimizer, passes, size, group, network, self.data)
        return within(run, passes * len(self.data.train), looks=passes)


def _normalised(network: Network) -> Network:
    """Add batch norm to the hidden layers, with training=True in training, so that it normalises by the batch."""
    require(network.name == "mlp", "the network of a source with batch norm", "mlp", network.name)
    return Network("normalised_mlp", network.hidden, precision=network.precision, dropout=True)


def tuned(
    sources: Sequence[Source],
    conditions: Conditions,
    *,
    trials: int,
    passes: int,
    seeds: Sequence[int],
    experiment: str,
    store: str | None = None,
) -> tuple[dict[str, dict[str, float]], pd.DataFrame]:
    """Choose each source's settings on validation data, among equally many trials of equal arithmetic.

    Args:
        sources: sources with different names.
        conditions: the conditions of all runs.
        trials: number of trials per source, ≥ 1.
        passes: the budget of each trial; see `Conditions.run`.
        seeds: the seeds of the trials.
        experiment: see `train_all`.
        store: see `train_all`.

    Returns:
        The chosen values of each source's fields, and the frame of all trials (group "trial", with the source in the
        column `trial_of`).
    """
    tried = {source.name: settings(source, trials) for source in sources}
    planned = {
        source.name: [
            conditions.run(source, values, f"{source.name}: trial {number}", group="trial", passes=passes)
            for number, values in enumerate(tried[source.name], start=1)
        ]
        for source in sources
    }
    best, frame = best_of(
        planned, conditions.data, network=conditions.network, seeds=seeds, experiment=experiment, store=store
    )
    return {name: tried[name][number] for name, number in best.items()}, frame


def with_directions(plan: Sequence[Run]) -> list[Run]:
    """Return one run for each direction, without networks with batch norm: rows on optimizers share a direction."""
    first: dict[tuple[str, int], Run] = {}
    for run in plan:
        if not str(run.network.settings.get("name")).startswith("normalised"):
            first.setdefault((repr(run.estimator), run.examples_per_step), run)
    return list(first.values())


def with_angles(plan: Sequence[Run], batches: int) -> list[Run]:
    """Return runs of the sources of feedback in which the angles of all layers are measured after each epoch.

    Args:
        plan: the runs of the sources.
        batches: minibatches to average over, ≥ 1.
    """
    return [
        run.but(
            f"{run.name}{ANGLES_SUFFIX}", group=ALIGNED, diagnostics=[LayerAlignment(run.examples_per_step, batches)]
        )
        for run in plan
        if source(run.name).family == "feedback"
    ]


def zeroth_order(
    conditions: Conditions,
    hidden: Sequence[Sequence[int]],
    directions: Sequence[int],
    *,
    passes: int,
    trials: int,
    seeds: Sequence[int],
    experiment: str,
    store: str | None = None,
) -> tuple[list[Run], list[pd.DataFrame]]:
    """Plan evolution on all weights, and backpropagation, on mlps of several sizes, tuned like all sources.

    Args:
        conditions: data and batch size; the network's precision is kept.
        hidden: numbers of units in the hidden layers, for each network.
        directions: numbers of random directions per step.
        passes: the budget, also of the trials; see `Conditions.run`.
        trials: number of trials per source and network.
        seeds: the seeds of the trials.
        experiment: see `train_all`.
        store: see `train_all`.

    Returns:
        The runs with the chosen settings (group ZEROTH), and the frames of the trials, one per network.
    """
    rows = [SOURCES[BASELINE], *(evolution_with(count) for count in directions)]
    plan, frames = [], []
    for units in hidden:
        network = Network("mlp", units, precision=conditions.network.precision, dropout=False)
        own, label = replace(conditions, network=network), f" on {'-'.join(map(str, units))}"
        named = [replace(row, name=row.name + label) for row in rows]
        chosen, tried = tuned(named, own, trials=trials, passes=passes, seeds=seeds, experiment=experiment, store=store)
        plan += [own.run(row, chosen[row.name], row.name, group=ZEROTH, passes=passes) for row in named]
        frames.append(tried)
    return plan, frames
