"""The gradient of a network's last weights, exact and as it is regressed from activations: two pictures."""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.estimators.decoupled.weight_regression import WeightRegression
from common.randomness import Stream, key
from common.training.history import Moment


class LastWeightGradients(Diagnostic):
    """Exact and regressed gradient of the last layer's weights on one batch, at the end of a run.

    Args:
        examples: ≥ 1, the first training examples, which make the batch.

    Raises:
        ValueError: `examples` below 1; by the call, an estimator that is no `WeightRegression`.
    """

    at = "end"

    def __init__(self, examples: int):
        require(examples >= 1, "examples", "≥ 1", examples)
        self.examples = examples

    def measure(self, moment: Moment) -> Measured:
        """Return `weight_gradient` and `synthetic_weight_gradient`, (outputs, inputs of the layer) each."""
        estimator, split = moment.estimator, moment.dataset.train
        if not isinstance(estimator, WeightRegression):
            raise ValueError(f"LastWeightGradients shows models of WeightRegression; {estimator!r} has none")
        batch = tf.constant(split.x[: self.examples]), tf.constant(split.y[: self.examples])
        exact, synthetic = estimator.actual_and_synthetic(*batch, key(moment.seed, Stream.PICTURES, moment.epoch))
        # The last weights are a kernel, (inputs, outputs), and its bias.
        return {"weight_gradient": exact[-2].numpy().T, "synthetic_weight_gradient": synthetic[-2].numpy().T}
