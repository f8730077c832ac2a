"""The only training loop: an estimator's gradients, given to any Keras optimizer, one traced call an epoch or for many.

The data sit on the device as one tensor, the order of epoch e is a stateless shuffle of (seed, e) and the steps are a
loop inside the traced function, so that no step waits for Python or for an input pipeline. All randomness is a function
of (seed, step): on the same device and number of threads, a run is reproducible to the last bit, and so is one that was
killed and resumed. (On GPUs only with `tf.config.experimental.enable_op_determinism()`: some kernels there add up in
whatever order their threads finish.)
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from common.arguments import require
from common.checkpoint import RunCheckpoint, epochs_done, run_identity
from common.data import Dataset, Split
from common.estimators.estimator import GradientEstimator
from common.tasks import Task

EVALUATION_BATCH = 1_000

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
    epoch_function = _EpochFunction(task, estimator, optimizer, batch_size, drop_remainder, xla)
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


def epoch_order(examples: int, seed: int | tf.Tensor, epoch: int | tf.Tensor) -> tf.Tensor:
    """Return the order of the examples in an epoch counted from 1: (examples,) int32, a function of (seed, epoch)."""
    # Steps are counted from 0 up, so a negative number keeps this stream apart from every estimator's.
    key = tf.stack([tf.cast(seed, tf.int64), -tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(examples), seed=key)


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
) -> Callable[[], float]:
    """Trace the loop's epoch over `split` and return a function that trains one more and returns its mean loss.

    It is what `train` calls, without evaluation, records and checkpoints: for benchmarks. With `epochs_a_call`, the
    function trains so many more, as `train` does with `record_every`, and returns the mean loss of the last.
    """
    estimator.build(task)
    optimizer.build(task.weights)
    x, y = _on_device(split)
    function = _EpochFunction(task, estimator, optimizer, batch_size, False, compiles_with_xla())
    function.trace(x, y)
    epochs = itertools.count(1, epochs_a_call)

    def run() -> float:
        first = next(epochs)
        _, _, totals = function(x, y, seed, first, first + epochs_a_call - 1, 0)
        return float(totals.loss) / len(split)

    return run


def evaluate(task: Task, split: Split) -> tuple[float, float]:
    """Return mean loss and mean metric over a split, without dropout; NaN for an empty one."""
    return evaluate_each_time(task, split)()


def evaluate_each_time(task: Task, split: Split) -> Callable[[], tuple[float, float]]:
    """Trace the evaluation of a split once; each call of what is returned evaluates the weights of that moment."""
    return _Evaluation(task, split)


def _run(history, epoch_function, dataset, epochs, record_every, seed, callback_list, diagnostics, checkpoint) -> None:
    """Train the epochs that are missing, then look at the test split once."""
    task = epoch_function.task
    x, y = _on_device(dataset.train)
    validation = _Evaluation(task, dataset.validation)
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
    if history.status == "running" and not _is_finite(task.weights):
        # The last update overflowed, and no step came after it to notice.
        history.status, history.diverged_step = "diverged", history.epochs[-1]["step"]
    if history.status != "diverged":
        test = _evaluated(_Evaluation(task, dataset.test), callback_list)
        history.epochs[-1]["test_loss"], history.epochs[-1]["test_metric"] = test
    if history.status == "running":
        history.status = "finished"
    checkpoint.save()


def _evaluated(evaluation: _Evaluation, callback_list: keras.callbacks.CallbackList) -> tuple[float, float]:
    """Evaluate between the hooks that Keras calls around an evaluation: a callback may swap in averaged weights."""
    callback_list.on_test_begin()
    loss, metric = evaluation()
    callback_list.on_test_end()
    return loss, metric


def _is_finite(tensors: Iterable[tf.Tensor]) -> bool:
    return all(bool(tf.reduce_all(tf.math.is_finite(tensor))) for tensor in tensors)


def _train_epochs(history: History, epoch_function: _EpochFunction, x, y, seed: int, first: int, last: int) -> dict:
    """Run the epochs first to last and return the last one's record; a non-finite step sets the history's status."""
    before = history.epochs[-1] if history.epochs else {"step": 0, "seconds": 0.0, "cost": 0.0}
    start = time.perf_counter()
    epoch, step, totals = epoch_function(x, y, seed, first, last, before["step"])
    totals = _Totals(*(value.numpy().item() for value in totals))
    seconds = time.perf_counter() - start
    if not totals.finite:
        history.status, history.diverged_step = "diverged", step
    return {
        "epoch": epoch,
        "step": step,
        "seconds": before["seconds"] + seconds,
        "cost": before["cost"] + (step - before["step"]) * epoch_function.estimator.cost,
        "train_loss": totals.loss / totals.examples,
        "train_metric": totals.metric / totals.examples,
    }


class _Totals(NamedTuple):
    """Sums over the steps of an epoch, carried by the traced loop."""

    steps: tf.Tensor  # int64, steps tried
    examples: tf.Tensor  # float32
    loss: tf.Tensor  # float32, sum over examples
    metric: tf.Tensor  # float32, sum over examples
    finite: tf.Tensor  # bool, false as soon as one loss or gradient was not


def _no_totals() -> _Totals:
    return _Totals(tf.constant(0, tf.int64), *[tf.constant(0.0)] * 3, tf.constant(True))


class _EpochFunction:
    """Epochs as one traced call: loops over epochs and full batches, then the smaller rest, each of static shape."""

    def __init__(self, task, estimator, optimizer, batch_size: int, drop_remainder: bool, jit_compile: bool):
        self.task, self.estimator, self.optimizer = task, estimator, optimizer
        self._batch_size, self._drop_remainder = batch_size, drop_remainder
        self._jit_compile = jit_compile

    def trace(self, x: tf.Tensor, y: tf.Tensor) -> float:
        """Trace for these data and return the seconds it took."""
        start = time.perf_counter()
        scalar = tf.TensorSpec((), tf.int64)
        if self._jit_compile:
            traced = tf.function(self._epoch, jit_compile=True, autograph=False)
            arguments = (tf.TensorSpec(x.shape[:1], tf.int32), scalar, scalar)
        else:
            traced = tf.function(self._epochs, jit_compile=False, autograph=False)
            arguments = (scalar, scalar, scalar, scalar)
        self._traced = traced.get_concrete_function(_spec(x), _spec(y), *arguments)
        return time.perf_counter() - start

    def __call__(self, x, y, seed: int, first: int, last: int, steps_before: int) -> tuple[int, int, _Totals]:
        """Run the epochs first to last, or up to a step that is not finite.

        Returns:
            The last epoch that was begun, the steps so far, and the totals of that epoch.
        """
        if not self._jit_compile:
            epoch, steps, totals = self._traced(x, y, *_int64(seed, first, last, steps_before))
            return int(epoch), int(steps), totals
        steps = steps_before
        for epoch in range(first, last + 1):
            # Outside the traced function: XLA knows no stateless shuffle.
            totals = self._traced(x, y, epoch_order(len(x), seed, epoch), *_int64(seed, steps))
            steps += int(totals.steps)
            if not totals.finite:
                break
        return epoch, steps, totals

    def _epochs(self, x, y, seed, first, last, steps_before) -> tuple[tf.Tensor, tf.Tensor, _Totals]:
        def run(epoch, steps, _):
            totals = self._epoch(x, y, epoch_order(x.shape[0], seed, epoch), seed, steps)
            return epoch + 1, steps + totals.steps, totals

        epoch, steps, totals = tf.while_loop(
            lambda epoch, _, totals: totals.finite & (epoch <= last),
            run,
            (first, steps_before, _no_totals()),
            parallel_iterations=1,  # each epoch needs the last one's weights
        )
        return epoch - 1, steps, totals

    def _epoch(self, x, y, order, seed, steps_before) -> _Totals:
        examples, size = x.shape[0], self._batch_size
        full_steps = examples // size

        def step(totals: _Totals, batch_size: int) -> _Totals:
            start = tf.cast(totals.steps, tf.int32) * size
            chosen = tf.slice(order, [start], [batch_size])  # unlike order[a:b], of static shape, which XLA needs
            step_seed = tf.stack([seed, steps_before + totals.steps])
            return self._step(tf.gather(x, chosen), tf.gather(y, chosen), step_seed, totals)

        (totals,) = tf.while_loop(
            lambda totals: totals.finite & (totals.steps < full_steps),
            lambda totals: (step(totals, size),),
            (_no_totals(),),
            parallel_iterations=1,  # each step needs the last one's weights
        )
        if self._drop_remainder or examples % size == 0:
            return totals
        return tf.cond(totals.finite, lambda: step(totals, examples % size), lambda: totals)

    def _step(self, x, y, seed, totals: _Totals) -> _Totals:
        """Estimate, then update if all is finite: a step that is not leaves the last finite weights in place."""
        estimate = self.estimator.estimate(x, y, seed)
        finite = tf.reduce_all(
            [tf.reduce_all(tf.math.is_finite(part)) for part in [estimate.loss, *estimate.gradients]]
        )
        tf.cond(finite, lambda: self._update(estimate.gradients), lambda: tf.constant(False))
        size = tf.cast(x.shape[0], tf.float32)
        metric = tf.reduce_sum(self.task.per_example_metric(y, estimate.outputs))
        loss = totals.loss + size * estimate.loss
        return _Totals(totals.steps + 1, totals.examples + size, loss, totals.metric + metric, finite)

    def _update(self, gradients: list[tf.Tensor]) -> tf.Tensor:
        self.optimizer.apply(gradients, self.task.weights)
        return tf.constant(True)


class _Evaluation:
    """Evaluation of one split, traced once; the data stay on the device."""

    def __init__(self, task: Task, split: Split):
        self._data = None
        if len(split):
            self._data = _on_device(split)
            # Concrete functions: TensorFlow's retracing warning takes one function for every network for a mistake.
            traced = tf.function(_means(task), jit_compile=False, autograph=False)
            self._function = traced.get_concrete_function(*map(_spec, self._data))

    def __call__(self) -> tuple[float, float]:
        if self._data is None:
            return math.nan, math.nan
        loss, metric = self._function(*self._data)
        return float(loss), float(metric)


def _means(task: Task) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return a function from a whole split to (mean loss, mean metric), in batches that bound the memory."""

    def means(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        examples = x.shape[0]

        def add(start, loss, metric):
            batch_y = y[start : start + EVALUATION_BATCH]
            outputs = task.predictions(x[start : start + EVALUATION_BATCH])
            loss += tf.reduce_sum(task.per_example_loss(batch_y, outputs))
            return start + EVALUATION_BATCH, loss, metric + tf.reduce_sum(task.per_example_metric(batch_y, outputs))

        start = (tf.constant(0), tf.constant(0.0), tf.constant(0.0))
        _, loss, metric = tf.while_loop(lambda i, *_: i < examples, add, start, parallel_iterations=1)
        return loss / examples, metric / examples

    return means


def _spec(value: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(value.shape, value.dtype)


def _on_device(split: Split) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.convert_to_tensor(split.x), tf.convert_to_tensor(split.y)


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


def _int64(*values: int) -> list[tf.Tensor]:
    return [tf.constant(value, tf.int64) for value in values]


def _check(epochs: int, batch_size: int, record_every: int, dataset: Dataset) -> None:
    require(epochs >= 1, "epochs", "≥ 1", epochs)
    require(record_every >= 1, "record_every", "≥ 1", record_every)
    examples = len(dataset.train)
    allowed = f"between 1 and the {examples:,} training examples of {dataset.name!r}"
    require(1 <= batch_size <= examples, "batch_size", allowed, batch_size)
