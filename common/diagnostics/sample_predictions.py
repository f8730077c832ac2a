"""Some test images with their labels and with the classes that a network predicts for them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.training.history import Moment


class SamplePredictions(Diagnostic):
    """The first test images, their labels and the predicted classes, at the end of a run: to be looked at, not counted.

    Args:
        examples: ≥ 1, how many images; all where there are fewer.

    Raises:
        ValueError: `examples` below 1; by the call, a dataset whose examples are no images.
    """

    at = "end"

    def __init__(self, examples: int):
        require(examples >= 1, "examples", "≥ 1", examples)
        self.examples = examples

    def measure(self, moment: Moment) -> Measured:
        """Return `sample_images`, (examples, height, width), `sample_labels` and `sample_predictions`, (examples,)."""
        images, labels = moment.dataset.test.x[: self.examples], moment.dataset.test.y[: self.examples]
        if images.ndim != 4:
            raise ValueError(f"SamplePredictions shows images; the examples of {moment.dataset.name!r} are none")
        predicted = np.argmax(moment.task.predictions(tf.constant(images)), -1)
        return {"sample_images": images[..., 0], "sample_labels": labels, "sample_predictions": predicted}
