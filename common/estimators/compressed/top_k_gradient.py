"""Sparse gradients: the largest coordinates are sent, and the others wait in the residual until they are large.

All weights together have P coordinates. With a fraction φ, k = max(1, round(φ P)):

    C(p)_i = p_i    for the k coordinates of largest |p_i|        0 elsewhere

Source: arXiv 1704.05021, which drops 99 % and keeps them as a residual. Deviations: the threshold is the exact k-th
largest magnitude, which the source estimates from a sample. Each index counts as an int32, which the source packs.
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
        fraction: φ in (0, 1], the fraction of all coordinates; at least one is sent. The source uses 0.01.
        error_feedback: see `CompressedGradient`; without it, small coordinates are never sent.

    Raises:
        ValueError: an argument has the wrong type or is out of range.

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
        """The number k of coordinates sent; known after `build`."""
        return max(1, round(self.fraction * self.task.parameter_count))

    def compressed(self, gradients: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:  # noqa: ARG002 - the signature of CompressedGradient
        """Return the k largest coordinates, and zeros elsewhere; see `CompressedGradient.compressed`."""
        vector = flatten(gradients)
        chosen = largest(tf.abs(vector), self.coordinates)
        sent = tf.scatter_nd(chosen[:, None], tf.gather(vector, chosen), vector.shape)
        return unflatten(sent, gradients)

    def bytes_sent(self, batch_size: int) -> float:  # noqa: ARG002 - the signature of GradientEstimator
        """Return the bytes of one value and one index for each of the k coordinates."""
        return float(self.coordinates * (FLOAT_BYTES + INDEX_BYTES))


def largest(magnitudes: tf.Tensor, count: int) -> tf.Tensor:
    """Return the indices of the `count` largest of the magnitudes, (P,) ≥ 0, unordered: (count,) int32.

    The largest magnitudes lie in at most `count` groups, those with the largest maxima. The search covers P/b maxima,
    then b · count magnitudes. This is least for b = √(P / count), and several times as fast as a search of all.
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
