"""Evolution strategy on the logits: whether perturbed logits are right, and nothing else, gives the gradient.

For every example, n perturbations ε_i ~ N(0, I) of its C logits z, and F_i = 1 where the label wins z + σε_i, else 0:

    P̂ = mean(F)        ∇_z P ≈ mean(F ε) / σ        ∇_z log P ≈ mean(F ε) / (σ max(P̂, 1/(2n)))

The first estimate is unbiased (arXiv 1703.03864, section 2.1). The last one, for independent samples, is the mean of
ε/σ over those that were right, so its expectation is (1 - (1 - P)ⁿ) ∇_z log P: all its bias is that of the draws in
which no sample was right. There mean(F ε) is zero, the floor keeps the quotient zero and log P̂ at -log(2n), and the
example teaches nothing at this step: 0-1 evaluations say nothing of where a right answer would be.

Antithetic samples come in pairs ε, -ε: half the random numbers, and what both of a pair agree on cancels, which is
nearly all of it where an example is almost surely right. The quotient then has a further bias of the order 1/n.
"""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.estimators.evolution.logit_gradient import Correctness, LogitGradient, LogitObjective, label_first
from common.estimators.noise.noisy_gradient import NoiseLevel
from common.randomness import Stream, standard_normal


class LogitEvolution(LogitGradient):
    """∇_z of an objective of the correctness under noise, from right-or-wrong samples; every example has its own.

    Args:
        objective: SmoothedAccuracy, Likelihood or MovedTarget, see `logit_gradient`.
        sigma: standard deviation of the noise in each logit, > 0, or a level that changes with the step.
        samples: n ≥ 2, perturbations of each example at each step, in batch × classes × samples numbers of memory.
        antithetic: draw them in pairs ε, -ε; n is even then.

    Raises:
        ValueError: a value out of range, or an odd number of antithetic samples.
    """

    def __init__(
        self, objective: LogitObjective, sigma: float | NoiseLevel, samples: int = 200, *, antithetic: bool = False
    ):
        super().__init__(objective, sigma)
        require(samples >= 2, "samples", "≥ 2", samples)
        require(not antithetic or samples % 2 == 0, "samples", "even, as antithetic samples come in pairs", samples)
        self.samples, self.antithetic = samples, antithetic

    def correctness(self, logits: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Correctness:
        """Estimate P and its gradients for (batch, classes) logits and (batch,) labels; seed as in `estimate`."""
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
    """Whether the first of (classes, batch, samples) logits beats the others: 1 or 0, (batch, samples) float32."""
    return tf.cast(perturbed[0] > tf.reduce_max(perturbed[1:], 0), tf.float32)
