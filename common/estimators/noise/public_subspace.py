"""Longer steps in the span of the gradients of a few public examples.

Noise affects all P coordinates equally, but the gradient stays close to a few directions. Public examples reveal these
directions (arXiv 2007.03813): the gradients of d groups of them span a subspace. A step of the same length within it
gains more for the same noise. With V an orthonormal basis of that span and ĝ the estimate of another estimator,

    V = orthonormal basis of [∇L(group 1), ..., ∇L(group d)]  (P, d)        p = ĝ + (κ - 1) V Vᵀ ĝ

so that the learning rate is η κ within the subspace and η outside. Only V comes from the public examples. The length of
the step along V comes from ĝ, and hence from all data. V is recomputed every few steps, from another grouping, and so
follows the weights.

Deviations from the paper: it projects (κ → ∞ at constant ηκ) and so never leaves the span of public gradients. Its
basis consists of the top eigenvectors of the second moment of these gradients.
"""

from __future__ import annotations

import math

import tensorflow as tf

from common.checks import require
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import (
    UNKNOWN_RUN,
    GradientEstimate,
    GradientEstimator,
    RunContext,
    require_estimator,
)
from common.estimators.noise.data_partition import share_estimates
from common.randomness import Stream, permutation
from common.tasks.task import Task
from common.vectors import flatten, unflatten


class PublicSubspace(GradientEstimator):
    """Another estimator's direction, amplified within the span of public gradients.

    Its state is the basis, (P, d) float32, and the public examples.

    Args:
        inner: any estimator, such as a NoisyGradient.
        examples: m ≥ 1; the first m training examples of the run are public.
        dimensions: d, the number of groups of public examples; a divisor of m.
        amplification: κ ≥ 1; 1 leaves the direction unchanged.
        refresh_every: number of steps, ≥ 1, after which the basis is recomputed.

    Raises:
        ValueError: an argument has the wrong type or is out of range. `build` raises it for more dimensions than the
            network has parameters, and for fewer training examples than public ones.
    """

    def __init__(
        self,
        inner: GradientEstimator,
        *,
        examples: int,
        dimensions: int,
        amplification: float,
        refresh_every: int = 10,
    ):
        super().__init__()
        require_estimator("inner", inner)
        require(dimensions >= 1, "dimensions", "≥ 1", dimensions)
        require(examples >= 1, "examples", "≥ 1", examples)
        require(examples % dimensions == 0, "dimensions", f"a divisor of the {examples:,} public examples", dimensions)
        require(1 <= amplification < math.inf, "amplification", "≥ 1 and finite", amplification)
        require(refresh_every >= 1, "refresh_every", "≥ 1", refresh_every)
        self.inner, self.examples, self.dimensions = inner, examples, dimensions
        self.amplification, self.refresh_every = amplification, refresh_every

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Store the public examples and create the basis, which is zero until the first step computes it."""
        super().build(task, run)
        owned = 0 if run.split is None else len(run.split)
        require(self.examples <= owned, "examples", f"at most the run's {owned:,} training examples", self.examples)
        self._exact = Backpropagation()
        self._exact.build(task, run)
        # Variables: another seed may have other training examples. GPUs keep no variables of 32-bit integers.
        x, y = (tf.convert_to_tensor(part[: self.examples]) for part in (run.split.x, run.split.y))
        self._x = tf.Variable(x, trainable=False)
        self._y = tf.Variable(tf.cast(y, tf.int64) if y.dtype.is_integer else y, trainable=False)
        allowed = f"at most the network's {task.parameter_count:,} parameters"
        require(self.dimensions <= task.parameter_count, "dimensions", allowed, self.dimensions)
        self.basis = tf.Variable(tf.zeros([task.parameter_count, self.dimensions]), trainable=False)

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
        own_seed = tf.random.fold_in(seed, Stream.PUBLIC)
        order = permutation(self.examples, own_seed)
        dealt = (tf.gather(self._x, order), tf.gather(self._y, order))
        gradients = share_estimates(self._exact, *dealt, self.dimensions, seed).gradients
        rows = tf.concat([tf.reshape(part, [self.dimensions, -1]) for part in gradients], 1)
        # Of length one before they are orthogonalized: else rounding would drown the small ones.
        columns = tf.transpose(tf.math.l2_normalize(rows, axis=1, epsilon=1e-30))
        # A zero gradient points nowhere; the decomposition would make up a direction for it.
        points = tf.cast(tf.reduce_any(rows != 0.0, axis=1), tf.float32)
        self.basis.assign(tf.linalg.qr(columns).q * points)
        return tf.constant(True)

    def cost(self, batch_size: int) -> float:
        """Return the cost of the wrapped estimator, plus that of the public gradients at each refresh."""
        return self.inner.cost(batch_size) + self.examples / self.refresh_every
