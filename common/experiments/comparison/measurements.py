"""Measurements of 08_comparison on one step of each source: seconds, taken in turns, and memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from common.data.load import Dataset, Split
from common.experiments.comparison.sources import EQUAL
from common.experiments.run import Run
from common.experiments.tuning import time_in_turn
from common.training.memory import StepMemory, step_memory


def with_measured_steps(
    frame: pd.DataFrame, plan: Sequence[Run], *, examples: int, rounds: int, seed: int
) -> pd.DataFrame:
    """Measure a step of every run of equal arithmetic, and add the measurements to its rows.

    Args:
        frame: rows of these runs, and of others, which get no value.
        plan: runs with their own network and data set.
        examples: number of examples, from the start of the training split, in a timed epoch.
        rounds: ≥ 0, the number of timed epochs per run, taken in turns; 0: no seconds.
        seed: the seed of every run.

    Returns:
        The frame with three more columns. `example_seconds` is the median over the rounds, divided by the number of
        examples. `step_memory` is the largest number of bytes that a step holds while it runs. `kept_memory` is the
        number of bytes that estimator and optimizer keep between steps. Neither contains the network's weights; see
        `training.memory`.
    """
    runs = [run for run in plan if run.group == EQUAL]
    timed = [run.but(run.name, data=_first(run.data, examples)) for run in runs]
    seconds = time_in_turn(timed, runs[0].data, network=runs[0].network, seed=seed, epochs=rounds)
    memory = {run.name: _memory(run, seed) for run in runs}
    columns = {
        "example_seconds": {name: float(np.median(taken)) / examples for name, taken in seconds.items()},
        "step_memory": {name: float(counted.temporary) for name, counted in memory.items()},
        "kept_memory": {name: float(counted.state) for name, counted in memory.items()},
    }
    measured = frame["run"].where(frame["group"] == EQUAL)
    return frame.assign(**{name: measured.map(values).astype(float) for name, values in columns.items() if values})


def _memory(run: Run, seed: int) -> StepMemory:
    return step_memory(*run.built_for(seed), run.data.train, batch_size=run.examples_per_step, seed=seed)


def _first(data: Dataset, examples: int) -> Dataset:
    return dataclasses.replace(data, train=Split(data.train.x[:examples], data.train.y[:examples]))
