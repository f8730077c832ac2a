"""Images of the exact and the predicted gradient of a layer's activations."""

from __future__ import annotations

import tensorflow as tf

from common.diagnostics.diagnostic import Measured
from common.diagnostics.synthetic_pictures import SyntheticPictures
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients


class BoundaryGradients(SyntheticPictures):
    """Exact and synthetic gradient of the activations at the topmost boundary on one batch, at the end of a run.

    Both are gradients of the mean loss: `boundary_gradient` and `synthetic_boundary_gradient`, (examples, *shape of an
    activation) each. `BoundaryAlignment` measures the cosine between them during the run, at every boundary.

    Args:
        examples: size of the batch, ≥ 1; it has the first training examples.

    Raises:
        ValueError: `examples` is below 1; in the call, the estimator is not a `SyntheticGradients`.
    """

    estimator_class, model_name = SyntheticGradients, "predictors"

    def _pictures(self, estimator: SyntheticGradients, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Measured:
        exact, synthetic = estimator.boundary_gradients(x, y, seed)[-1]
        return {"boundary_gradient": exact.numpy(), "synthetic_boundary_gradient": synthetic.numpy()}
