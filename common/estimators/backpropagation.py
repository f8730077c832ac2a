"""Backpropagation: the exact gradient of the minibatch loss, g = ∇_w (1/B) Σ_i loss(y_i, f(x_i; w)).

Every other estimator is compared with this one. On a minibatch drawn without replacement, it is an unbiased estimate of
the full gradient. Its cost on one example is the unit of all costs.
"""

from __future__ import annotations

import tensorflow as tf

from common.estimators.estimator import GradientEstimate, GradientEstimator


class Backpropagation(GradientEstimator):
    """Reverse-mode differentiation of the mean loss over the batch."""

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return loss, outputs and exact gradients of one batch; see `GradientEstimator.estimate` for shapes."""
        with tf.GradientTape() as tape:
            outputs = self.task.outputs(x, seed)
            loss = self.task.loss(y, outputs)
        return GradientEstimate(loss, outputs, tape.gradient(loss, self.task.weights))

    def cost(self, batch_size: int) -> float:
        """Return 1 per example: this is the unit of cost."""
        return float(batch_size)
