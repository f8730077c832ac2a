"""The closeness of synthetic and exact gradients at each boundary between modules."""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.randomness import Stream, key
from common.training.history import Moment
from common.vectors import cosine


class BoundaryAlignment(Diagnostic):
    """The cosine of the angle between synthetic and exact gradients at each boundary.

    It compares the predictor's output with the gradient backpropagated from the loss. Both are vectors over all
    activations of the boundary and all examples of one minibatch. The predictors do not learn from these examples.

    Args:
        batch_size: examples in the minibatch, ≥ 1; all training examples if there are fewer.

    Raises:
        ValueError: `batch_size` is below 1; in the call, the estimator is not a `SyntheticGradients`.
    """

    def __init__(self, batch_size: int):
        require(batch_size >= 1, "batch_size", "≥ 1", batch_size)
        self.batch_size = batch_size

    def measure(self, moment: Moment) -> Measured:
        """Return `cosine_boundary_1` and so on, from the input up; NaN while a predictor's output is zero."""
        estimator, split = moment.estimator, moment.dataset.train
        if not isinstance(estimator, SyntheticGradients):
            raise ValueError(f"BoundaryAlignment compares predictors of SyntheticGradients; {estimator!r} has none")
        sampled = key(moment.seed, Stream.BOUNDARY_ALIGNMENT, moment.epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(split)), seed=sampled)
        chosen = order[: self.batch_size].numpy()
        batch = (tf.constant(split.x[chosen]), tf.constant(split.y[chosen]), sampled)
        cosines = self._once([estimator], lambda: _traced_cosines(estimator, batch))
        angles = cosines(*batch)
        return {f"cosine_boundary_{place}": float(angle) for place, angle in enumerate(angles, 1)}


def _traced_cosines(estimator: SyntheticGradients, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]):
    def cosines(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        return [cosine([exact], [synthetic]) for exact, synthetic in estimator.boundary_gradients(x, y, seed)]

    # A concrete function avoids TensorFlow's retracing warning, which confuses the functions of several runs.
    return tf.function(cosines, jit_compile=False, autograph=False).get_concrete_function(*batch)
