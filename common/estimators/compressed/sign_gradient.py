"""Sign gradients: one bit per coordinate, scaled by the mean magnitude.

For each weight tensor of n coordinates,

    C(p) = (‖p‖₁ / n) sign(p)

Error feedback sends later what a step rounds away, and so removes the bias of the signs. Without it, the estimate is
biased, and small coordinates move as far as large ones.

Source: signSGD, arXiv 1802.04434, algorithm 1, scaled as in arXiv 1901.09847, section 4. Deviations: in the source, the
learning rate alone sets the length of a step. Ours keeps the scale, one float32 per tensor, so that learning rates are
those of the wrapped estimator. One bit has no zero. Coordinates that are exactly zero are sent as + in even steps and
as - in odd steps. A weight with zero gradient thus stays in place. The source takes the majority vote of several
workers; here there is one worker.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from common.estimators.compressed.compressed_gradient import FLOAT_BYTES, CompressedGradient
from common.estimators.estimator import GradientEstimator

_SMALLEST = 1.1754944e-38  # float32 above zero that is not denormal, which processors may take for zero


class SignGradient(CompressedGradient):
    """Another estimator's gradients as signs, scaled by the mean magnitude in each weight tensor.

    Args:
        inner: any estimator.
        error_feedback: see `CompressedGradient`; its source shows why signs need it.

    Raises:
        ValueError: an argument has the wrong type.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = SignGradient(Backpropagation())
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().tolist()  # of (1, -0.375)
        [0.6875, -0.6875]
    """

    def __init__(self, inner: GradientEstimator, *, error_feedback: bool = True):
        super().__init__(inner, error_feedback)

    def compressed(self, gradients: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
        """Return (‖p‖₁ / n) sign(p) per tensor; see `CompressedGradient.compressed`."""
        positive_from = tf.where(seed[1] % 2 == 0, 0.0, _SMALLEST)
        return [_signs(part, positive_from) for part in gradients]

    def bytes_sent(self, batch_size: int) -> float:  # noqa: ARG002 - the signature of GradientEstimator
        """Return the bytes of one bit per coordinate, in whole bytes per tensor, and of its scale."""
        counts = (math.prod(weight.shape) for weight in self.task.weights)
        return float(sum(math.ceil(count / 8) + FLOAT_BYTES for count in counts))


def _signs(tensor: tf.Tensor, positive_from: tf.Tensor) -> tf.Tensor:
    """Return ± the mean magnitude; NaN where an entry is NaN, so that a non-finite gradient stays non-finite."""
    scale = tf.reduce_mean(tf.abs(tensor))
    return tf.where(tensor >= positive_from, scale, -scale)
