"""Evolution strategy on the logits: the gradient comes only from whether perturbed logits are right.

Every example has n perturbations ε_i ~ N(0, I) of its C logits z. F_i = 1 if the label wins z + σε_i, else 0:

    P̂ = mean(F)        ∇_z P ≈ mean(F ε) / σ        ∇_z log P ≈ mean(F ε) / (σ max(P̂, 1/(2n)))

The first estimate is unbiased (arXiv 1703.03864, section 2.1). The last one, for independent samples, is the mean of
ε/σ over the samples that were right. Its expectation is (1 - (1 - P)ⁿ) ∇_z log P, so all its bias comes from draws in
which no sample was right. There mean(F ε) is zero, and the floor keeps the quotient zero and log P̂ at -log(2n). The
example teaches nothing at this step, since 0-1 evaluations do not tell where a right answer is.

Antithetic samples come in pairs ε, -ε and need half the random numbers. Where both samples of a pair agree, their
contributions cancel. If an example is almost surely right, nearly all of them do. The quotient then has a further bias
of order 1/n.
"""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.estimators.evolution.logit_gradient import Correctness, LogitGradient, LogitObjective, label_first
from common.estimators.noise.noisy_gradient import NoiseLevel
from common.randomness import Stream, standard_normal


class LogitEvolution(LogitGradient):
    """Gradient of an objective of correctness under noise, from right-or-wrong samples drawn for each example.

    Args:
        objective: SmoothedAccuracy, Likelihood or MovedTarget; see `logit_gradient`.
        sigma: standard deviation of the noise in each logit, > 0, or a level that changes with the step.
        samples: n ≥ 2, the number of perturbations per example and step. They take batch × classes × samples numbers of
            memory.
        antithetic: whether samples are drawn in pairs ε, -ε; n must then be even.

    Raises:
        ValueError: a value is out of range, or the number of antithetic samples is odd.

    Example:
        >>> import keras
        >>> from common.estimators import SmoothedAccuracy
        >>> from common.tasks.task import classification
        >>> layer = keras.layers.Dense(2, kernel_initializer="zeros")
        >>> estimator = LogitEvolution(SmoothedAccuracy(), sigma=1.0, samples=100_000)
        >>> estimator.build(classification(keras.Sequential([keras.Input((1,)), layer])))
        >>> estimate = estimator.estimate(tf.ones([1, 1]), tf.constant([0]), tf.zeros([2], tf.int64))
        >>> estimate.gradients[1].numpy().astype(float).round(2).tolist()  # ∓1/(2√π)
        [-0.28, 0.28]
    """

    def __init__(
        self, objective: LogitObjective, sigma: float | NoiseLevel, samples: int = 200, *, antithetic: bool = False
    ):
        super().__init__(objective, sigma)
        require(samples >= 2, "samples", "≥ 2", samples)
        require(not antithetic or samples % 2 == 0, "samples", "even, as antithetic samples come in pairs", samples)
        self.samples, self.antithetic = samples, antithetic

    def correctness(self, logits: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Correctness:
        """Estimate P and its gradients for (batch, classes) logits and (batch,) labels; seed as for `estimate`."""
        sigma = self.level.standard_deviation(seed[1], [logits])
        perturbations = self.samples // 2 if self.antithetic else self.samples
        # Classes first: the largest logit is then found a whole row of samples at a time.
        noise = standard_normal(
            [logits.shape[1], logits.shape[0], perturbations], tf.random.fold_in(seed, Stream.LOGITS)
        )
        centre, step = tf.transpose(label_first(logits, y))[:, :, None], sigma * noise
        wins = _first_wins(centre + step)
        weights, right = wins, tf.reduce_sum(wins, -1)
        if self.antithetic:
            mirrored = _first_wins(centre - step)
            weights, right = wins - mirrored, right + tf.reduce_sum(mirrored, -1)
        probability = right / self.samples
        total = tf.transpose(tf.reduce_sum(weights * noise, -1))
        ascent = label_first(total, y) / (self.samples * sigma)
        # The floor also keeps the quotient zero where no sample was right, for the numerator is zero there.
        floored = tf.maximum(probability, 0.5 / self.samples)
        return Correctness(probability, tf.math.log(floored), ascent, ascent / floored[:, None])


def _first_wins(perturbed: tf.Tensor) -> tf.Tensor:
    """Return 1 where the first of (classes, batch, samples) logits is the largest, else 0: (batch, samples) float32."""
    return tf.cast(perturbed[0] > tf.reduce_max(perturbed[1:], 0), tf.float32)
