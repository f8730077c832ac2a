"""The closeness of a training direction to the exact gradient of the same minibatch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Epochs, Measured, require_epochs
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimator, RunContext
from common.randomness import Stream, key
from common.training.history import Moment
from common.training.state import unchanged, variables_of
from common.vectors import cosine

Function = tf.types.experimental.ConcreteFunction


class GradientAlignment(Diagnostic):
    """Comparison of the training estimator's estimate with the exact gradient of the same minibatch.

    Let g be the exact minibatch gradient and ĝ the estimate, over `batches` minibatches. The diagnostic gives the norm
    of g, the signal-to-noise ratio Σ‖g‖² / Σ‖ĝ - g‖², and the mean cosine of the angle between g and ĝ. For noise of
    standard deviation σ in each of P coordinates, the ratio is ‖g‖²/(σ²P) and the cosine about 1/√(1 + 1/ratio). Every
    difference counts as noise, even the intended effect of a sketch or an amplification. In these cases, the cosine is
    more informative.

    Args:
        batch_size: examples per minibatch, at most the number of training examples.
        batches: minibatches to average over, ≥ 1; two give a precision of a percent if the noise has thousands of
            coordinates.
        at: when to measure, see `Diagnostic`.

    Raises:
        ValueError: a value out of range; in the call, `batch_size` above the number of training examples.

    Example:
        >>> from common.estimators import SignGradient
        >>> from common.optimizers import SGD
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> from common.training import train
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> signs = SignGradient(Backpropagation(), error_feedback=False)  # 0.6875 (1, -1) for (1, -0.375)
        >>> compared = [GradientAlignment(batch_size=2)]
        >>> history = train(task, signs, SGD(0.0), data, epochs=1, batch_size=2, seed=0, diagnostics=compared)
        >>> [round(history.epochs[0][name], 3) for name in ("gradient_norm", "signal_to_noise", "cosine")]
        [1.068, 5.84, 0.91]
    """

    def __init__(self, batch_size: int, batches: int = 2, *, at: Epochs = None):
        require_batches(batch_size, batches)
        require_epochs(at)
        self.batch_size, self.batches, self.at = batch_size, batches, at

    def measure(self, moment: Moment) -> Measured:
        """Return `gradient_norm`, `signal_to_noise` (infinite without noise) and `cosine`."""
        estimator = moment.estimator
        compare = self._once([moment.task, estimator], lambda: _comparison(moment, estimator, self.batch_size))
        norm, ratio, angle = _averaged(compare, moment, self.batch_size, self.batches)
        return {"gradient_norm": norm, "signal_to_noise": ratio, "cosine": angle}


class EstimatorAlignment(Diagnostic):
    """`GradientAlignment` of estimators that do not train, at the weights of the moment.

    Args:
        estimators: settings; copies are built and traced once for the run's task. Each measurement starts from the
            state after building.
        batch_size: examples per minibatch, at most the number of training examples.
        batches: minibatches to average over, ≥ 1.
        warm_up: minibatches that each estimator sees before each measurement, ≥ 0, for estimators that learn
            predictors, heads or eigenpairs. The weights stay those of the moment.
        at: when to measure, see `Diagnostic`.

    Raises:
        ValueError: a value out of range; in the call, `batch_size` above the number of training examples.
    """

    def __init__(
        self,
        estimators: Sequence[GradientEstimator],
        batch_size: int,
        batches: int = 2,
        *,
        warm_up: int = 0,
        at: Epochs = "ends",
    ):
        require_comparison(estimators, batch_size, batches, warm_up, at)
        self.estimators, self.batch_size, self.batches, self.at = estimators, batch_size, batches, at
        self.warm_up = warm_up

    def measure(self, moment: Moment) -> Measured:
        """Return arrays with one entry per estimator.

        `aligned_estimators` are their constructor calls. `aligned_cosine` and `aligned_signal_to_noise` are the values
        of `GradientAlignment`.
        """
        measured = []
        for estimator, compare in self._once(
            [moment.task, moment.dataset.train, moment.seed], lambda: self._traced(moment)
        ):
            with unchanged(variables_of(estimator)):
                measured.append(_averaged(compare, moment, self.batch_size, self.batches, self.warm_up))
        _, ratios, cosines = np.array(measured).T
        names = np.array([repr(estimator) for estimator in self.estimators])
        return {"aligned_estimators": names, "aligned_cosine": cosines, "aligned_signal_to_noise": ratios}

    def _traced(self, moment: Moment) -> list[tuple[GradientEstimator, Function]]:
        copies = built_copies(self.estimators, moment, self.batch_size)
        return [(estimator, _comparison(moment, estimator, self.batch_size)) for estimator in copies]


def require_batches(batch_size: int, batches: int) -> None:
    """Refuse numbers below 1, of examples per minibatch and of minibatches.

    Raises:
        ValueError: a number below 1.
    """
    require(batch_size >= 1, "batch_size", "≥ 1", batch_size)
    require(batches >= 1, "batches", "≥ 1", batches)


def require_comparison(
    estimators: Sequence[GradientEstimator], batch_size: int, batches: int, warm_up: int, at: Epochs
) -> None:
    """Refuse arguments with which estimators that do not train cannot be compared.

    Raises:
        ValueError: no estimator, or a value out of range.
    """
    require(len(estimators) >= 1, "the number of estimators", "≥ 1", len(estimators))
    require_batches(batch_size, batches)
    require_epochs(at)
    require(warm_up >= 0, "warm_up", "≥ 0", warm_up)


def built_copies(estimators: Sequence[GradientEstimator], moment: Moment, batch_size: int) -> list[GradientEstimator]:
    """Return copies of estimators that do not train, built for the task, the seed and the length of a moment's run."""
    split = moment.dataset.train
    per_epoch = math.ceil(len(split.x) / batch_size)
    # The run's length counts: learning rates of heads and predictors may fall over the run.
    steps = None if moment.epochs is None else moment.epochs * per_epoch
    run = RunContext(moment.seed, steps, per_epoch, batch_size, split)
    copies = [copy.deepcopy(estimator) for estimator in estimators]
    for estimator in copies:
        estimator.build(moment.task, run)
    return copies


def traced_on_minibatches(function: Callable, moment: Moment, batch_size: int) -> Function:
    """Return a traced function of (x, y, seed) for minibatches of the training split, see `minibatches`."""
    split = moment.dataset.train
    batch = [tf.TensorSpec([batch_size, *part.shape[1:]], part.dtype) for part in (split.x, split.y)]
    # A concrete function avoids TensorFlow's retracing warning, which confuses those of several estimators and runs.
    traced = tf.function(function, jit_compile=False, autograph=False)
    return traced.get_concrete_function(*batch, tf.TensorSpec([2], tf.int64))


def _comparison(moment: Moment, estimator: GradientEstimator, batch_size: int) -> Function:
    """Return a traced function from (x, y, seed) to ‖g‖², ‖ĝ - g‖² and the cosine on one batch."""
    exact = Backpropagation()
    exact.build(moment.task)

    def compare(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        gradients = exact.estimate(x, y, seed).gradients
        estimate = estimator.estimate(x, y, seed).gradients
        error = [a - b for a, b in zip(estimate, gradients, strict=True)]
        return tf.linalg.global_norm(gradients) ** 2, tf.linalg.global_norm(error) ** 2, cosine(gradients, estimate)

    return traced_on_minibatches(compare, moment, batch_size)


def _averaged(
    compare: Function, moment: Moment, batch_size: int, batches: int, warm_up: int = 0
) -> tuple[float, float, float]:
    """Return the norm of g, the signal-to-noise ratio and the cosine over the minibatches after the first few."""
    looks = minibatches(moment, batch_size, warm_up + batches)
    measured = [[float(value) for value in compare(*batch)] for batch in looks][warm_up:]
    signal, noise, angle = (float(mean) for mean in np.mean(measured, axis=0))
    # Only an exact zero is noiseless: NaN, from a run that diverged, stays NaN.
    return math.sqrt(signal), math.inf if noise == 0 else signal / noise, angle


def minibatches(moment: Moment, batch_size: int, batches: int) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Yield minibatches of training examples with the seeds of future steps: (x, y, seed) each.

    Raises:
        ValueError: a `batch_size` above the number of training examples.
    """
    split = moment.dataset.train
    require(batch_size <= len(split), "batch_size", f"at most the {len(split):,} training examples", batch_size)
    steps = moment.epoch * -(-len(split) // batch_size)  # annealed noise then has the level that training has reached
    sampled = key(moment.seed, Stream.ALIGNMENT, moment.epoch)
    order = tf.random.experimental.stateless_shuffle(tf.range(len(split)), seed=sampled).numpy()
    for number in range(batches):
        chosen = np.take(order, range(number * batch_size, (number + 1) * batch_size), mode="wrap")
        batch = (tf.constant(split.x[chosen]), tf.constant(split.y[chosen]))
        yield *batch, tf.constant([moment.seed, steps + number], tf.int64)
