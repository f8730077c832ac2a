"""Direct feedback alignment: the output's error reaches every module through a fixed random matrix.

A network cut into modules h_i = f_i(h_{i-1}; θ_i), i = 1 ... M (see `network_modules`), has a fixed random matrix B_i,
(outputs, size of h_i), at each boundary i < M. With e = ∂L/∂h_M, (batch, outputs), module i uses

    u_i = e B_i        ∇θ_i = (∂h_i/∂θ_i)ᵀ u_i        and the last one, as in backpropagation, u_M = e

so that no module waits for the backward pass of another. In a linear network, u_i is the exact gradient if B_i is the
product of the transposed weights above the boundary. Entries of B_i are N(0, 1/outputs).

Source: arXiv 1609.01596. Deviations: a module may have several layers; inside it, backpropagation is exact. The
source draws B uniformly and fits its scale to each task.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from common.estimators.decoupled.network_modules import (
    NetworkModule,
    forward,
    gradient_products,
    require_boundaries,
    split,
)
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.randomness import Stream
from common.tasks.networks import hash_seed
from common.tasks.task import Task


class DirectFeedbackAlignment(GradientEstimator):
    """Modules that learn from random projections of the output's error; the state holds the matrices.

    Args:
        boundaries: names of the layers behind which the network is cut; None: every block is a module (see
            `network_modules.split`).

    Raises:
        ValueError: the names are a bare string; `build` raises it as `split` does.

    Example:
        >>> from common.data import load
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.networks import Network
        >>> data, exact, estimator = load("digits"), Backpropagation(), DirectFeedbackAlignment()
        >>> task = Network("mlp", [8]).task(data, seed=0)
        >>> for each in (exact, estimator):
        ...     each.build(task)
        >>> matrix = estimator.feedback[0].assign(tf.transpose(task.weights[2]))  # B = Wᵀ
        >>> batch = data.train.x[:16], data.train.y[:16], tf.zeros([2], tf.int64)
        >>> pairs = zip(estimator.estimate(*batch).gradients, exact.estimate(*batch).gradients)
        >>> max(float(tf.norm(estimate - gradient)) for estimate, gradient in pairs) < 1e-6
        True
    """

    def __init__(self, boundaries: Sequence[str] | None = None):
        super().__init__()
        require_boundaries(boundaries)
        self.boundaries = boundaries

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Cut the network and draw the matrices from the run's seed."""
        super().build(task, run)
        self._modules = tuple(split(task, self.boundaries))
        outputs = task.network.output_shape[-1]
        self.feedback = [
            _feedback(module, outputs, hash_seed(run.seed, Stream.FEEDBACK + number))
            for number, module in enumerate(self._modules[:-1])
        ]

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return loss, outputs and each module's own gradients; see `GradientEstimator.estimate` for shapes."""
        passes, loss, error = forward(self.task, self._modules, x, y, seed)
        pairs = zip(self.feedback, passes[:-1], strict=True)
        signals = [tf.reshape(error @ matrix, module_pass.leaving.shape) for matrix, module_pass in pairs]
        gradients = []
        for module_pass, signal in zip(passes, [*signals, error], strict=True):
            gradients += module_pass.backward(signal, below=False)[0]
        return GradientEstimate(loss, passes[-1].leaving, gradients)

    def cost(self, batch_size: int) -> float:
        """Return the cost from multiply-accumulates: forward pass, weight gradients and products with the matrices.

        Backpropagation inside a module of several layers also counts. The gradient at a module's input does not, since
        it is not needed.
        """
        backward = sum(2 * module.products - module.first_products for module in self._modules)
        forward_pass = sum(module.products for module in self._modules)
        feedback = sum(math.prod(matrix.shape) for matrix in self.feedback)
        return batch_size * (forward_pass + backward + feedback) / gradient_products(self._modules)


def _feedback(module: NetworkModule, outputs: int, seed: int) -> tf.Variable:
    """Draw B_i, (outputs, size of the module's output)."""
    shape = outputs, math.prod(module.output_shape)
    matrix = np.random.default_rng(seed).standard_normal(shape) / math.sqrt(outputs)
    return tf.Variable(matrix.astype(np.float32), trainable=False)
