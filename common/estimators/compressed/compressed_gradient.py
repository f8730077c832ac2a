"""The base class of gradient compressors: it holds the wrapped estimator and the error feedback.

A compressor C sends C(g_t) in place of another estimator's gradient g_t. With error feedback (arXiv 1901.09847,
algorithm 2), the lost part is added to the next gradient, so that nothing is lost forever:

    p_t = g_t + e_t        ĝ_t = C(p_t)        e_{t+1} = p_t - ĝ_t        Σ_{s ≤ t} ĝ_s + e_{t+1} = Σ_{s ≤ t} g_s

Deviation from the source: the residual e is in units of the gradient, before the optimizer and its learning rate, as in
arXiv 1905.13727. With plain gradient descent at a constant learning rate, both are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

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

FLOAT_BYTES = 4  # of a float32
INDEX_BYTES = 4  # of an int32, which tells the place of a coordinate


class CompressedGradient(GradientEstimator):
    """Base class of the compressors: it returns another estimator's gradients as the receiver decompresses them.

    Subclasses implement `compressed` and `bytes_sent`. With error feedback, the state holds the residuals: one float32
    variable per weight tensor, of the same shape, initially zero.

    Args:
        inner: any estimator.
        error_feedback: whether the part that one step loses is added to the next step's gradient.

    Raises:
        ValueError: an argument has the wrong type.
    """

    def __init__(self, inner: GradientEstimator, error_feedback: bool):
        super().__init__()
        require_estimator("inner", inner)
        require(isinstance(error_feedback, bool), "error_feedback", "True or False", error_feedback)
        self.inner, self.error_feedback = inner, error_feedback

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Attach to the task and set the residuals to zero."""
        super().build(task, run)
        if self.error_feedback:
            self.residuals = [tf.Variable(tf.zeros(weight.shape), trainable=False) for weight in task.weights]

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate, add the residuals, compress; see `GradientEstimator.estimate` for shapes.

        Loss and outputs are unchanged.
        """
        estimate = self.inner.estimate(x, y, seed)
        if not self.error_feedback:
            return estimate._replace(gradients=self.compressed(estimate.gradients, seed))
        due = [gradient + residual for gradient, residual in zip(estimate.gradients, self.residuals, strict=True)]
        sent = self.compressed(due, seed)
        for residual, whole, part in zip(self.residuals, due, sent, strict=True):
            residual.assign(whole - part)
        return estimate._replace(gradients=sent)

    def compressed(self, gradients: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
        """Compress and decompress p; return C(p).

        Args:
            gradients: one float32 tensor per weight tensor.
            seed: (2,) int64, (run seed, global step).

        Returns:
            Tensors of the same shapes.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement compressed(gradients, seed)")

    def cost(self, batch_size: int) -> float:
        """Return the cost of the wrapped estimator: compression needs no gradient."""
        return self.inner.cost(batch_size)

    def bytes_sent(self, batch_size: int) -> float:
        """Return the bytes of the compressed message; see `GradientEstimator.bytes_sent`."""
        raise NotImplementedError(f"{type(self).__name__} does not say how many bytes it sends")

    def epsilon(self, batch_size: int, steps: int) -> float:
        """Return ε of the wrapped estimator: this one sees the examples only through it."""
        return self.inner.epsilon(batch_size, steps)
