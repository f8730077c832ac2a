"""Longer steps within a random subspace: what public gradients are compared with.

The control of `public_subspace` with the same dimension, amplification and refreshes, in which the basis knows nothing
of the data:

    V = orthonormal basis of d Gaussian vectors  (P, d)        p = ĝ + (κ - 1) V Vᵀ ĝ
"""

from __future__ import annotations

import tensorflow as tf

from common.estimators.noise.amplified_subspace import AmplifiedSubspace
from common.randomness import Stream


class RandomSubspace(AmplifiedSubspace):
    """Another estimator's direction, amplified within the span of Gaussian vectors.

    Its state is the basis, (P, d) float32.

    Its arguments and errors are those of `AmplifiedSubspace`.
    """

    def columns(self, seed: tf.Tensor) -> tf.Tensor:
        """Return d directions of a sphere, (P, d) float32; see `AmplifiedSubspace.columns`."""
        own_seed = tf.random.fold_in(seed, Stream.SUBSPACE)
        drawn = tf.random.stateless_normal([self.task.parameter_count, self.dimensions], own_seed)
        return tf.math.l2_normalize(drawn, axis=0)
