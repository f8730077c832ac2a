"""The only training loop: an estimator's gradients, given to any Keras optimizer, one traced call an epoch or for many.

The data sit on the device as one tensor, the order of epoch e is a stateless shuffle of (seed, e) and the steps are a
loop inside the traced function, so that no step waits for Python or for an input pipeline. All randomness is a function
of (seed, step): on the same device and number of threads, a run is reproducible to the last bit, and so is one that was
killed and resumed. (On GPUs only with `tf.config.experimental.enable_op_determinism()`: some kernels there add up in
whatever order their threads finish.)
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import tensorflow as tf

from common.checks import require
from common.data.load import Dataset, Split
from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task
from common.training.checkpoint import RunCheckpoint, epochs_done, run_identity
from common.training.epoch import EpochFunction, Evaluation, Totals, on_device

Diagnostic = Callable[[Task, Split, int, int], Mapping[str, float]]


@dataclass
class History:
    """What happened in a run.

    Attributes:
        epochs: one record for every epoch that is recorded: epoch (from 1), step (updates so far), seconds (of training
            so far, evaluation and tracing excluded), cost (minibatch gradients so far), train_loss, train_metric (means
            over that one epoch, as it went), validation_loss, validation_metric, and what the diagnostics measured; the
            last record of a finished run also has test_loss and test_metric. Missing splits give NaN.
        status: "finished", "diverged" (a loss or gradient was not finite) or "stopped" (by a callback).
        diverged_step: the update, counted from 1, that was refused because it was not finite; None otherwise.
        tracing_seconds: time to trace the epoch, once a process.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    status: str = "running"
    diverged_step: int | None = None
    tracing_seconds: float = math.nan


def train(
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
    drop_remainder: bool = False,
    jit_compile: bool | None = None,
    record_every: int = 1,
) -> History:
    """Train `task.network` in place.

    Args:
        task: network, loss and metric.
        estimator: gives the training direction; it is built here.
        optimizer: any Keras optimizer; it gets the estimate's gradients and nothing else.
        dataset: its validation split is evaluated after every recorded epoch, its test split once, after the last.
        epochs: passes over the training split, ≥ 1.
        batch_size: examples a step, 1 to the size of the training split. The last batch of an epoch is smaller where
            the division leaves a remainder, as in Keras, unless `drop_remainder`.
        seed: decides the order of the examples and all that is random in network and estimator (initial weights
            apart).
        callbacks: Keras callbacks; epoch-level hooks, those around an evaluation (so that `SwapEMAWeights` has the
            averaged weights evaluated) and `stop_training` work, batch-level hooks are not called. In their logs the
            names are Keras' own (loss, val_loss, accuracy, val_accuracy). A resumed run restores their
            counters (by class), not what else they hold: not the weights that EarlyStopping keeps for
            `restore_best_weights`, and a CSVLogger needs `append=True`.
        diagnostics: called after every recorded epoch with (task, training split, seed, epoch); their numbers join
            the record.
        checkpoint_dir: with it, every recorded epoch ends with an atomic checkpoint of network, optimizer, estimator,
            callbacks' plain counters and history, and a run that finds one goes on from there, bit-identically. A
            finished run is returned as it is, or trained on if more epochs are asked for.
        drop_remainder: leave out the smaller last batch (for estimators that divide the batch).
        jit_compile: compile the epoch with XLA; None decides by the device, see `compiles_with_xla`.
        record_every: epochs from record to record, ≥ 1; the last epoch is recorded too. Those in between run in one
            call without an evaluation, a checkpoint or a callback. Weights and records are bit for bit what they are
            with 1: it is there because small networks on small data take thousands of epochs of a millisecond each.

    Returns:
        The history. A run that is no longer finite ends with status "diverged" and keeps its curve and the weights
        from before the refused step; it is not an error.

    Raises:
        ValueError: epochs, batch size or record_every out of range, or a checkpoint of a run with other settings or
            more epochs.
    """
    _check(epochs, batch_size, record_every, dataset)
    estimator.build(task)
    optimizer.build(task.weights)
    task.network.optimizer = optimizer  # where Keras callbacks look for the learning rate
    history = History()
    callback_list = _callback_list(callbacks, task, epochs)
    identity = run_identity(task, estimator, optimizer, dataset, batch_size, seed, drop_remainder)
    checkpoint = RunCheckpoint(checkpoint_dir, identity, history, callback_list.callbacks, task, optimizer, estimator)
    xla = compiles_with_xla() if jit_compile is None else jit_compile
    epoch_function = EpochFunction(task, estimator, optimizer, batch_size, drop_remainder, xla)
    task.network.stop_training = False
    callback_list.on_train_begin()
    checkpoint.restore(epochs)
    if history.status == "running":
        _run(history, epoch_function, dataset, epochs, record_every, seed, callback_list, diagnostics, checkpoint)
    callback_list.on_train_end()
    return history


def compiles_with_xla() -> bool:
    """XLA on GPUs only: on CPUs, where Keras uses it too, it makes this project's convnets two to six times slower."""
    return bool(tf.config.list_physical_devices("GPU"))


def device() -> str:
    """Name what TensorFlow runs on, for the provenance: "GPU, NVIDIA A100" or "CPU, 2 threads"."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return f"GPU, {tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'unknown')}"
    return f"CPU, {os.environ.get('TF_NUM_INTRAOP_THREADS', os.cpu_count())} threads"


def one_step(
    task: Task, estimator: GradientEstimator, optimizer: keras.optimizers.Optimizer
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the update loop's body, from (x, y, seed) to the loss: an estimate and an update, to look at or to time.

    It runs eagerly as it is, and compiled inside `tf.function`. Unlike `train`'s step it does not check that all is
    finite. `task` must have been given to `estimator.build`.
    """
    optimizer.build(task.weights)

    def step(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        estimate = estimator.estimate(x, y, seed)
        optimizer.apply(estimate.gradients, task.weights)
        return estimate.loss

    return step


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
    """Trace the loop's epoch over `split` and return a function that trains one more and returns its mean loss.

    It is what `train` calls, without evaluation, records and checkpoints: for timing. With `epochs_a_call`, the
    function trains so many more, as `train` does with `record_every`, and returns the mean loss of the last. Without
    `count_on` the steps of each call are counted from 0: estimators whose first steps cost more do them each time.
    """
    estimator.build(task)
    optimizer.build(task.weights)
    x, y = on_device(split)
    function = EpochFunction(task, estimator, optimizer, batch_size, False, compiles_with_xla())
    function.trace(x, y)
    epoch = steps = 0

    def run() -> float:
        nonlocal epoch, steps
        epoch, done, totals = function(x, y, seed, epoch + 1, epoch + epochs_a_call, steps)
        steps = done if count_on else 0
        return float(totals.loss) / len(split)

    return run


def evaluate(task: Task, split: Split) -> tuple[float, float]:
    """Return mean loss and mean metric over a split, without dropout; NaN for an empty one."""
    return evaluate_each_time(task, split)()


def evaluate_each_time(task: Task, split: Split) -> Callable[[], tuple[float, float]]:
    """Trace the evaluation of a split once; each call of what is returned evaluates the weights of that moment."""
    return Evaluation(task, split)


def _run(history, epoch_function, dataset, epochs, record_every, seed, callback_list, diagnostics, checkpoint) -> None:
    """Train the epochs that are missing, then look at the test split once."""
    task = epoch_function.task
    x, y = on_device(dataset.train)
    validation = Evaluation(task, dataset.validation)
    history.tracing_seconds = epoch_function.trace(x, y)
    while (done := epochs_done(history.epochs)) < epochs and history.status == "running":
        # Multiples of record_every, also where a resumed run recorded in other places.
        last = min(done + record_every - done % record_every, epochs)
        callback_list.on_epoch_begin(done)
        record = _train_epochs(history, epoch_function, x, y, seed, done + 1, last)
        epoch = record["epoch"]
        record["validation_loss"], record["validation_metric"] = _evaluated(validation, callback_list)
        for diagnostic in diagnostics:
            record |= diagnostic(task, dataset.train, seed, epoch)
        history.epochs.append(record)
        callback_list.on_epoch_end(epoch - 1, _keras_logs(record, task.metric_name))
        if task.network.stop_training and history.status == "running":
            history.status = "stopped"
        if history.status == "running" and epoch < epochs:
            checkpoint.save()
    if history.status == "running" and not is_finite(task.weights):
        # The last update overflowed, and no step came after it to notice.
        history.status, history.diverged_step = "diverged", history.epochs[-1]["step"]
    if history.status != "diverged":
        test = _evaluated(Evaluation(task, dataset.test), callback_list)
        history.epochs[-1]["test_loss"], history.epochs[-1]["test_metric"] = test
    if history.status == "running":
        history.status = "finished"
    checkpoint.save()


def _evaluated(evaluation: Evaluation, callback_list: keras.callbacks.CallbackList) -> tuple[float, float]:
    """Evaluate between the hooks that Keras calls around an evaluation: a callback may swap in averaged weights."""
    callback_list.on_test_begin()
    loss, metric = evaluation()
    callback_list.on_test_end()
    return loss, metric


def is_finite(tensors: Iterable[tf.Tensor]) -> bool:
    """Say whether no value is infinite or not a number."""
    return all(bool(tf.reduce_all(tf.math.is_finite(tensor))) for tensor in tensors)


def _train_epochs(history: History, epoch_function: EpochFunction, x, y, seed: int, first: int, last: int) -> dict:
    """Run the epochs first to last and return the last one's record; a non-finite step sets the history's status."""
    before = history.epochs[-1] if history.epochs else {"step": 0, "seconds": 0.0, "cost": 0.0}
    start = time.perf_counter()
    epoch, step, totals = epoch_function(x, y, seed, first, last, before["step"])
    totals = Totals(*(value.numpy().item() for value in totals))
    seconds = time.perf_counter() - start
    if not totals.finite:
        history.status, history.diverged_step = "diverged", step
    return {
        "epoch": epoch,
        "step": step,
        "seconds": before["seconds"] + seconds,
        "cost": before["cost"] + cost_of_steps(epoch_function.estimator, before["step"], step),
        "train_loss": totals.loss / totals.examples,
        "train_metric": totals.metric / totals.examples,
    }


def cost_of_steps(estimator: GradientEstimator, before: int, step: int) -> float:
    """Return what the steps from `before` to `step` cost, in minibatch gradients, with what the first pays once."""
    return (step - before) * estimator.cost + (estimator.initial_cost if before == 0 else 0.0)


def _callback_list(callbacks, task: Task, epochs: int) -> keras.callbacks.CallbackList:
    return keras.callbacks.CallbackList(
        list(callbacks),
        model=task.network,
        epochs=epochs,
        steps=1,
        verbose=1,
        add_history=False,
        add_progbar=False,
    )


def _keras_logs(record: Mapping[str, float], metric_name: str) -> dict[str, float]:
    """Rename a record's entries to what Keras callbacks monitor by default."""
    names = {"train_loss": "loss", "train_metric": metric_name}
    names |= {"validation_loss": "val_loss", "validation_metric": f"val_{metric_name}"}
    return {names.get(key, key): value for key, value in record.items() if key != "epoch"}


def _check(epochs: int, batch_size: int, record_every: int, dataset: Dataset) -> None:
    require(epochs >= 1, "epochs", "≥ 1", epochs)
    require(record_every >= 1, "record_every", "≥ 1", record_every)
    examples = len(dataset.train)
    allowed = f"between 1 and the {examples:,} training examples of {dataset.name!r}"
    require(1 <= batch_size <= examples, "batch_size", allowed, batch_size)
