"""Epochs and evaluations, each one traced call: what the training loop runs on the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import keras
import tensorflow as tf

from common.data.load import Split
from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task
from common.training.budget import Budget
from common.training.checks import check_estimate

EVALUATION_BATCH = 1_000


def epoch_order(examples: int, seed: int | tf.Tensor, epoch: int | tf.Tensor) -> tf.Tensor:
    """Return the order of the examples in an epoch counted from 1: (examples,) int32, a function of (seed, epoch)."""
    # Steps are counted from 0 up, so a negative number keeps this stream apart from every estimator's.
    key = tf.stack([tf.cast(seed, tf.int64), -tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(examples), seed=key)


def on_device(split: Split) -> tuple[tf.Tensor, tf.Tensor]:
    """Return all inputs and targets of a split as two tensors."""
    return tf.convert_to_tensor(split.x), tf.convert_to_tensor(split.y)


class Totals(NamedTuple):
    """Sums over the steps of an epoch, carried by the traced loop."""

    steps: tf.Tensor  # int64, steps tried
    examples: tf.Tensor  # float32
    loss: tf.Tensor  # float32, sum over examples
    metric: tf.Tensor  # float32, sum over examples
    finite: tf.Tensor  # bool, false as soon as one loss or gradient was not


def _no_totals() -> Totals:
    return Totals(tf.constant(0, tf.int64), *[tf.constant(0.0)] * 3, tf.constant(True))


class EpochFunction:
    """Epochs as one traced call: loops over epochs and full batches, then the smaller rest, each of static shape."""

    def __init__(
        self,
        task: Task,
        estimator: GradientEstimator,
        optimizer: keras.optimizers.Optimizer,
        budget: Budget,
        jit_compile: bool,
    ):
        self.task, self.estimator, self.optimizer = task, estimator, optimizer
        self._budget, self._jit_compile = budget, jit_compile

    def trace(self, x: tf.Tensor, y: tf.Tensor) -> float:
        """Trace for these data, make it ready to run, and return the seconds it took."""
        start = time.perf_counter()
        scalar = tf.TensorSpec((), tf.int64)
        if self._jit_compile:
            traced = tf.function(self._epoch, jit_compile=True, autograph=False)
            arguments = (tf.TensorSpec(x.shape[:1], tf.int32), scalar, scalar)
        else:
            traced = tf.function(self._epochs, jit_compile=False, autograph=False)
            arguments = (scalar, scalar, scalar, scalar)
        self._traced = traced.get_concrete_function(_spec(x), _spec(y), *arguments)
        if not self._jit_compile:
            self._traced(x, y, *_int64(0, 1, 0, 0))  # no epoch: TensorFlow optimises the graph when it is first called
        return time.perf_counter() - start

    def __call__(self, x, y, seed: int, first: int, last: int, steps_before: int) -> tuple[int, int, Totals]:
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

    def _epochs(self, x, y, seed, first, last, steps_before) -> tuple[tf.Tensor, tf.Tensor, Totals]:
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

    def _epoch(self, x, y, order, seed, steps_before) -> Totals:
        size, full_steps, rest = self._budget.batch_size, self._budget.full_steps_per_epoch, self._budget.rest

        def step(totals: Totals, batch_size: int) -> Totals:
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
        if not rest:
            return totals
        return tf.cond(totals.finite, lambda: step(totals, rest), lambda: totals)

    def _step(self, x, y, seed, totals: Totals) -> Totals:
        """Estimate, then update if all is finite: a step that is not leaves the last finite weights in place."""
        estimate = self.estimator.estimate(x, y, seed)
        check_estimate(estimate, self.estimator, self.task)  # once, while it is traced
        finite = tf.reduce_all(
            [tf.reduce_all(tf.math.is_finite(part)) for part in [estimate.loss, *estimate.gradients]]
        )
        tf.cond(finite, lambda: self._update(estimate.gradients), lambda: tf.constant(False))
        size = tf.cast(x.shape[0], tf.float32)
        metric = tf.reduce_sum(self.task.per_example_metric(y, estimate.outputs))
        loss = totals.loss + size * estimate.loss
        return Totals(totals.steps + 1, totals.examples + size, loss, totals.metric + metric, finite)

    def _update(self, gradients: list[tf.Tensor]) -> tf.Tensor:
        self.optimizer.apply(gradients, self.task.weights)
        return tf.constant(True)


def is_finite(tensors: Iterable[tf.Tensor]) -> bool:
    """Say whether no value is infinite or not a number.

    Example:
        >>> is_finite([tf.zeros([2])]), is_finite([tf.zeros([2]), tf.constant([1.0, float("nan")])])
        (True, False)
    """
    return all(bool(tf.reduce_all(tf.math.is_finite(tensor))) for tensor in tensors)


class Evaluation:
    """Evaluation of one split, traced by the first call; the data stay on the device."""

    def __init__(self, task: Task, split: Split):
        self._task, self._split, self._function = task, split, None

    def __call__(self) -> tuple[float, float]:
        """Return mean loss and mean metric with the weights of this moment; NaN for an empty split."""
        if not len(self._split):
            return math.nan, math.nan
        if self._function is None:
            self._data = on_device(self._split)
            # Concrete functions: TensorFlow's retracing warning takes one function for every network for a mistake.
            traced = tf.function(_means(self._task), jit_compile=False, autograph=False)
            self._function = traced.get_concrete_function(*map(_spec, self._data))
        loss, metric = self._function(*self._data)
        return float(loss), float(metric)


def evaluate(task: Task, split: Split) -> tuple[float, float]:
    """Return mean loss and mean metric over a split, without dropout; NaN for an empty one.

    Example:
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> task = SaddleSurface(mu=1.0, start=(1.0, 0.0)).task(examples(), seed=0)
        >>> evaluate(task, examples().train)  # mean of u² and μ/2, as loss and as metric
        (0.75, 0.75)
    """
    return Evaluation(task, split)()


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
        if examples <= EVALUATION_BATCH:  # a loop takes three times as long to trace
            _, loss, metric = add(*start)
        else:
            _, loss, metric = tf.while_loop(lambda i, *_: i < examples, add, start, parallel_iterations=1)
        return loss / examples, metric / examples

    return means


def _spec(value: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(value.shape, value.dtype)


def _int64(*values: int) -> list[tf.Tensor]:
    return [tf.constant(value, tf.int64) for value in values]
