"""How close estimates of the gradient on the logits are to the exact one there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Epochs, Measured, require_epochs
from common.estimators.evolution.logit_gradient import LogitGradient
from common.estimators.evolution.logit_quadrature import ExactLogitGradient
from common.estimators.noise.noisy_gradient import AnnealedNoise
from common.randomness import Stream, key
from common.training.history import Moment


class LogitAlignment(Diagnostic):
    """How estimates of the gradient on the logits compare with the exact one there, each with that of its objective.

    With g the exact gradient of all examples' logits as one vector (by quadrature, see `logit_quadrature`), ĝ one of R
    estimates with noise of its own and m their mean, all relative to ‖g‖:

        variance = Σ ‖ĝ - m‖² / (R - 1) / ‖g‖²        bias² = ‖m - g‖² / ‖g‖² - variance / R, 0 where that is negative

    and the mean cosine of the angle between ĝ and g. The network is run once, as evaluation does.

    Args:
        estimators: settings, such as `LogitEvolution` with several numbers of samples; they train nothing.
        examples: how many training examples, ≥ 1; all where there are fewer.
        repeats: R ≥ 2.
        at: when to look, see `Diagnostic`.

    Raises:
        ValueError: a value out of range; an estimator whose noise changes with the step: estimates of one moment have
            one level, and here none has the number of a step.
    """

    def __init__(
        self, estimators: Sequence[LogitGradient], examples: int = 500, repeats: int = 20, *, at: Epochs = "ends"
    ):
        require(len(estimators) >= 1, "the number of estimators", "≥ 1", len(estimators))
        require(examples >= 1, "examples", "≥ 1", examples)
        require(repeats >= 2, "repeats", "≥ 2", repeats)
        require_epochs(at)
        for estimator in estimators:
            annealed = isinstance(estimator.level, AnnealedNoise)
            require(not annealed, "sigma of estimators to align", "one that no step changes", estimator.sigma)
        self.estimators, self.examples, self.repeats, self.at = estimators, examples, repeats, at

    def measure(self, moment: Moment) -> Measured:
        """Return arrays, an entry for each estimator.

        Their constructor calls are `logit_estimators`; the values are `logit_bias` (a ratio of lengths),
        `logit_variance` (of their squares) and `logit_cosine`.
        """
        split = moment.dataset.train
        y = tf.constant(split.y[: self.examples])
        logits = moment.task.predictions(tf.constant(split.x[: self.examples]))
        numbers = range(moment.epoch * self.repeats, (moment.epoch + 1) * self.repeats)
        keys = [key(moment.seed, Stream.LOGIT_ALIGNMENT, number) for number in numbers]
        measured = []
        for estimator in self.estimators:
            oracle = ExactLogitGradient(estimator.objective, estimator.sigma)
            exact = _gradients(oracle, logits, y, [tf.constant([moment.seed, moment.epoch], tf.int64)])[0]
            measured.append(_compare(_gradients(estimator, logits, y, keys), exact))
        names = {"logit_estimators": np.array([repr(estimator) for estimator in self.estimators])}
        return names | {name: np.array([values[name] for values in measured]) for name in measured[0]}


def _gradients(estimator: LogitGradient, logits: tf.Tensor, y: tf.Tensor, keys: Sequence[tf.Tensor]) -> np.ndarray:
    """Each key's gradient on all logits, (keys, examples × classes) float64."""
    known = (estimator.correctness(logits, y, number) for number in keys)
    return np.array([np.ravel(estimator.objective.logit_gradients(each)) for each in known], np.float64)


def _compare(estimates: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    length, mean, repeats = np.linalg.norm(exact), estimates.mean(0), len(estimates)
    variance = np.sum((estimates - mean) ** 2) / (repeats - 1) / length**2
    squared_bias = np.sum((mean - exact) ** 2) / length**2 - variance / repeats
    cosines = estimates @ exact / (np.linalg.norm(estimates, axis=1) * length)
    bias = math.sqrt(max(0.0, squared_bias))
    return {"logit_bias": bias, "logit_variance": float(variance), "logit_cosine": float(cosines.mean())}
