"""Which classes a network predicts, true class by true class: what an accuracy alone does not say."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from common.data.load import Split
from common.tasks.task import Task
from common.training.epoch import EVALUATION_BATCH


class Confusion:
    """Counts of the predictions on a split; a diagnostic for `train`.

    Args:
        split: the examples to predict, the validation split as a rule, whatever split the loop trains on.
        classes: number of classes.
    """

    def __init__(self, split: Split, classes: int):
        self.split, self.classes = split, classes

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return `confusion_i_j` for every pair of classes: how many examples of class i are predicted as class j."""
        starts = range(0, len(self.split), EVALUATION_BATCH)
        parts = [self.split.x[start : start + EVALUATION_BATCH] for start in starts]
        predicted = [np.argmax(task.predictions(tf.constant(part)), -1) for part in parts]
        counts = np.zeros((self.classes, self.classes))
        np.add.at(counts, (self.split.y, np.concatenate([*predicted, np.zeros(0, int)])), 1)
        return {f"confusion_{i}_{j}": float(count) for (i, j), count in np.ndenumerate(counts)}
