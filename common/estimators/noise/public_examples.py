"""The training examples that a server owns and may take exact gradients of."""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.estimators.estimator import RunContext


class PublicExamples(tf.Module):
    """The first m training examples of a run, as variables.

    Args:
        run: the run, whose split has at least m examples.
        count: m ≥ 1.

    Attributes:
        x: (m, *input_shape) float32.
        y: (m,) int64 labels or (m, 1) float32 targets.

    Raises:
        ValueError: the run has fewer training examples.
    """

    def __init__(self, run: RunContext, count: int):
        super().__init__()
        owned = 0 if run.split is None else len(run.split)
        require(count <= owned, "examples", f"at most the run's {owned:,} training examples", count)
        # Variables: another seed may have other training examples. GPUs keep no variables of 32-bit integers.
        x, y = (tf.convert_to_tensor(part[:count]) for part in (run.split.x, run.split.y))
        self.x = tf.Variable(x, trainable=False)
        self.y = tf.Variable(tf.cast(y, tf.int64) if y.dtype.is_integer else y, trainable=False)

    def taken(self, order: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the examples and targets at some places, in their order."""
        return tf.gather(self.x, order), tf.gather(self.y, order)
