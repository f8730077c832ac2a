"""Images of the gradient of a network's last weights: exact, and regressed from activations."""

from __future__ import annotations

import tensorflow as tf

from common.diagnostics.diagnostic import Measured
from common.diagnostics.synthetic_pictures import SyntheticPictures
from common.estimators.decoupled.weight_regression import WeightRegression


class LastWeightGradients(SyntheticPictures):
    """Exact and regressed gradient of the last layer's weights on one batch, at the end of a run.

    They are `weight_gradient` and `synthetic_weight_gradient`, (outputs, inputs of the layer) each.

    Args:
        examples: size of the batch, ≥ 1; it has the first training examples.

    Raises:
        ValueError: `examples` is below 1; in the call, the estimator is not a `WeightRegression`.
    """

    estimator_class, model_name = WeightRegression, "models"

    def _pictures(self, estimator: WeightRegression, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Measured:
        exact, synthetic = estimator.actual_and_synthetic(x, y, seed)
        # The last weights are a kernel, (inputs, outputs), and its bias.
        return {"weight_gradient": exact[-2].numpy().T, "synthetic_weight_gradient": synthetic[-2].numpy().T}
