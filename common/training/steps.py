"""Runs of a given number of steps, which need not be whole epochs, with the mean loss of every few steps."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from common.checks import require_count
from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator, RunContext
from common.optimizers.schedules import bind
from common.tasks.task import Task
from common.training.budget import Budget, spent_by
from common.training.checkpoint import run_identity
from common.training.checks import check_attached, check_cost, check_kinds, check_seed
from common.training.epoch import Evaluation, epoch_order, is_finite
from common.training.history import Diagnostic, History, Moment, Record
from common.training.loop import one_step
from common.training.recording import Recording

Step = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
Batches = Iterator[tuple[tf.Tensor, tf.Tensor]]


def train_steps(
    task: Task,
    estimator: GradientEstimator,
    optimizer: keras.optimizers.Optimizer,
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int,
    steps_per_epoch: int,
    seed: int,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    diagnostics: Sequence[Diagnostic] = (),
    checkpoint_dir: str | Path | None = None,
) -> History:
    """Train `task.network` in place, on batches of the concatenated orders of `train`'s epochs.

    Here, an "epoch" is `steps_per_epoch` updates, whatever part of the data they use.

    Args:
        task: network, loss and metric.
        estimator: gives the training direction; it is built here.
        optimizer: any Keras optimizer.
        dataset: its validation and test splits are evaluated once, after the last step.
        epochs: number of "epochs", ≥ 1; each has a record.
        batch_size: examples per step, 1 to the size of the training split; no batch is smaller.
        steps_per_epoch: updates from record to record, ≥ 1.
        seed: determines the order of the examples and all randomness in network and estimator.
        callbacks: see `train`. Here, hooks for training batches are called too, with the mean loss so far, and
            `stop_training` ends the "epoch". Callbacks cannot monitor measures that need an evaluation.
        diagnostics: see `train`.
        checkpoint_dir: see `train`.

    Returns:
        A history with one record per "epoch": step, seconds, the amounts spent and train_loss. The latter is the mean
        over its steps, each before its update. The last record has validation_loss and validation_metric. In a run that
        finished, it also has test_loss and test_metric. A run is "diverged" at the first step whose loss is not finite,
        or whose update leaves weights that are not finite; these weights stay.

    Raises:
        ValueError: a value of the wrong kind or out of range; a cost that is not a number.
    """
    check_kinds(task=task, estimator=estimator, optimizer=optimizer, dataset=dataset)
    check_attached(callbacks, diagnostics, checkpoint_dir)
    check_seed(seed)
    require_count("steps_per_epoch", steps_per_epoch)
    budget, steps = Budget(dataset, epochs, batch_size, drop_remainder=True), epochs * steps_per_epoch
    estimator.build(task, RunContext(seed, steps, steps_per_epoch, batch_size, dataset.train))
    bind(optimizer, steps, steps_per_epoch)
    optimizer.build(task.weights)
    task.network.optimizer = optimizer
    check_cost(estimator, [batch_size], steps)
    recording = Recording(
        *(task, estimator, optimizer, dataset),
        seed=seed,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        each_step=True,
        identity=run_identity(task, estimator, optimizer, budget, seed) | {"steps_per_epoch": steps_per_epoch},
        evaluations=(Evaluation(task, dataset.validation), Evaluation(task, dataset.test)),
        callbacks=callbacks,
        diagnostics=diagnostics,
        checkpoint_dir=checkpoint_dir,
    )
    recording.begin()
    if recording.history.status == "running":
        step = tf.function(one_step(task, estimator, optimizer), jit_compile=False, autograph=False)
        _train(recording, step, batch_size, steps_per_epoch)
    recording.end()
    return recording.history


def _train(recording: Recording, step: Step, batch_size: int, steps_per_epoch: int) -> None:
    """Train the missing "epochs"."""
    recording.look_at_start()
    batches = _batches(recording.moment, batch_size, skip=recording.before["step"])
    while recording.runs:
        recording.begin_epoch()
        record = _train_steps(recording, step, batches, steps_per_epoch)
        record |= spent_by(recording.moment.estimator, batch_size, record["step"])
        last = recording.history.status == "diverged" or record["epoch"] == recording.moment.epochs
        recording.end_epoch(record, evaluate=last)
    recording.finish()


def _train_steps(recording: Recording, step: Step, batches: Batches, steps: int) -> Record:
    """Run this number of steps, or up to a loss that is not finite, and return their record; see `train_steps`."""
    before, start, losses = recording.before, time.perf_counter(), []
    for number in range(before["step"], before["step"] + steps):
        recording.begin_step(len(losses))
        losses.append(float(step(*next(batches), tf.constant([recording.moment.seed, number], tf.int64))))
        if recording.end_step(losses) or not math.isfinite(losses[-1]):
            break
    if not math.isfinite(losses[-1]) or not is_finite(recording.moment.task.weights):
        recording.history.status, recording.history.diverged_step = "diverged", number + 1
    seconds = before["seconds"] + time.perf_counter() - start
    losses = {"train_loss": float(np.mean(losses))}
    return {"epoch": recording.done + 1, "step": number + 1, "seconds": seconds} | losses


def _batches(moment: Moment, batch_size: int, skip: int) -> Batches:
    """Yield the batches after the first `skip`."""
    train = moment.dataset.train
    orders = (epoch_order(len(train), moment.seed, number).numpy() for number in itertools.count(1))
    examples = itertools.islice(itertools.chain.from_iterable(orders), skip * batch_size, None)
    while True:
        chosen = np.fromiter(itertools.islice(examples, batch_size), int)
        yield tf.constant(train.x[chosen]), tf.constant(train.y[chosen])
