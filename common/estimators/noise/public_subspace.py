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

import tensorflow as tf

from common.checks import require
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimator, RunContext
from common.estimators.noise.amplified_subspace import AmplifiedSubspace
from common.estimators.noise.data_partition import share_estimates
from common.estimators.noise.public_examples import PublicExamples
from common.randomness import Stream, permutation
from common.tasks.task import Task


class PublicSubspace(AmplifiedSubspace):
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
        super().__init__(inner, dimensions=dimensions, amplification=amplification, refresh_every=refresh_every)
        require(examples >= 1, "examples", "≥ 1", examples)
        require(examples % dimensions == 0, "dimensions", f"a divisor of the {examples:,} public examples", dimensions)
        self.examples = examples

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Store the public examples and create the basis, which is zero until the first step computes it."""
        super().build(task, run)
        self._public = PublicExamples(run, self.examples)
        self._exact = Backpropagation()
        self._exact.build(task, run)

    def columns(self, seed: tf.Tensor) -> tf.Tensor:
        """Return the gradients of d groups of public examples, (P, d) float32; see `AmplifiedSubspace.columns`."""
        own_seed = tf.random.fold_in(seed, Stream.PUBLIC)
        dealt = self._public.taken(permutation(self.examples, own_seed))
        gradients = share_estimates(self._exact, *dealt, self.dimensions, seed).gradients
        rows = tf.concat([tf.reshape(part, [self.dimensions, -1]) for part in gradients], 1)
        # Of length one before they are orthogonalized: else rounding would drown the small ones.
        return tf.transpose(tf.math.l2_normalize(rows, axis=1, epsilon=1e-30))

    def cost(self, batch_size: int) -> float:
        """Return the cost of the wrapped estimator, plus that of the public gradients at each refresh."""
        return super().cost(batch_size) + self.examples / self.refresh_every
