"""The gradient of a network's last weights, exact and as it is regressed from activations: two pictures."""

from __future__ import annotations

import tensorflow as tf

from common.diagnostics.diagnostic import Measured
from common.diagnostics.synthetic_pictures import SyntheticPictures
from common.estimators.decoupled.weight_regression import WeightRegression


class LastWeightGradients(SyntheticPictures):
    """Exact and regressed gradient of the last layer's weights on one batch, at the end of a run.

    They are `weight_gradient` and `synthetic_weight_gradient`, (outputs, inputs of the layer) each.

    Args:
        examples: ≥ 1, the first training examples, which make the batch.

    Raises:
        ValueError: `examples` below 1; by the call, an estimator that is no `WeightRegression`.
    """

    estimator_class, model_name = WeightRegression, "models"

    def _pictures(self, estimator: WeightRegression, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Measured:
        exact, synthetic = estimator.actual_and_synthetic(x, y, seed)
        # The last weights are a kernel, (inputs, outputs), and its bias.
        return {"weight_gradient": exact[-2].numpy().T, "synthetic_weight_gradient": synthetic[-2].numpy().T}
