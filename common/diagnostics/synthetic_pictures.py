"""The base of pictures of two gradients of one batch, the exact one and what an estimator's models say it is."""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.estimators.estimator import GradientEstimator
from common.randomness import Stream, key
from common.training.history import Moment


class SyntheticPictures(Diagnostic):
    """Exact and synthetic gradient on the first training examples, at the end of a run; subclasses say of what.

    Args:
        examples: ≥ 1, the first training examples, which make the batch.

    Raises:
        ValueError: `examples` below 1; by the call, an estimator of another class than `estimator_class`.

    Attributes:
        estimator_class: whose gradients are pictured.
        model_name: what that class calls its models, in the plural, for the error.
    """

    at = "end"
    estimator_class: type[GradientEstimator]
    model_name: str

    def __init__(self, examples: int):
        require(examples >= 1, "examples", "≥ 1", examples)
        self.examples = examples

    def measure(self, moment: Moment) -> Measured:
        """Return the two pictures by name; see the subclass for their shapes."""
        estimator, split = moment.estimator, moment.dataset.train
        if not isinstance(estimator, self.estimator_class):
            shown = f"{self.model_name} of {self.estimator_class.__name__}"
            raise ValueError(f"{type(self).__name__} shows {shown}; {estimator!r} has none")
        batch = tf.constant(split.x[: self.examples]), tf.constant(split.y[: self.examples])
        return self._pictures(estimator, *batch, key(moment.seed, Stream.PICTURES, moment.epoch))

    def _pictures(self, estimator: GradientEstimator, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Measured:
        raise NotImplementedError(f"{type(self).__name__} does not implement _pictures(estimator, x, y, seed)")
