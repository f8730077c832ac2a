"""The gradient of a layer's activations, exact and as it is predicted: two pictures."""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.randomness import Stream, key
from common.training.history import Moment


class BoundaryGradients(Diagnostic):
    """Exact and synthetic gradient of the activations at the topmost boundary on one batch, at the end of a run.

    Both are gradients of the mean loss. `BoundaryAlignment` follows the cosine between them along the run, at every
    boundary.

    Args:
        examples: ≥ 1, the first training examples, which make the batch.

    Raises:
        ValueError: `examples` below 1; by the call, an estimator that is no `SyntheticGradients`.
    """

    at = "end"

    def __init__(self, examples: int):
        require(examples >= 1, "examples", "≥ 1", examples)
        self.examples = examples

    def measure(self, moment: Moment) -> Measured:
        """Return `boundary_gradient` and `synthetic_boundary_gradient`, (examples, *shape of an activation) each."""
        estimator, split = moment.estimator, moment.dataset.train
        if not isinstance(estimator, SyntheticGradients):
            raise ValueError(f"BoundaryGradients shows predictors of SyntheticGradients; {estimator!r} has none")
        batch = tf.constant(split.x[: self.examples]), tf.constant(split.y[: self.examples])
        pairs = estimator.boundary_gradients(*batch, key(moment.seed, Stream.PICTURES, moment.epoch))
        exact, synthetic = pairs[-1]
        return {"boundary_gradient": exact.numpy(), "synthetic_boundary_gradient": synthetic.numpy()}
