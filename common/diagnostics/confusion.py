"""The predicted classes of a network for each true class, which an accuracy alone does not show."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from common.checks import require_one_of
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.training.epoch import EVALUATION_BATCH
from common.training.history import Moment

SPLITS = ("train", "validation", "test")


class Confusion(Diagnostic):
    """Counts of the predictions on a split, true class by predicted class.

    Args:
        split: "train", "validation" or "test"; its examples are predicted.

    Raises:
        ValueError: another split; in the call, a data set without classes.

    Example:
        >>> from common.data import load
        >>> from common.tasks.networks import Network
        >>> data = load("digits")
        >>> task = Network("mlp", [4]).task(data, seed=0)
        >>> task.network.set_weights([0 * weight for weight in task.network.get_weights()])  # all logits are equal
        >>> confusion = Confusion("test").measure(Moment(task, None, None, data, seed=0, epoch=0))["confusion"]
        >>> bool((confusion[:, 0] == np.bincount(data.test.y)).all())  # so that every example is predicted as class 0
        True
    """

    def __init__(self, split: str = "validation"):
        require_one_of("split", split, SPLITS)
        self.split = split

    def measure(self, moment: Moment) -> Measured:
        """Return `confusion`, (classes, classes): the number of examples of class i predicted as class j."""
        split, classes = getattr(moment.dataset, self.split), moment.dataset.classes
        if not classes:
            raise ValueError(f"Confusion counts classes, and the dataset {moment.dataset.name!r} has none")
        starts = range(0, len(split), EVALUATION_BATCH)
        parts = [split.x[start : start + EVALUATION_BATCH] for start in starts]
        predicted = [np.argmax(moment.task.predictions(tf.constant(part)), -1) for part in parts]
        counts = np.zeros((classes, classes))
        np.add.at(counts, (split.y, np.concatenate([*predicted, np.zeros(0, int)])), 1)
        return {"confusion": counts}
