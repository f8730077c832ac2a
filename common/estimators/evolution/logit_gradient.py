"""Learning from right or wrong, on the logits: P(z) = Pr[the label wins z + σε], ε ~ N(0, I), replaces the loss.

The 0-1 loss of the logits z has no gradient; its mean under noise has one (arXiv 1703.03864, section 2.1, for noise on
weights). Two estimators give P and ∇_z P: `logit_evolution` from right-or-wrong samples, `logit_quadrature` exactly.
Training climbs an objective:

    SmoothedAccuracy P, the accuracy under noise. It is flat where an example is certainly wrong, and learns nothing
    there. Likelihood log P of a multinomial probit model. Its gradient ∇P / P is largest there.
    MovedTarget        squared error to a target that lies one step up P: the smoothed accuracy again, at another scale.

Only this last step is done by hand; the network runs and is differentiated once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from common.checks import require
from common.estimators.estimator import GradientEstimate, GradientEstimator
from common.estimators.noise.noisy_gradient import ConstantNoise, NoiseLevel, require_noise_level
from common.settings import Configured


class Correctness(NamedTuple):
    """The probability that each example is right under noise on its logits, known or estimated.

    Attributes:
        probability: P, (batch,) float32 in [0, 1].
        log_probability: log P, (batch,) float32, finite.
        ascent: ∇_z P, (batch, classes) float32.
        log_ascent: ∇_z log P, likewise, finite.
    """

    probability: tf.Tensor
    log_probability: tf.Tensor
    ascent: tf.Tensor
    log_ascent: tf.Tensor


class LogitObjective(Configured):
    """Base class of the objectives: functions of each example's correctness, in pure TensorFlow."""

    def losses(self, correctness: Correctness) -> tf.Tensor:
        """Return the loss of each example, (batch,) float32, finite."""
        raise NotImplementedError(f"{type(self).__name__} does not implement losses(correctness)")

    def logit_gradients(self, correctness: Correctness) -> tf.Tensor:
        """Return the gradient of each example's loss (uphill), (batch, classes) float32."""
        raise NotImplementedError(f"{type(self).__name__} does not implement logit_gradients(correctness)")


@dataclass(frozen=True, repr=False, eq=False)
class SmoothedAccuracy(LogitObjective):
    """Smoothed accuracy: loss = 1 - P, the share of wrong answers under noise, in [0, 1]."""

    def losses(self, correctness: Correctness) -> tf.Tensor:
        """Return 1 - P of each example."""
        return 1.0 - correctness.probability

    def logit_gradients(self, correctness: Correctness) -> tf.Tensor:
        """Return -∇_z P of each example."""
        return -correctness.ascent


@dataclass(frozen=True, repr=False, eq=False)
class Likelihood(LogitObjective):
    """Likelihood: loss = -log P, in nats; an estimated P has the floor of `LogitEvolution`."""

    def losses(self, correctness: Correctness) -> tf.Tensor:
        """Return -log P of each example."""
        return -correctness.log_probability

    def logit_gradients(self, correctness: Correctness) -> tf.Tensor:
        """Return -∇_z log P of each example."""
        return -correctness.log_ascent


@dataclass(frozen=True, repr=False, eq=False)
class MovedTarget(LogitObjective):
    """Squared error between the logits z and the fixed target t = z + rate ∇_z P, averaged over the C classes.

    Its gradient 2 (z - t) / C = -(2 rate / C) ∇_z P is that of the smoothed accuracy up to a factor. Only an optimizer
    whose step depends on the gradient's length sees a difference. The squared error itself carries no information about
    the network, so the loss returned is 1 - P.

    Attributes:
        rate: distance of the target along the estimated gradient, > 0; C / 2 gives the smoothed accuracy.

    Raises:
        ValueError: rate is not positive and finite.
    """

    rate: float

    def __post_init__(self):
        require(0 < self.rate < math.inf, "rate", "> 0 and finite", self.rate)

    def losses(self, correctness: Correctness) -> tf.Tensor:
        """Return 1 - P of each example."""
        return 1.0 - correctness.probability

    def logit_gradients(self, correctness: Correctness) -> tf.Tensor:
        """Return -(2 rate / C) ∇_z P of each example."""
        return (-2.0 * self.rate / correctness.ascent.shape[-1]) * correctness.ascent


class LogitGradient(GradientEstimator):
    """Base class of estimators of correctness under noise: it backpropagates their gradient from the logits.

    Args:
        objective: SmoothedAccuracy, Likelihood or MovedTarget.
        sigma: standard deviation of the noise in each logit, > 0; or a level that changes with the step, such as
            `AnnealedNoise`.

    Raises:
        ValueError: an argument has the wrong type, or sigma is not positive and finite.
    """

    def __init__(self, objective: LogitObjective, sigma: float | NoiseLevel):
        super().__init__()
        known = isinstance(objective, LogitObjective)
        require(known, "objective", "SmoothedAccuracy(), Likelihood() or MovedTarget(rate)", objective)
        if isinstance(sigma, int | float):
            require(0 < sigma < math.inf, "sigma", "> 0 and finite", sigma)
        else:
            require_noise_level("sigma", sigma)
            require(not sigma.is_zero, "sigma", "> 0 and finite: without noise the 0-1 loss has no gradient", sigma)
        self.objective, self.sigma = objective, sigma

    @property
    def level(self) -> NoiseLevel:
        """The noise level: sigma itself, or a constant level if sigma is a number."""
        return ConstantNoise(float(self.sigma)) if isinstance(self.sigma, int | float) else self.sigma

    def correctness(self, logits: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Correctness:
        """Return P and its gradients for (batch, classes) logits and (batch,) labels; the seed is as in `estimate`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement correctness(logits, y, seed)")

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Run the network once, forward and back; see `GradientEstimator.estimate` for shapes.

        The loss is the mean of the objective's losses over the batch, finite unless a logit is not.
        """
        with tf.GradientTape() as tape:
            outputs = self.task.outputs(x, seed)
        known = self.correctness(outputs, y, seed)
        above = self.objective.logit_gradients(known) / outputs.shape[0]
        gradients = tape.gradient(outputs, self.task.weights, output_gradients=above)
        # Comparisons hide a logit that is not a number, of a run that diverged: the loss must not.
        finite = tf.reduce_all(tf.math.is_finite(outputs))
        loss = tf.where(finite, tf.reduce_mean(self.objective.losses(known)), math.nan)
        return GradientEstimate(loss, outputs, gradients)

    def cost(self, batch_size: int) -> float:
        """Return the cost of one gradient: sampling and quadrature on a few logits need no matrix products."""
        return float(batch_size)


def label_first(values: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Swap the label's column with the first, given (batch, classes) and (batch,) labels; a second call undoes it."""
    classes = tf.range(values.shape[1])
    label = tf.cast(y, tf.int32)[:, None]
    order = tf.where(classes == 0, label, tf.where(classes == label, 0, classes))
    return tf.gather(values, order, batch_dims=1)
