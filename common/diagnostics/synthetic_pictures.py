"""The base of images of two gradients of one batch: the exact one and the output of an estimator's models."""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.estimators.estimator import GradientEstimator
from common.randomness import Stream, key
from common.training.history import Moment


class SyntheticPictures(Diagnostic):
    """Exact and synthetic gradient on the first training examples, at the end of a run; subclasses choose the variable.

    Args:
        examples: size of the batch, ≥ 1; it has the first training examples.

    Raises:
        ValueError: `examples` is below 1; in the call, the estimator is not an `estimator_class`.

    Attributes:
        estimator_class: the class of estimators whose gradients are shown.
        model_name: that class's name for its models, in the plural, for the error message.
    """

    at = "end"
    estimator_class: type[GradientEstimator]
    model_name: str

    def __init__(self, examples: int):
        require(examples >= 1, "examples", "≥ 1", examples)
        self.examples = examples

    def measure(self, moment: Moment) -> Measured:
        """Return the two images by name; the subclass gives their shapes."""
        estimator, split = moment.estimator, moment.dataset.train
        if not isinstance(estimator, self.estimator_class):
            shown = f"{self.model_name} of {self.estimator_class.__name__}"
            raise ValueError(f"{type(self).__name__} shows {shown}; {estimator!r} has none")
        batch = tf.constant(split.x[: self.examples]), tf.constant(split.y[: self.examples])
        return self._pictures(estimator, *batch, key(moment.seed, Stream.PICTURES, moment.epoch))

    def _pictures(self, estimator: GradientEstimator, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Measured:
        raise NotImplementedError(f"{type(self).__name__} does not implement _pictures(estimator, x, y, seed)")
