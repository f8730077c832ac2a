"""One bit for each coordinate: the sign of the gradient, at the scale of its mean magnitude.

For each weight tensor of n coordinates,

    C(p) = (‖p‖₁ / n) sign(p)

With error feedback nothing that a step rounds away is lost, and the bias of the signs with it; without, this is not
unbiased, and small coordinates are moved as far as large ones.

Source: signSGD, arXiv 1802.04434, algorithm 1, scaled as in arXiv 1901.09847, section 4. Deviations: the source's step
has the length of the learning rate alone, ours keeps the scale, one float32 for each tensor, so that learning rates are
those of the wrapped estimator. One bit has no zero: coordinates that are exactly zero are sent as + in even steps and
as - in odd ones, so that a weight whose gradient stays zero goes nowhere. The source's majority vote of several workers
is the mean of one here.
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
        ValueError: an argument of another kind.

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
        """Return (‖p‖₁ / n) sign(p) for each tensor; see `CompressedGradient.compressed`."""
        positive_from = tf.where(seed[1] % 2 == 0, 0.0, _SMALLEST)
        return [_signs(part, positive_from) for part in gradients]

    def bytes_sent(self, batch_size: int) -> float:  # noqa: ARG002 - the signature of GradientEstimator
        """A bit for each coordinate, in whole bytes for each tensor, and its scale."""
        counts = (math.prod(weight.shape) for weight in self.task.weights)
        return float(sum(math.ceil(count / 8) + FLOAT_BYTES for count in counts))


def _signs(tensor: tf.Tensor, positive_from: tf.Tensor) -> tf.Tensor:
    """Return ± the mean magnitude; NaN where an entry is NaN, so that a step that is not finite stays such."""
    scale = tf.reduce_mean(tf.abs(tensor))
    return tf.where(tensor >= positive_from, scale, -scale)
