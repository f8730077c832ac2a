"""Epochs and evaluations as traced calls: the part of the training loop that runs on the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import keras
import tensorflow as tf

from common.checks import require
from common.data.load import Split
from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task
from common.training.budget import Budget
from common.training.checks import check_estimate

EVALUATION_BATCH = 1_000
# Intended duration of one call of the traced loop; Python checks for interrupts between calls.
CALL_SECONDS = 0.5
_FASTER = 8  # largest ratio of the next call's steps to the last call's


def epoch_order(examples: int, seed: int | tf.Tensor, epoch: int | tf.Tensor) -> tf.Tensor:
    """Return the order of the examples in an epoch counted from 1: (examples,) int32, a function of (seed, epoch)."""
    # Steps are counted from 0 up, so a negative number separates this stream from every estimator's.
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
    finite: tf.Tensor  # bool, false after the first loss or gradient that is not finite


def _no_totals() -> Totals:
    return Totals(tf.constant(0, tf.int64), *[tf.constant(0.0)] * 3, tf.constant(True))


class Progress(NamedTuple):
    """The progress of the traced loop between two of its calls.

    Attributes:
        epoch: the epoch that was begun last, counted from 1; int64.
        steps: steps of all epochs so far; int64.
        totals: sums over the steps of that epoch so far.
    """

    epoch: tf.Tensor
    steps: tf.Tensor
    totals: Totals

    @classmethod
    def before(cls, epoch: int, steps: int) -> Progress:
        """Return the progress at the beginning of an epoch, after the given number of steps."""
        return cls(*_int64(epoch, steps), _no_totals())


class EpochFunction:
    """Epochs as traced calls: loops over epochs and full batches, then the smaller last batch, with static shapes.

    A call ends after about `CALL_SECONDS`, at any step of an epoch, and the next call continues there. The results do
    not depend on where calls end.
    """

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
        self._limit = 1  # steps of the next call

    def trace(self, x: tf.Tensor, y: tf.Tensor) -> float:
        """Trace the epochs for these data, prepare the trace to run, and return the seconds of both."""
        start = time.perf_counter()
        scalar = tf.TensorSpec((), tf.int64)
        if self._jit_compile:
            traced = tf.function(self._epoch, jit_compile=True, autograph=False)
            arguments = (tf.TensorSpec(x.shape[:1], tf.int32), scalar, scalar)
        else:
            traced = tf.function(self._epochs, jit_compile=False, autograph=False)
            arguments = (scalar, scalar, scalar, scalar)
        totals = tf.nest.map_structure(_spec, _no_totals())
        self._traced = traced.get_concrete_function(_spec(x), _spec(y), *arguments, scalar, totals)
        if not self._jit_compile:
            self._call(x, y, 0, 0, 0, Progress.before(1, 0))  # no step: TensorFlow optimises in the first call
        return time.perf_counter() - start

    def __call__(
        self, x, y, seed: int, last: int, progress: Progress, interrupted: Callable[[], bool] = lambda: False
    ) -> Progress:
        """Continue from `progress` to the end of the epoch `last`, a step that is not finite, or an interrupt.

        Returns:
            The progress after that.
        """
        while self._goes_on(progress, last) and not interrupted():
            before, start = int(progress.steps), time.perf_counter()
            progress = self._call(x, y, seed, last, self._limit, progress)
            per_second = (int(progress.steps) - before) / (time.perf_counter() - start)
            self._limit = max(1, min(_FASTER * self._limit, int(CALL_SECONDS * per_second)))
        return progress

    def _goes_on(self, progress: Progress, last: int) -> bool | tf.Tensor:
        epoch, _, totals = progress
        return totals.finite & ((epoch < last) | (totals.steps < self._budget.steps_per_epoch))

    def _call(self, x, y, seed: int, last: int, limit: int, progress: Progress) -> Progress:
        if not self._jit_compile:
            return Progress(*self._traced(x, y, *_int64(seed, last, limit), *progress))
        epoch, steps, totals = self._epoch_begun(progress)
        before, order = steps - totals.steps, epoch_order(len(x), seed, epoch)  # XLA has no stateless shuffle
        totals = self._traced(x, y, order, *_int64(seed, before, limit), totals)
        return Progress(epoch, before + totals.steps, totals)

    def _epoch_begun(self, progress: Progress) -> Progress:
        """Begin the next epoch if the current one has all its steps."""
        epoch, steps, totals = progress
        complete = totals.steps == self._budget.steps_per_epoch
        totals = Totals(*(tf.where(complete, zero, sum_) for zero, sum_ in zip(_no_totals(), totals, strict=True)))
        return Progress(epoch + tf.cast(complete, tf.int64), steps, totals)

    def _epochs(self, x, y, seed, last, limit, epoch, steps, totals) -> Progress:
        end = steps + limit

        def run(*progress) -> Progress:
            epoch, steps, totals = self._epoch_begun(Progress(*progress))
            before, order = steps - totals.steps, epoch_order(x.shape[0], seed, epoch)
            totals = self._epoch(x, y, order, seed, before, end - steps, totals)
            return Progress(epoch, before + totals.steps, totals)

        return Progress(
            *tf.while_loop(
                lambda *progress: self._goes_on(Progress(*progress), last) & (progress[1] < end),
                run,
                Progress(epoch, steps, totals),
                parallel_iterations=1,  # each epoch needs the weights of the one before
            )
        )

    def _epoch(self, x, y, order, seed, steps_before, limit, totals) -> Totals:
        """Continue the epoch that begins at `steps_before`, from its `totals`, for at most `limit` steps."""
        size, full_steps, rest = self._budget.batch_size, self._budget.full_steps_per_epoch, self._budget.rest
        end = totals.steps + limit

        def step(totals: Totals, batch_size: int) -> Totals:
            start = tf.cast(totals.steps, tf.int32) * size
            chosen = tf.slice(order, [start], [batch_size])  # of static shape, unlike order[a:b]; XLA needs it
            step_seed = tf.stack([seed, steps_before + totals.steps])
            return self._step(tf.gather(x, chosen), tf.gather(y, chosen), step_seed, totals)

        end_of_full = tf.minimum(end, tf.constant(full_steps, tf.int64))
        (totals,) = tf.while_loop(
            lambda totals: totals.finite & (totals.steps < end_of_full),
            lambda totals: (step(totals, size),),
            (totals,),
            parallel_iterations=1,  # each step needs the weights of the one before
        )
        if not rest:
            return totals
        ready = totals.finite & (totals.steps == full_steps) & (totals.steps < end)
        return tf.cond(ready, lambda: step(totals, rest), lambda: totals)

    def _step(self, x, y, seed, totals: Totals) -> Totals:
        """Estimate, then update if all values are finite; otherwise the last finite weights stay."""
        estimate = self.estimator.estimate(x, y, seed)
        check_estimate(estimate, self.estimator, self.task)  # once, during tracing
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
    """Return whether all values are finite, neither infinite nor NaN.

    Example:
        >>> is_finite([tf.zeros([2])]), is_finite([tf.zeros([2]), tf.constant([1.0, float("nan")])])
        (True, False)
    """
    return all(bool(tf.reduce_all(tf.math.is_finite(tensor))) for tensor in tensors)


class Evaluation:
    """Evaluation of one split, traced in the first call; the data stay on the device."""

    def __init__(self, task: Task, split: Split):
        require(isinstance(task, Task), "task", "a Task", task)
        require(isinstance(split, Split), "split", "a Split, such as dataset.validation", split)
        self._task, self._split, self._function = task, split, None

    def __repr__(self) -> str:
        return f"<Evaluation of {self._task!r} on {self._split!r}>"

    def __call__(self) -> tuple[float, float]:
        """Return mean loss and mean metric with the current weights; NaN for an empty split."""
        if not len(self._split):
            return math.nan, math.nan
        if self._function is None:
            self._data = on_device(self._split)
            # Concrete functions avoid TensorFlow's retracing warning: one function per network is no error here.
            traced = tf.function(_means(self._task), jit_compile=False, autograph=False)
            self._function = traced.get_concrete_function(*map(_spec, self._data))
        loss, metric = self._function(*self._data)
        return float(loss), float(metric)


def evaluate(task: Task, split: Split) -> tuple[float, float]:
    """Return mean loss and mean metric over a split, without dropout; NaN for an empty split.

    Example:
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> task = SaddleSurface(mu=1.0, start=(1.0, 0.0)).task(examples(), seed=0)
        >>> evaluate(task, examples().train)  # mean of u² and μ/2, as loss and as metric
        (0.75, 0.75)
    """
    return Evaluation(task, split)()


def _means(task: Task) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return a function from a whole split to (mean loss, mean metric); its batches bound the memory."""

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
