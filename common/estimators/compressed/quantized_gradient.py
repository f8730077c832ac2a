"""Quantized gradients: each coordinate is rounded at random to a few levels, without bias (QSGD).

All gradients form one vector, which is cut into buckets of d coordinates. Within a bucket v, with s levels,

    C(v)_i = ‖v‖₂ sign(v_i) ξ_i / s        ξ_i = ⌊a_i⌋ + (1 with probability a_i - ⌊a_i⌋)        a_i = s |v_i| / ‖v‖₂

so that E C(v) = v and E‖C(v) - v‖² ≤ min(d/s², √d/s) ‖v‖². Smaller buckets and more levels reduce the error.

Source: arXiv 1610.02132, section 3.1. Deviation: the source's Elias code is shorter on average. Here each coordinate
takes the ⌈log₂(2s + 1)⌉ bits of a fixed-length code, so that the bytes do not depend on the gradient. The defaults are
those of the source's experiments: 4 bits in buckets of 512.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from common.checks import require
from common.estimators.compressed.compressed_gradient import FLOAT_BYTES, CompressedGradient
from common.estimators.estimator import GradientEstimator
from common.randomness import Stream
from common.vectors import flatten, unflatten


class QuantizedGradient(CompressedGradient):
    """Another estimator's gradients, rounded at random to s levels of either sign in each bucket.

    Args:
        inner: any estimator.
        levels: s ≥ 1, the number of levels above zero; 7 levels of either sign and zero take 4 bits.
        bucket: d ≥ 1, the number of coordinates that share a norm. The last bucket may be smaller.
        error_feedback: see `CompressedGradient`. Its theory requires a contraction, min(d/s², √d/s) < 1. The defaults
            do not satisfy this, and the residual may grow.

    Raises:
        ValueError: an argument has the wrong type or is out of range.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = QuantizedGradient(Backpropagation(), levels=1)
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.constant([0, 3], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().astype(float).round(3).tolist()  # of (1, -0.375): 0 or ±‖g‖
        [1.068, 0.0]
    """

    def __init__(self, inner: GradientEstimator, levels: int = 7, *, bucket: int = 512, error_feedback: bool = False):
        super().__init__(inner, error_feedback)
        require(isinstance(levels, int) and levels >= 1, "levels", "an integer ≥ 1", levels)
        require(isinstance(bucket, int) and bucket >= 1, "bucket", "an integer ≥ 1", bucket)
        self.levels, self.bucket = levels, bucket

    def compressed(self, gradients: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
        """Return all gradients, each bucket rounded to s levels of its norm; see `CompressedGradient.compressed`."""
        padded = [*gradients, tf.zeros([-self.task.parameter_count % self.bucket])]
        buckets = tf.reshape(flatten(padded), [-1, self.bucket])
        own_seed = tf.random.fold_in(seed, Stream.QUANTIZATION + self._depth())
        uniform = tf.random.stateless_uniform(buckets.shape, own_seed)
        norms = tf.norm(buckets, axis=1, keepdims=True)
        # A bucket of zeros has a norm of zero. ⌊a + u⌋ rounds up with probability a - ⌊a⌋, below zero too.
        rounded = tf.floor(buckets * (self.levels / tf.maximum(norms, 1e-30)) + uniform)
        return unflatten(tf.reshape(rounded * (norms / self.levels), [-1]), padded)[:-1]

    def bytes_sent(self, batch_size: int) -> float:  # noqa: ARG002 - the signature of GradientEstimator
        """Return the bytes of ⌈log₂(2s + 1)⌉ bits per coordinate and one float32 per bucket."""
        count, bits = self.task.parameter_count, math.ceil(math.log2(2 * self.levels + 1))
        return float(math.ceil(count * bits / 8) + FLOAT_BYTES * math.ceil(count / self.bucket))

    def _depth(self) -> int:
        """Return the number of nested estimators of this class; each depth has its own random numbers."""
        return sum(isinstance(part, QuantizedGradient) for part in self.submodules)
