"""Backpropagation: the exact gradient of the minibatch loss, g = ∇_w (1/B) Σ_i loss(y_i, f(x_i; w)).

Every other estimator is compared with this one. On a minibatch drawn without replacement, it is an unbiased estimate of
the full gradient. Its cost on one example is the unit of all costs.
"""

from __future__ import annotations

import tensorflow as tf

from common.estimators.estimator import GradientEstimate, GradientEstimator


class Backpropagation(GradientEstimator):
    """Reverse-mode differentiation of the mean loss over the batch.

    Example:
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = Backpropagation()
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().tolist()  # (u, -μ v (1 - v²))
        [1.0, -0.375]
    """

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return loss, outputs and exact gradients of one batch; see `GradientEstimator.estimate` for shapes."""
        with tf.GradientTape() as tape:
            outputs = self.task.outputs(x, seed)
            loss = self.task.loss(y, outputs)
        return GradientEstimate(loss, outputs, tape.gradient(loss, self.task.weights))

    def cost(self, batch_size: int) -> float:
        """Return 1 per example: this is the unit of cost."""
        return float(batch_size)
