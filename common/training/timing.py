"""Comparable seconds: epochs of all methods timed in turn, and the clock that runs get from them.

The seconds that a run records depend on its machine's load. Of two runs, the one that shared its machine with another
program looks slower. Epochs that alternate in one process are slowed down alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.data.load import Dataset, Split
from common.estimators.estimator import GradientEstimator
from common.optimizers.schedules import bind
from common.tasks.task import Task
from common.training.bars import progress_bar
from common.training.budget import Budget
from common.training.epoch import EpochFunction, Progress, on_device
from common.training.loop import compiles_with_xla

TIMED_EPOCHS = 100


def interleaved_runs(candidates: Mapping[str, Callable[[], Any]], rounds: int) -> Iterator[tuple[str, float, Any]]:
    """Run every candidate in every round; yield, after each run, its name, its seconds and its result.

    Args:
        candidates: maps each name to a function that does the work and waits for its end.
        rounds: number of rounds, ≥ 1.
    """
    with progress_bar([*candidates.items()] * rounds, unit="run") as bar:
        for name, run in bar:
            bar.set_description(name, refresh=False)
            start = time.perf_counter()
            returned = run()
            yield name, time.perf_counter() - start, returned


def timed_in_turn(epochs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Time an epoch of every method in every round.

    Args:
        epochs: maps each method to a function that trains one more epoch and returns its mean loss, such as the result
            of `training.one_epoch`.
        rounds: number of rounds, ≥ 1. The first is timed too: traced functions need no warm-up, and a method's first
            steps may cost more than its others.

    Returns:
        Seconds by method, one value per round; NaN for an epoch that diverged, because it ends early.
    """
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for name, taken, loss in interleaved_runs(epochs, rounds):
        seconds[name].append(taken if math.isfinite(loss) else math.nan)
    return seconds


def seconds_at(steps: Sequence[float] | np.ndarray, timed: Sequence[float], steps_an_epoch: int) -> np.ndarray:
    """Return the time, in seconds, at which a method has made the given numbers of steps.

    Args:
        steps: numbers of steps, (n,), ≥ 0.
        timed: seconds of the method's first epochs, in order, not empty. Later epochs get the median of all timed
            epochs but the first; a single timed epoch gives its own seconds.
        steps_an_epoch: steps of a timed epoch, ≥ 1.

    Returns:
        Seconds, (n,). Within an epoch, they are proportional to the steps.

    Example:
        >>> seconds_at([0, 5, 10, 20, 30], timed=[4.0, 2.0], steps_an_epoch=10).tolist()  # the third takes two again
        [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    later = float(np.median(timed[1:] or timed))
    ends = np.cumsum([0.0, *timed])
    known = steps_an_epoch * np.arange(len(ends))
    steps = np.asarray(steps, float)
    return np.interp(steps, known, ends) + later / steps_an_epoch * np.maximum(0.0, steps - known[-1])


def one_epoch(
    task: Task,
    estimator: GradientEstimator,
    optimizer: keras.optimizers.Optimizer,
    split: Split,
    *,
    batch_size: int,
    seed: int,
    epochs_a_call: int = 1,
    count_on: bool = True,
) -> Callable[[], float]:
    """Trace the loop's epoch over `split`; return a function that trains one more epoch and returns its mean loss.

    The function is for timing. It makes the same call as `train`, without evaluation, records and checkpoints. With
    `epochs_a_call`, each call trains this number of epochs, as `train` does with `record_every`, and returns the mean
    loss of the last. Without `count_on`, each call counts its steps from 0. Estimators whose first steps cost more then
    repeat them in each call. A relative schedule gets a run of `TIMED_EPOCHS` epochs, which changes no time.
    """
    dataset = Dataset("timed", "classification", split, split, split, None, "", "")
    budget = Budget(dataset, TIMED_EPOCHS, batch_size)
    estimator.build(task, budget.context(seed))
    bind(optimizer, budget.steps, budget.steps_per_epoch)
    optimizer.build(task.weights)
    x, y = on_device(split)
    function = EpochFunction(task, estimator, optimizer, budget, compiles_with_xla())
    function.trace(x, y)
    epoch = steps = 0

    def run() -> float:
        nonlocal epoch, steps
        progress = function(x, y, seed, epoch + epochs_a_call, Progress.before(epoch + 1, steps))
        epoch, steps = int(progress.epoch), int(progress.steps) if count_on else 0
        return float(progress.totals.loss) / len(split)

    return run


def seconds_per_step(
    ways: Mapping[str, Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]],
    epoch: Callable[[], float],
    split: Split,
    batch_size: int,
    steps: int,
) -> dict[str, float]:
    """Time the update loop in several ways, from single steps called by Python to an epoch in one call.

    Args:
        ways: maps each name to a function of `one_step`, eager or compiled.
        epoch: a function of `one_epoch`, over the same split and batch size; it is called once before it is timed.
        split: its first batch is used for every step.
        batch_size: examples per step.
        steps: number of steps to average over, ≥ 1.

    Returns:
        Seconds: `{way}_first_call_seconds` and `{way}_step_seconds` for each way, and `whole_epoch_step_seconds`.
    """
    x, y = tf.constant(split.x[:batch_size]), tf.constant(split.y[:batch_size])
    seconds = {}
    for way, step in ways.items():
        begin = time.perf_counter()
        float(step(x, y, tf.constant([0, 0], tf.int64)))
        seconds[f"{way}_first_call_seconds"] = time.perf_counter() - begin
        begin = time.perf_counter()
        for number in range(steps):
            loss = step(x, y, tf.constant([0, number], tf.int64))
        float(loss)  # waits for the device
        seconds[f"{way}_step_seconds"] = (time.perf_counter() - begin) / steps
    epoch()
    begin = time.perf_counter()
    epoch()
    return seconds | {"whole_epoch_step_seconds": (time.perf_counter() - begin) / math.ceil(len(split) / batch_size)}
