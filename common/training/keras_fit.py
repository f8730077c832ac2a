"""Keras' own `fit`, recorded as our loop records: the reference that the loop is compared with."""

from __future__ import annotations

import time
from pathlib import Path

import keras
import numpy as np

from common.data.load import Dataset
from common.tasks.networks import hash_seed
from common.tasks.task import Task
from common.training.checkpoint import RunCheckpoint, run_identity
from common.training.loop import History, evaluate


def fit(
    task: Task,
    optimizer: keras.optimizers.Optimizer,
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    checkpoint_dir: str | Path | None = None,
) -> History:
    """Train `task.network` with `keras.Model.fit` and return a history like that of `common.training.loop.train`.

    Dropout is on, as always in `fit`; XLA is off, because Keras' default would compile on CPUs, where it is slower. Its
    seconds include tracing in the first epoch, which Keras does not separate. `fit` does not stop where a loss is no
    longer finite; this function ends it after that step and says "diverged", but cannot undo the step.

    Args:
        task: network, loss and metric; its training mode is `fit`'s own, and must be on.
        optimizer: any Keras optimizer.
        dataset: its validation split is evaluated after every epoch, its test split once, after the last.
        epochs: passes over the training split, ≥ 1.
        batch_size: examples a step, ≥ 1.
        seed: sets the global seed of Keras, from which `fit` draws the order of the examples.
        checkpoint_dir: with it, a killed run goes on after its last full epoch; the order of the remaining epochs is
            then another one, because `fit` keeps no state of it: unlike our loop's, such a run is not bit-identical.

    Raises:
        ValueError: the task's training mode is off.
    """
    if not task.training_mode:
        raise ValueError("keras fit trains with dropout on: give a task with training_mode=True")
    history = History()
    optimizer.build(task.weights)
    identity = {"trainer": "keras_fit"} | run_identity(task, None, optimizer, dataset, batch_size, seed, False)
    checkpoint = RunCheckpoint(checkpoint_dir, identity, history, [], task, optimizer, None)
    checkpoint.restore(epochs)
    done = len(history.epochs)
    # Another stream for every (seed, epochs done): a run resumed in epoch 2 must not replay the order of epoch 1.
    keras.utils.set_random_seed(hash_seed(seed, done))
    task.network.compile(optimizer=optimizer, loss=task.loss, metrics=[_metric(task)], jit_compile=False)
    if history.status == "running":
        recorder = _Recorder(history, checkpoint, -(-len(dataset.train) // batch_size), epochs)
        _fit(task, dataset, batch_size, epochs, done, recorder)
        if history.status == "running":
            history.epochs[-1]["test_loss"], history.epochs[-1]["test_metric"] = evaluate(task, dataset.test)
            history.status = "finished"
        checkpoint.save()
    return history


def _fit(task: Task, dataset: Dataset, batch_size: int, epochs: int, done: int, recorder) -> None:
    validation = (dataset.validation.x, dataset.validation.y) if len(dataset.validation) else None
    task.network.fit(
        dataset.train.x,
        dataset.train.y,
        batch_size=batch_size,
        epochs=epochs,
        initial_epoch=done,
        validation_data=validation,
        validation_batch_size=1_000,
        callbacks=[recorder],
        verbose=0,
    )


def _metric(task: Task) -> keras.metrics.Metric:
    return keras.metrics.MeanMetricWrapper(fn=task.per_example_metric, name="metric")


class _Recorder(keras.callbacks.Callback):
    """Writes Keras' logs into the history; training seconds leave out the evaluation."""

    def __init__(self, history: History, checkpoint: RunCheckpoint, steps: int, epochs: int):
        super().__init__()
        self._history, self._checkpoint, self._steps, self._epochs = history, checkpoint, steps, epochs

    def on_epoch_begin(self, epoch, logs=None):
        self._start, self._evaluating = time.perf_counter(), 0.0

    def on_test_begin(self, logs=None):
        self._test_start = time.perf_counter()

    def on_test_end(self, logs=None):
        self._evaluating += time.perf_counter() - self._test_start

    def on_train_batch_end(self, batch, logs=None):
        # Keras reports the running mean of the epoch, which stays non-finite once one loss was.
        if not np.isfinite(logs["loss"]):
            self._history.status = "diverged"
            self._history.diverged_step = len(self._history.epochs) * self._steps + batch + 1
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._start - self._evaluating
        before = self._history.epochs[-1]["seconds"] if self._history.epochs else 0.0
        record = {"epoch": epoch + 1, "step": (epoch + 1) * self._steps, "seconds": before + seconds}
        record |= {
            "cost": float((epoch + 1) * self._steps),
            "train_loss": logs["loss"],
            "train_metric": logs["metric"],
        }
        record |= {
            "validation_loss": logs.get("val_loss", np.nan),
            "validation_metric": logs.get("val_metric", np.nan),
        }
        self._history.epochs.append(record)
        if self._history.status == "diverged":
            record["step"] = self._history.diverged_step
            record["cost"] = float(self._history.diverged_step)
        elif epoch + 1 < self._epochs:
            self._checkpoint.save()
