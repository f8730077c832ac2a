"""Inexact Newton by conjugate gradients that stop at negative curvature (Nocedal and Wright, algorithm 7.1).

    (H + γI) p = g    by at most k steps of conjugate gradients from p = 0, until ‖r‖ ≤ min(1/2, √‖g‖) ‖g‖

Here H is the Hessian on a few of the minibatch's examples. A search direction d with dᵀ(H + γI)d ≤ 0 ends the
iteration. The previous p is then kept, or p = g if d is the first one. Negative curvature is avoided and never used,
unlike in `saddle_free_newton`. This estimator serves for comparison.

Deviations from the source: damping is added, and the optimizer's learning rate or a line search sets the step's length.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from common.checks import require
from common.curvature.operators import PRODUCT_COST, HessianOperator
from common.estimators.estimator import (
    UNKNOWN_RUN,
    GradientEstimate,
    GradientEstimator,
    RunContext,
    require_estimator,
)
from common.estimators.newton.line_search import ArmijoLineSearch, require_line_search
from common.tasks.task import Task
from common.vectors import flatten, unflatten


class NewtonCG(GradientEstimator):
    """Another estimator's gradient, divided approximately by the damped Hessian with a few products. It has no state.

    Args:
        inner: any estimator.
        iterations: k ≥ 1, the largest number of products per step.
        damping: γ > 0, in units of curvature.
        hessian_batch: number of examples for the curvature, ≥ 1. These are the first of the minibatch, or all of a
            smaller last one.
        line_search: sets the step's length by the loss of the minibatch; None: the optimizer's learning rate sets it.

    Raises:
        ValueError: an argument has the wrong type or is out of range. `estimate` raises it for a minibatch smaller than
            hessian_batch, except an epoch's smaller last one.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.0)).task(examples(), seed=0)
        >>> estimator = NewtonCG(Backpropagation(), damping=1.0, hessian_batch=2)
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().astype(float).round(4).tolist()  # u / (1 + γ)
        [0.5, 0.0]
    """

    def __init__(
        self,
        inner: GradientEstimator,
        iterations: int = 5,
        damping: float = 1.0,
        hessian_batch: int = 64,
        *,
        line_search: ArmijoLineSearch | None = None,
    ):
        super().__init__()
        require_estimator("inner", inner)
        require(iterations >= 1, "iterations", "≥ 1", iterations)
        require(0 < damping < math.inf, "damping", "> 0 and finite", damping)
        require(hessian_batch >= 1, "hessian_batch", "≥ 1", hessian_batch)
        require_line_search(line_search)
        self.inner, self.iterations, self.damping = inner, iterations, damping
        self.hessian_batch, self.line_search = hessian_batch, line_search

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Store the size of a full minibatch."""
        super().build(task, run)
        self._whole_batch = run.batch_size

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate the gradient, then divide it; see `GradientEstimator.estimate` for shapes."""
        batch = max(self._whole_batch or 0, x.shape[0])  # an epoch's last one may be smaller
        require(
            self.hessian_batch <= batch,
            "hessian_batch",
            f"at most the minibatch's {batch:,} examples",
            self.hessian_batch,
        )
        estimate = self.inner.estimate(x, y, seed)
        few = x[: self.hessian_batch], y[: self.hessian_batch]
        product = HessianOperator(self.task, *few, seed, damping=self.damping).product()
        solution = conjugate_gradients(product, flatten(estimate.gradients), self.iterations)
        direction = unflatten(solution, estimate.gradients)
        if self.line_search:
            batch = x, y, seed
            direction = self.line_search.shortened(direction, self.task, batch, estimate.loss, estimate.gradients)
        return estimate._replace(gradients=direction)

    def cost(self, batch_size: int) -> float:
        """Return an upper bound: the wrapped estimator and all k products, although the iteration may stop earlier.

        One product costs two gradients of the same examples, and all products share one more gradient.
        """
        products = min(self.hessian_batch, batch_size) * (1 + PRODUCT_COST * self.iterations)
        search = self.line_search.cost(batch_size) if self.line_search else 0.0
        return self.inner.cost(batch_size) + products + search


def conjugate_gradients(
    product: Callable[[tf.Tensor], tf.Tensor], gradient: tf.Tensor, iterations: int, tolerance: float | None = None
) -> tf.Tensor:
    """Solve A p = g approximately from p = 0, as in the module docstring; return p, (P,) float32, with pᵀg ≥ 0.

    Args:
        product: maps a vector, (P,), to its product with A; A is symmetric.
        gradient: g, (P,) float32.
        iterations: the largest number of products, ≥ 1.
        tolerance: the bound on ‖r‖/‖g‖; None: min(1/2, √‖g‖), with which Newton's method converges superlinearly.
    """
    norm = tf.norm(gradient)
    enough = (tf.minimum(0.5, tf.sqrt(norm)) if tolerance is None else tolerance) * norm

    def one_step(number, _, solution, residual, along):
        curved = product(along)
        curvature = tf.tensordot(along, curved, 1)
        square = tf.tensordot(residual, residual, 1)
        positive = ~(curvature <= 0.0)  # what is not a number goes on, and ends the run
        length = tf.where(positive, square / tf.where(positive, curvature, 1.0), 0.0)
        remaining = residual - length * curved
        following = remaining + tf.tensordot(remaining, remaining, 1) / tf.maximum(square, 1e-30) * along
        uphill = solution + length * along
        updated = tf.where((number == 0) & ~positive, gradient, uphill)
        return number + 1, positive, updated, remaining, following

    start = (tf.constant(0), tf.constant(True), tf.zeros_like(gradient), gradient, gradient)
    _, _, solution, _, _ = tf.while_loop(
        lambda number, positive, _, residual, __: (number < iterations) & positive & ~(tf.norm(residual) <= enough),
        one_step,
        start,
        parallel_iterations=1,
    )
    return solution
