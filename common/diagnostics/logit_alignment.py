"""The closeness of estimates of the logits' gradient to the exact one."""

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
    """Comparison of estimates of the logits' gradient with the exact gradient of each estimator's objective.

    Let g be the exact gradient of all examples' logits as one vector (by quadrature, see `logit_quadrature`). Let ĝ be
    one of R estimates with independent noise and m their mean. Relative to ‖g‖, the diagnostic gives

        variance = Σ ‖ĝ - m‖² / (R - 1) / ‖g‖²        bias² = ‖m - g‖² / ‖g‖² - variance / R, 0 if that is negative

    and the mean cosine of the angle between ĝ and g. The network runs once, as in evaluation.

    An example without a right sample has no estimate. If that happens with the probability qᵢ, it adds (qᵢ ‖gᵢ‖)² to
    the squared bias of the likelihood with independent samples (see `logit_evolution`), and is all of it. With q as the
    share among the R estimates, the diagnostic gives this part of the bias. It names the example with the longest gᵢ,
    by its share of ‖g‖² and by its probability P of being right.

    Args:
        estimators: settings, such as `LogitEvolution` with several numbers of samples; they train nothing.
        examples: number of training examples, ≥ 1; all if there are fewer.
        repeats: number R of estimates, ≥ 2.
        at: when to measure, see `Diagnostic`.

    Raises:
        ValueError: a value out of range; an estimator whose noise changes with the step, because estimates here have
            one noise level and no step number.
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
        """Return arrays with one entry per estimator.

        `logit_estimators` are their constructor calls. The values are `logit_bias` and its part `logit_unseen_bias` of
        examples without a right sample (ratios of lengths), `logit_variance` (a ratio of squared lengths) and
        `logit_cosine`; of the example with the longest exact gradient `logit_longest_share`, of ‖g‖², and
        `logit_longest_probability`, its P.
        """
        split = moment.dataset.train
        y = tf.constant(split.y[: self.examples])
        logits = moment.task.predictions(tf.constant(split.x[: self.examples]))
        numbers = range(moment.epoch * self.repeats, (moment.epoch + 1) * self.repeats)
        keys = [key(moment.seed, Stream.LOGIT_ALIGNMENT, number) for number in numbers]
        measured = []
        for estimator in self.estimators:
            oracle = ExactLogitGradient(estimator.objective, estimator.sigma)
            exact, right = _gradients(oracle, logits, y, [tf.constant([moment.seed, moment.epoch], tf.int64)])
            estimates, estimated_right = _gradients(estimator, logits, y, keys)
            measured.append(_compare(estimates, exact[0]) | _unseen(estimated_right, right[0], exact[0]))
        names = {"logit_estimators": np.array([repr(estimator) for estimator in self.estimators])}
        return names | {name: np.array([values[name] for values in measured]) for name in measured[0]}


def _gradients(
    estimator: LogitGradient, logits: tf.Tensor, y: tf.Tensor, keys: Sequence[tf.Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """Return each key's gradient of all logits, (keys, examples, classes) float64, and P, (keys, examples) float64."""
    gradients, probabilities = [], []
    for number in keys:
        known = estimator.correctness(logits, y, number)
        gradients.append(estimator.objective.logit_gradients(known))
        probabilities.append(known.probability)
    return np.array(gradients, np.float64), np.array(probabilities, np.float64)


def _compare(estimates: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    estimates, exact = estimates.reshape(len(estimates), -1), exact.ravel()
    length, mean, repeats = np.linalg.norm(exact), estimates.mean(0), len(estimates)
    variance = np.sum((estimates - mean) ** 2) / (repeats - 1) / length**2
    squared_bias = np.sum((mean - exact) ** 2) / length**2 - variance / repeats
    cosines = estimates @ exact / (np.linalg.norm(estimates, axis=1) * length)
    bias = math.sqrt(max(0.0, squared_bias))
    return {"logit_bias": bias, "logit_variance": float(variance), "logit_cosine": float(cosines.mean())}


def _unseen(estimated_right: np.ndarray, right: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Return what examples without a right sample add to the bias, from (repeats, examples) P̂ and (examples,) P."""
    squared = np.sum(exact**2, -1)
    missed = np.mean(estimated_right == 0, 0)
    longest = int(np.argmax(squared))
    return {
        "logit_unseen_bias": math.sqrt(np.sum(missed**2 * squared) / squared.sum()),
        "logit_longest_share": float(squared[longest] / squared.sum()),
        "logit_longest_probability": float(right[longest]),
    }
