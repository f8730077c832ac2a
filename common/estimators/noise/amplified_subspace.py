"""Longer steps within a subspace: what estimators that choose the subspace differently have in common.

With V an orthonormal basis (P, d) and ĝ the estimate of another estimator,

    p = ĝ + (κ - 1) V Vᵀ ĝ

so that the learning rate is η κ within the subspace and η outside.
"""

from __future__ import annotations

import math

import tensorflow as tf

from common.checks import require
from common.estimators.estimator import (
    UNKNOWN_RUN,
    GradientEstimate,
    GradientEstimator,
    RunContext,
    require_estimator,
)
from common.tasks.task import Task
from common.vectors import flatten, unflatten


class AmplifiedSubspace(GradientEstimator):
    """Another estimator's direction, amplified within a subspace. Subclasses implement `columns`.

    Its state is the basis, (P, d) float32.

    Args:
        inner: any estimator, such as a NoisyGradient.
        dimensions: d ≥ 1.
        amplification: κ ≥ 1; 1 leaves the direction unchanged.
        refresh_every: number of steps, ≥ 1, after which the basis is computed anew.

    Raises:
        ValueError: an argument has the wrong type or is out of range. `build` raises it for more dimensions than the
            network has parameters.
    """

    def __init__(self, inner: GradientEstimator, *, dimensions: int, amplification: float, refresh_every: int = 10):
        super().__init__()
        require_estimator("inner", inner)
        require(dimensions >= 1, "dimensions", "≥ 1", dimensions)
        require(1 <= amplification < math.inf, "amplification", "≥ 1 and finite", amplification)
        require(refresh_every >= 1, "refresh_every", "≥ 1", refresh_every)
        self.inner, self.dimensions = inner, dimensions
        self.amplification, self.refresh_every = amplification, refresh_every

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Create the basis, which is zero until the first step computes it."""
        super().build(task, run)
        allowed = f"at most the network's {task.parameter_count:,} parameters"
        require(self.dimensions <= task.parameter_count, "dimensions", allowed, self.dimensions)
        self.basis = tf.Variable(tf.zeros([task.parameter_count, self.dimensions]), trainable=False)

    def columns(self, seed: tf.Tensor) -> tf.Tensor:
        """Return vectors that span the subspace, (P, d) float32, each of length one or zero.

        Args:
            seed: (2,) int64, as in `estimate`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement columns(seed)")

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate, then amplify; see `GradientEstimator.estimate` for shapes. Loss and outputs are unchanged."""
        estimate = self.inner.estimate(x, y, seed)
        due = seed[1] % self.refresh_every == 0
        tf.cond(due, lambda: self._refresh(seed), lambda: tf.constant(False))
        direction = flatten(estimate.gradients)
        inside = tf.linalg.matvec(self.basis, tf.linalg.matvec(self.basis, direction, transpose_a=True))
        amplified = direction + (self.amplification - 1.0) * inside
        return estimate._replace(gradients=unflatten(amplified, estimate.gradients))

    def _refresh(self, seed: tf.Tensor) -> tf.Tensor:
        columns = self.columns(seed)
        # A zero column points nowhere; the decomposition would make up a direction for it.
        points = tf.cast(tf.reduce_any(columns != 0.0, axis=0), tf.float32)
        self.basis.assign(tf.linalg.qr(columns).q * points)
        return tf.constant(True)

    def cost(self, batch_size: int) -> float:
        """Return the cost of the wrapped estimator."""
        return self.inner.cost(batch_size)
