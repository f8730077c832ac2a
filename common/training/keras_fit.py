"""Keras' own `fit`, recorded like our loop: the reference with which the loop is compared."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

from common.data.load import Dataset
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimator
from common.optimizers.schedules import bind
from common.tasks.networks import hash_seed
from common.tasks.task import Task
from common.training.budget import Budget
from common.training.callbacks import check_monitors, measures, with_averages
from common.training.checkpoint import RunCheckpoint, run_identity
from common.training.checks import check_attached, check_kinds, check_seed
from common.training.epoch import evaluate
from common.training.history import Diagnostic, History, Moment, epochs_done, measured, measured_at_start
from common.training.recording import copies_of


def fit(
    task: Task,
    estimator: GradientEstimator,
    optimizer: keras.optimizers.Optimizer,
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    diagnostics: Sequence[Diagnostic] = (),
    checkpoint_dir: str | Path | None = None,
) -> History:
    """Train `task.network` with `keras.Model.fit` and return a history like that of `common.training.loop.train`.

    Dropout is on, as always in `fit`. XLA is off, because Keras' default would compile on CPUs, where it is slower. The
    seconds include tracing in the first epoch, which Keras does not separate. `fit` does not stop when a loss is no
    longer finite. This function ends it after that step, with the status "diverged", but cannot undo the step.

    Args:
        task: network, loss and metric; its training mode must be on, as `fit` always has it.
        estimator: `Backpropagation()`, the only method of `fit`.
        optimizer: any Keras optimizer.
        dataset: its validation split is evaluated after every epoch, its test split once, after the last.
        epochs: passes over the training split, ≥ 1.
        batch_size: examples per step, ≥ 1.
        seed: sets the global seed of Keras, from which `fit` draws the order of the examples.
        callbacks: Keras callbacks; all their hooks are called, and logs have the same names as in `train`.
        diagnostics: see `train`.
        checkpoint_dir: if given, a killed run continues after its last full epoch. The remaining epochs then have
            another order of examples, because `fit` keeps no state of it. Unlike our loop's, such a run is not
            bit-identical.

    Raises:
        ValueError: the task's training mode is off, or the estimator is not `Backpropagation`, or a callback monitors a
            name that is not in the logs; see `train`.
    """
    check_kinds(task=task, estimator=estimator, optimizer=optimizer, dataset=dataset)
    _refuse_what_fit_does_not(task, estimator)
    check_attached(callbacks, diagnostics, checkpoint_dir)
    check_seed(seed)
    budget, history = Budget(dataset, epochs, batch_size), History.of(task, estimator, seed)
    callbacks = with_averages(callbacks, optimizer)
    check_monitors(callbacks, measures(task, dataset))
    estimator.build(task, budget.context(seed))
    bind(optimizer, budget.steps, budget.steps_per_epoch)
    optimizer.build(task.weights)
    identity = {"trainer": "keras_fit"} | run_identity(task, estimator, optimizer, budget, seed)
    checkpoint = RunCheckpoint(checkpoint_dir, identity, history, callbacks, task, optimizer, estimator)
    checkpoint.restore(epochs)
    done = epochs_done(history.epochs)
    # Every (seed, epochs done) has its own stream: a run resumed in epoch 2 must not repeat the order of epoch 1.
    keras.utils.set_random_seed(hash_seed(seed, done))
    task.network.compile(optimizer=optimizer, loss=task.loss, metrics=[_metric(task)], jit_compile=False)
    if history.status == "running":
        moment = Moment(task, estimator, optimizer, dataset, seed, done, epochs)
        recorder = _Recorder(history, checkpoint, budget, moment, copies_of(diagnostics))
        if not history.epochs:
            history.epochs += measured_at_start(recorder.diagnostics, moment)
        _fit(task, budget, done, [*callbacks, recorder])
        if history.status != "diverged":
            history.epochs[-1]["test_loss"], history.epochs[-1]["test_metric"] = evaluate(task, dataset.test)
        if history.status == "running":
            history.status = "finished"
        checkpoint.save()
    return history


def _refuse_what_fit_does_not(task: Task, estimator: GradientEstimator) -> None:
    if not task.training_mode:
        raise ValueError("keras fit trains with dropout on: give a task with training_mode=True")
    if type(estimator) is not Backpropagation:
        raise ValueError(f"keras fit trains by backpropagation: estimator must be Backpropagation(), got {estimator!r}")


def _fit(task: Task, budget: Budget, done: int, callbacks: list[keras.callbacks.Callback]) -> None:
    dataset = budget.dataset
    validation = (dataset.validation.x, dataset.validation.y) if len(dataset.validation) else None
    task.network.fit(
        dataset.train.x,
        dataset.train.y,
        batch_size=budget.batch_size,
        epochs=budget.epochs,
        initial_epoch=done,
        validation_data=validation,
        validation_batch_size=1_000,
        callbacks=callbacks,
        verbose=0,
    )


def _metric(task: Task) -> keras.metrics.Metric:
    return keras.metrics.MeanMetricWrapper(fn=task.per_example_metric, name=task.metric_name)


class _Recorder(keras.callbacks.Callback):
    """Callback that writes Keras' logs into the history; training seconds exclude the evaluation."""

    def __init__(
        self,
        history: History,
        checkpoint: RunCheckpoint,
        budget: Budget,
        moment: Moment,
        diagnostics: Sequence[Diagnostic],
    ):
        super().__init__()
        self._history, self._checkpoint, self._budget = history, checkpoint, budget
        self._moment, self.diagnostics = moment, diagnostics

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - Keras' signature
        self._start, self._evaluating = time.perf_counter(), 0.0

    def on_test_begin(self, logs=None):  # noqa: ARG002 - Keras' signature
        self._test_start = time.perf_counter()

    def on_test_end(self, logs=None):  # noqa: ARG002 - Keras' signature
        self._evaluating += time.perf_counter() - self._test_start

    def on_train_batch_end(self, batch, logs=None):
        # Keras reports the running mean of the epoch, which stays non-finite after one non-finite loss.
        if not np.isfinite(logs["loss"]):
            self._history.status = "diverged"
            epochs = epochs_done(self._history.epochs)
            self._history.diverged_step = epochs * self._budget.steps_per_epoch + batch + 1
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._start - self._evaluating
        history, before = self._history, self._history.epochs[-1]["seconds"] if self._history.epochs else 0.0
        step = history.diverged_step or (epoch + 1) * self._budget.steps_per_epoch
        record = {"epoch": epoch + 1, "step": step, "seconds": before + seconds}
        record |= self._budget.spent(self._moment.estimator, step)
        metric = self._moment.task.metric_name
        record |= {"train_loss": logs["loss"], "train_metric": logs[metric]}
        record |= {
            "validation_loss": logs.get("val_loss", np.nan),
            "validation_metric": logs.get(f"val_{metric}", np.nan),
        }
        record |= measured(self.diagnostics, self._moment._replace(epoch=epoch + 1), record)
        history.epochs.append(record)
        if history.status == "running" and self.model.stop_training:
            history.status = "stopped"
        elif history.status == "running" and epoch + 1 < self._budget.epochs:
            self._checkpoint.save()
