"""Some test images with their labels and a network's predictions."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.training.history import Moment


class SamplePredictions(Diagnostic):
    """The first test images, their labels and the predicted classes, at the end of a run, for viewing only.

    Args:
        examples: number of images, ≥ 1; all if there are fewer.

    Raises:
        ValueError: `examples` is below 1; in the call, the data set's examples are not images.
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
