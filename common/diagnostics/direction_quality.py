"""The quality of training directions at common weights: angle, bias, variance, and the loss decrease of one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Epochs, Measured
from common.diagnostics.gradient_alignment import (
    built_copies,
    minibatches,
    require_comparison,
    traced_on_minibatches,
)
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimator
from common.training.history import Moment
from common.training.state import unchanged, variables_of
from common.vectors import flatten, unflatten

LENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)  # of a step, from blind search to gradient descent

Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Direction = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


class DirectionQuality(Diagnostic):
    """Estimators that do not train, compared with the exact gradient g of the same minibatches and by loss decrease.

    On each minibatch, every estimator makes R estimates ĝ_r. They differ only in their random numbers, because the
    estimator's state is restored after each. With ḡ the mean of the estimates, in units of ‖g‖²,

        variance    Σ_r ‖ĝ_r - ḡ‖² / (R - 1)
        bias²       ‖ḡ - g‖² - variance / R     which is unbiased, and may be negative if the noise is large

    The diagnostic makes one step w - s ĝ_1/‖ĝ_1‖ for each length s. The reported decrease of the loss on training
    examples is a mean over the minibatches, for the best length.

    Args:
        estimators: settings; copies are built and traced once for the run's task. Each measurement starts from the
            state after building.
        batch_size: examples per minibatch, at most the number of training examples; or one number per estimator, for
            those that train with batches of their own.
        batches: minibatches to average over, ≥ 1.
        repeats: number R of estimates per minibatch, ≥ 2.
        warm_up: minibatches that each estimator sees before each measurement, ≥ 0, for estimators that learn
            predictors, heads or eigenpairs. The weights stay those of the moment.
        loss_examples: number of training examples, ≥ 1, on which the loss of a step is measured. They are the first
            ones, or all if there are fewer.
        at: when to measure, see `Diagnostic`.

    Raises:
        ValueError: a value out of range, or not as many batch sizes as estimators; in the call, a batch size above the
            number of training examples.

    Example:
        >>> from common.estimators import TopKGradient
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> quality = DirectionQuality([Backpropagation(), TopKGradient(Backpropagation(), 0.5)], batch_size=2)
        >>> measured = quality.measure(Moment(task, Backpropagation(), None, data, seed=0, epoch=0))
        >>> measured["aligned_cosine"].round(4).tolist()  # of (1, -0.375) and (1, 0) with (1, -0.375)
        [1.0, 0.9363]
        >>> measured["aligned_bias_squared"].round(4).tolist()  # 0.375² / ‖g‖² for the coordinate that is not sent
        [0.0, 0.1233]
    """

    def __init__(
        self,
        estimators: Sequence[GradientEstimator],
        batch_size: int | Sequence[int],
        batches: int = 4,
        *,
        repeats: int = 8,
        warm_up: int = 0,
        loss_examples: int = 2_000,
        at: Epochs = "ends",
    ):
        sizes = _each(batch_size, len(estimators))
        number = f"one number, or one for each of the {len(estimators)} estimators"
        require(len(sizes) == len(estimators), "batch_size", number, batch_size)
        for size in sizes or [1]:
            require_comparison(estimators, size, batches, warm_up, at)
        require(repeats >= 2, "repeats", "≥ 2", repeats)
        require(loss_examples >= 1, "loss_examples", "≥ 1", loss_examples)
        self.estimators, self.batch_size, self.batches, self.at = estimators, batch_size, batches, at
        self.repeats, self.warm_up, self.loss_examples = repeats, warm_up, loss_examples

    @property
    def _sizes(self) -> list[int]:
        return _each(self.batch_size, len(self.estimators))

    def measure(self, moment: Moment) -> Measured:
        """Return arrays with one entry per estimator.

        `aligned_estimators` are their constructor calls. The numbers are `aligned_cosine` (mean over all estimates; NaN
        if one is zero), `aligned_bias_squared`, `aligned_variance`, `aligned_decrease` (of the loss; 0 if every length
        makes it worse), `aligned_cost` (of an estimate, in gradients of one example, per example) and
        `aligned_batch_size`.
        """
        traced = self._once([moment.task, moment.dataset.train, moment.seed], lambda: self._traced(moment))
        count = self.warm_up + self.batches
        looks = {size: list(minibatches(moment, size, count)) for size in traced.exact}
        exact = {
            size: [traced.exact[size](*batch).numpy() for batch in batches[self.warm_up :]]
            for size, batches in looks.items()
        }
        weights = traced.weights()
        start = traced.loss_at(weights)
        measured = []
        for (estimator, direction), size in zip(traced.estimators, self._sizes, strict=True):
            before, after = looks[size][: self.warm_up], looks[size][self.warm_up :]
            with unchanged(variables_of(estimator)):
                for batch in before:
                    direction(*batch)
                sampled = [self._sampled(estimator, direction, batch, count) for batch in after]
            moments = np.mean([_moments(*pair) for pair in zip(sampled, exact[size], strict=True)], axis=0)
            decrease = _best_decrease(traced, weights, start, [estimates[0] for estimates in sampled])
            measured.append([*moments, decrease, estimator.cost(size) / size])
        columns = (*_Moments._fields, "decrease", "cost")
        names = np.array([repr(estimator) for estimator in self.estimators])
        numbers = dict(zip(columns, np.array(measured).T, strict=True)) | {"batch_size": np.array(self._sizes, float)}
        return {"aligned_estimators": names} | {f"aligned_{name}": column for name, column in numbers.items()}

    def _sampled(self, estimator: GradientEstimator, direction: Direction, batch: Batch, looks: int) -> np.ndarray:
        """Return estimates that differ only in their random numbers: (repeats, P)."""
        x, y, seed = batch
        estimates = []
        for repeat in range(self.repeats):
            with unchanged(variables_of(estimator)):
                estimates.append(direction(x, y, seed + tf.constant([0, repeat * looks], tf.int64)).numpy())
        return np.stack(estimates)

    def _traced(self, moment: Moment) -> _Traced:
        exact = Backpropagation()
        exact.build(moment.task)
        pairs = zip(self.estimators, self._sizes, strict=True)
        copies = [built_copies([estimator], moment, size)[0] for estimator, size in pairs]
        directions = [
            (estimator, self._direction(estimator, moment, size))
            for estimator, size in zip(copies, self._sizes, strict=True)
        ]
        by_size = {size: self._direction(exact, moment, size) for size in dict.fromkeys(self._sizes)}
        return _Traced(moment, by_size, directions, self.loss_examples)

    def _direction(self, estimator: GradientEstimator, moment: Moment, size: int) -> Direction:
        """Return a traced function from (x, y, seed) to the estimate as one vector, (P,)."""

        def direction(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return flatten(estimator.estimate(x, y, seed).gradients)

        return traced_on_minibatches(direction, moment, size)


def _each(batch_size: int | Sequence[int], estimators: int) -> list[int]:
    return [batch_size] * estimators if isinstance(batch_size, int) else list(batch_size)


class _Traced:
    """Functions that are traced once per run: the exact gradient, the estimators, and the loss at other weights."""

    def __init__(
        self,
        moment: Moment,
        exact: Mapping[int, Direction],
        estimators: Sequence[tuple[GradientEstimator, Direction]],
        loss_examples: int,
    ):
        self.exact, self.estimators, self._task = exact, estimators, moment.task
        split, task = moment.dataset.train, moment.task
        x, y = tf.constant(split.x[:loss_examples]), tf.constant(split.y[:loss_examples])
        traced = tf.function(lambda: task.loss(y, task.predictions(x)), jit_compile=False, autograph=False)
        self._loss = traced.get_concrete_function()

    def weights(self) -> np.ndarray:
        """Return the current weights, (P,)."""
        return flatten([tf.convert_to_tensor(weight) for weight in self._task.weights]).numpy()

    def loss_at(self, weights: np.ndarray) -> float:
        """Return the loss at the given weights, (P,), which remain in the network."""
        for variable, value in zip(
            self._task.weights, unflatten(tf.constant(weights), self._task.weights), strict=True
        ):
            variable.assign(value)
        return float(self._loss())


class _Moments(NamedTuple):
    """Statistics of the estimates on one minibatch."""

    cosine: float
    bias_squared: float
    variance: float


def _moments(estimates: np.ndarray, exact: np.ndarray) -> _Moments:
    """Compare estimates, (R, P), with the exact gradient, (P,)."""
    estimates, exact = estimates.astype(float), exact.astype(float)
    squared, lengths = exact @ exact, np.linalg.norm(estimates, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # the angle of a zero estimate is undefined
        cosine = float(np.mean(estimates @ exact / (lengths * np.sqrt(squared))))
    mean = estimates.mean(0)
    variance = float(((estimates - mean) ** 2).sum() / (len(estimates) - 1))
    bias_squared = float(((mean - exact) ** 2).sum() - variance / len(estimates))
    return _Moments(cosine, bias_squared / squared, variance / squared)


def _best_decrease(traced: _Traced, weights: np.ndarray, start: float, directions: Sequence[np.ndarray]) -> float:
    """Return the largest mean decrease of the loss by one step of a common length from given weights, at least 0."""
    decreases = np.zeros([len(directions), len(LENGTHS)])
    for row, direction in zip(decreases, directions, strict=True):
        length = float(np.linalg.norm(direction))
        if length > 0:
            row[:] = [start - traced.loss_at(weights - step / length * direction) for step in LENGTHS]
    traced.loss_at(weights)
    return float(max(0.0, np.nan_to_num(decreases.mean(0), nan=-np.inf).max()))
