"""The exact gradient of correctness under noise on the logits: the limit of infinitely many samples.

With the noise of the label's own logit held fixed, the other logits are independent. A one-dimensional integral remains
(the multinomial probit model), computed by Gauss-Hermite quadrature:

    P = Pr[the label y wins z + σε] = ∫ φ(u) Π_{j ≠ y} Φ(u + (z_y - z_j)/σ) du

The computation is in log space, so that log P and its gradient stay exact where P is too small for a float.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from common.checks import require
from common.estimators.evolution.logit_gradient import Correctness, LogitGradient, LogitObjective, label_first
from common.estimators.noise.noisy_gradient import NoiseLevel

POINTS = 64
_TAIL = -10.0  # below it erfc leaves float32's range, and four terms of the asymptotic series are exact to 1e-7


class ExactLogitGradient(LogitGradient):
    """Gradient of an objective of correctness under noise, by quadrature: nothing is sampled.

    It differentiates through the competing logits, and so uses more than right or wrong. It serves to measure the other
    estimates.

    Args:
        objective: SmoothedAccuracy, Likelihood or MovedTarget; see `logit_gradient`.
        sigma: standard deviation of the noise in each logit, > 0, or a level that changes with the step.
        points: number of quadrature points, ≥ 2. With 64, log P is exact to 1e-4 for logits up to 15 σ apart.

    Raises:
        ValueError: a value is out of range.

    Example:
        >>> import keras
        >>> from common.estimators import SmoothedAccuracy
        >>> from common.tasks.task import classification
        >>> layer = keras.layers.Dense(2, kernel_initializer="zeros")
        >>> estimator = ExactLogitGradient(SmoothedAccuracy(), sigma=1.0)
        >>> estimator.build(classification(keras.Sequential([keras.Input((1,)), layer])))
        >>> estimate = estimator.estimate(tf.ones([1, 1]), tf.constant([0]), tf.zeros([2], tf.int64))
        >>> estimate.gradients[1].numpy().astype(float).round(4).tolist()  # ∓1/(2√π)
        [-0.2821, 0.2821]
    """

    def __init__(self, objective: LogitObjective, sigma: float | NoiseLevel, points: int = POINTS):
        super().__init__(objective, sigma)
        require(points >= 2, "points", "≥ 2", points)
        self.points = points

    def correctness(self, logits: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Correctness:
        """Return P and its gradients for (batch, classes) logits and (batch,) labels; the seed affects only sigma."""
        sigma = self.level.standard_deviation(seed[1], [logits])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            log_probability = log_probability_right(logits, y, sigma, self.points)
        log_ascent = tape.gradient(log_probability, logits)
        probability = tf.exp(log_probability)
        return Correctness(probability, log_probability, probability[:, None] * log_ascent, log_ascent)


def log_probability_right(logits: tf.Tensor, y: tf.Tensor, sigma: tf.Tensor | float, points: int = POINTS) -> tf.Tensor:
    """Return log P, the log-probability that the label wins under noise: (batch,) float32, differentiable.

    Args:
        logits: (batch, classes) float32.
        y: (batch,) labels.
        sigma: standard deviation of the noise in each logit, > 0.
        points: quadrature points, ≥ 2.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    log_weights = tf.constant(np.log(weights / math.sqrt(2 * math.pi)), tf.float32)
    ordered = label_first(logits, y)
    margins = (ordered[:, :1] - ordered[:, 1:]) / sigma
    factors = log_normal_distribution(margins[:, :, None] + tf.constant(nodes, tf.float32))
    return tf.reduce_logsumexp(tf.reduce_sum(factors, 1) + log_weights, -1)


@tf.custom_gradient
def log_normal_distribution(x: tf.Tensor) -> tf.Tensor:
    """Return log Φ(x) for any shape, exact in both tails; its derivative φ(x)/Φ(x) uses the same logarithms."""
    middle = tf.maximum(x, _TAIL)
    upper = tf.math.log1p(-0.5 * tf.math.erfc(tf.maximum(x, 0.0) / math.sqrt(2)))
    lower = tf.math.log(0.5 * tf.math.erfc(-tf.minimum(middle, 0.0) / math.sqrt(2)))
    far = 1.0 / tf.square(tf.minimum(x, _TAIL))
    series = tf.math.log1p(-far * (1.0 - far * (3.0 - 15.0 * far)))
    tail = _log_density(x) - tf.math.log(-tf.minimum(x, _TAIL)) + series
    value = tf.where(x > 0.0, upper, tf.where(x > _TAIL, lower, tail))
    return value, lambda above: above * tf.exp(_log_density(x) - value)


def _log_density(x: tf.Tensor) -> tf.Tensor:
    return -0.5 * tf.square(x) - 0.5 * math.log(2 * math.pi)
