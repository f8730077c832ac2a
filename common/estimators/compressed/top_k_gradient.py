"""A few coordinates, the largest: all others wait in the residual until they are large.

With P coordinates in all weights together and a fraction φ, k = max(1, round(φ P)):

    C(p)_i = p_i    for the k coordinates of largest |p_i|        0 elsewhere

Source: arXiv 1704.05021, which drops 99 % and keeps them as a residual. Deviations: the exact k-th largest magnitude is
the threshold, which the source estimates from a sample; each index is counted as an int32, which the source packs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from common.checks import require
from common.estimators.compressed.compressed_gradient import FLOAT_BYTES, INDEX_BYTES, CompressedGradient
from common.estimators.estimator import GradientEstimator
from common.vectors import flatten, unflatten


class TopKGradient(CompressedGradient):
    """The largest coordinates of another estimator's gradients, over all weights together.

    Args:
        inner: any estimator.
        fraction: φ in (0, 1], of all coordinates; at least one is sent. The source's is 0.01.
        error_feedback: see `CompressedGradient`; without it, small coordinates are never sent.

    Raises:
        ValueError: an argument of another kind or out of range.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = TopKGradient(Backpropagation(), fraction=0.5)
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().tolist()  # of (1, -0.375)
        [1.0, 0.0]
    """

    def __init__(self, inner: GradientEstimator, fraction: float = 0.01, *, error_feedback: bool = True):
        super().__init__(inner, error_feedback)
        require(0 < fraction <= 1, "fraction", "in (0, 1]", fraction)
        self.fraction = fraction

    @property
    def coordinates(self) -> int:
        """k, how many are sent; known once `build` was called."""
        return max(1, round(self.fraction * self.task.parameter_count))

    def compressed(self, gradients: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:  # noqa: ARG002 - the signature of CompressedGradient
        """Return the k largest coordinates and zeros; see `CompressedGradient.compressed`."""
        vector = flatten(gradients)
        chosen = largest(tf.abs(vector), self.coordinates)
        sent = tf.scatter_nd(chosen[:, None], tf.gather(vector, chosen), vector.shape)
        return unflatten(sent, gradients)

    def bytes_sent(self, batch_size: int) -> float:  # noqa: ARG002 - the signature of GradientEstimator
        """A value and an index for each of the k coordinates."""
        return float(self.coordinates * (FLOAT_BYTES + INDEX_BYTES))


def largest(magnitudes: tf.Tensor, count: int) -> tf.Tensor:
    """Return the places of the `count` largest magnitudes, (P,) ≥ 0, in no order: (count,) int32.

    No more than `count` groups can hold them, those with the largest maxima. To search P/b maxima, then b · count
    magnitudes, is least with b = √(P / count), and several times as fast as to search all.
    """
    entries = magnitudes.shape[0]
    group = math.isqrt(entries // count)
    if group < 2:
        return tf.math.top_k(magnitudes, count, sorted=False).indices
    groups = -(-entries // group)
    padded = tf.pad(magnitudes, [(0, group * groups - entries)], constant_values=-1.0)
    maxima = tf.reduce_max(tf.reshape(padded, [group, groups]), 0)
    chosen = tf.math.top_k(maxima, count, sorted=False).indices
    places = tf.reshape(chosen[:, None] + groups * tf.range(group), [-1])
    return tf.gather(places, tf.math.top_k(tf.gather(padded, places), count, sorted=False).indices)
