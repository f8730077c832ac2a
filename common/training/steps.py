"""Runs of so many steps, shorter than an epoch or not whole ones, with the loss of a few steps at a time."""

from __future__ import annotations

import itertools
import math
import time

import keras
import numpy as np
import tensorflow as tf

from common.checks import require
from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task
from common.training.epoch import Evaluation, epoch_order
from common.training.loop import History, cost_of_steps, is_finite, one_step


def train_steps(
    task: Task,
    estimator: GradientEstimator,
    optimizer: keras.optimizers.Optimizer,
    dataset: Dataset,
    *,
    steps: int,
    batch_size: int,
    record_every: int,
    seed: int,
) -> History:
    """Train `task.network` in place, on batches in the order of `training.train`'s epochs put behind one another.

    Args:
        task: network, loss and metric.
        estimator: gives the training direction; it is built here.
        optimizer: any Keras optimizer.
        dataset: its validation and test splits are evaluated once, after the last step.
        steps: ≥ 1, a multiple of record_every.
        batch_size: examples a step, 1 to the size of the training split.
        record_every: steps from record to record, ≥ 1.
        seed: decides the order of the examples and all that is random in network and estimator.

    Returns:
        A history with a record for every so many steps, its `epoch` counting them from 1: step, seconds, cost and
        train_loss, the mean over these steps, each before its update. The last record has validation_loss,
        validation_metric, and of a run that finished test_loss and test_metric. A run is "diverged" with the first
        step whose loss is not finite, or whose update leaves weights that are not: these weights stay.

    Raises:
        ValueError: a value out of range.
    """
    require(record_every >= 1, "record_every", "≥ 1", record_every)
    allowed = f"≥ 1 and a multiple of record_every, {record_every}"
    require(steps >= 1 and steps % record_every == 0, "steps", allowed, steps)
    allowed = f"from 1 to the {len(dataset.train):,} training examples"
    require(1 <= batch_size <= len(dataset.train), "batch_size", allowed, batch_size)
    estimator.build(task)
    step = tf.function(one_step(task, estimator, optimizer), jit_compile=False, autograph=False)
    orders = (epoch_order(len(dataset.train), seed, number).numpy() for number in itertools.count(1))
    examples = itertools.chain.from_iterable(orders)
    history, losses, start = History(), [], time.perf_counter()
    for number in range(steps):
        chosen = np.fromiter(itertools.islice(examples, batch_size), int)
        batch = tf.constant(dataset.train.x[chosen]), tf.constant(dataset.train.y[chosen])
        losses.append(float(step(*batch, tf.constant([seed, number], tf.int64))))
        recorded = (number + 1) % record_every == 0
        if not math.isfinite(losses[-1]) or (recorded and not is_finite(task.weights)):
            history.status, history.diverged_step = "diverged", number + 1
        if recorded or history.status == "diverged":
            record = {"epoch": len(history.epochs) + 1, "step": number + 1, "seconds": time.perf_counter() - start}
            record |= {"cost": cost_of_steps(estimator, 0, number + 1)}
            history.epochs.append(record | {"train_loss": float(np.mean(losses))})
            losses = []
        if history.status == "diverged":
            break
    last = history.epochs[-1]
    last["validation_loss"], last["validation_metric"] = Evaluation(task, dataset.validation)()
    if history.status != "diverged":
        history.status = "finished"
        last["test_loss"], last["test_metric"] = Evaluation(task, dataset.test)()
    return history
