"""No backpropagation: only the last module of a network learns, on random features that stay fixed.

∇θ_M is as in backpropagation, and ∇θ_i = 0 for i < M. Every method that gives gradients to modules has to beat this
baseline (arXiv 1608.05343, section 3.1, "no backprop").
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from common.estimators.decoupled.network_modules import gradient_products, require_boundaries, split
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.tasks.task import Task


class LastModuleOnly(GradientEstimator):
    """The exact gradient of the last module's weights, and zero for all others.

    Args:
        boundaries: names of the layers behind which the network is cut; see `network_modules.split`.

    Raises:
        ValueError: the names are a bare string; `build` raises it as `split` does.

    Example:
        >>> from common.data import load
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.networks import Network
        >>> data, exact, estimator = load("digits"), Backpropagation(), LastModuleOnly()
        >>> task = Network("mlp", [8]).task(data, seed=0)
        >>> for each in (exact, estimator):
        ...     each.build(task)
        >>> batch = data.train.x[:16], data.train.y[:16], tf.zeros([2], tf.int64)
        >>> pairs = zip(estimator.estimate(*batch).gradients, exact.estimate(*batch).gradients)
        >>> [float(tf.norm(estimate - gradient) / tf.norm(gradient)) for estimate, gradient in pairs]  # 1: zero instead
        [1.0, 1.0, 0.0, 0.0]
    """

    def __init__(self, boundaries: Sequence[str] | None = None):
        super().__init__()
        require_boundaries(boundaries)
        self.boundaries = boundaries

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Cut the network."""
        super().build(task, run)
        self._modules = tuple(split(task, self.boundaries))

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return loss, outputs and gradients of one batch; see `GradientEstimator.estimate` for shapes."""
        last = self._modules[-1].weights
        variables = [weight.value for weight in last]  # a tape knows TensorFlow's variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            outputs = self.task.outputs(x, seed)
            loss = self.task.loss(y, outputs)
        below = [tf.zeros(weight.shape) for weight in self.task.weights[: -len(last)]]
        return GradientEstimate(loss, outputs, [*below, *tape.gradient(loss, variables)])

    def cost(self, batch_size: int) -> float:
        """Return the cost from the multiply-accumulates of a forward pass and of the last module's backward pass."""
        last, ahead = self._modules[-1], sum(module.products for module in self._modules)
        backward = 2 * last.products - last.first_products
        return batch_size * (ahead + backward) / gradient_products(self._modules)
