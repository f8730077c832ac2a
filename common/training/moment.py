"""What a diagnostic is called with: a run at the end of one of its epochs."""

from __future__ import annotations

from typing import NamedTuple

import keras

from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task


class Moment(NamedTuple):
    """A run at the end of one of its epochs.

    Attributes:
        task: network, loss and metric, with the weights of this moment.
        estimator: the one that trains, built.
        optimizer: likewise.
        dataset: all three splits; `dataset.train` is what the loop trains on.
        seed: the run's.
        epoch: how many epochs are done; 0 before training.
        epochs: how many the run is to have; None where nobody knows.
    """

    task: Task
    estimator: GradientEstimator
    optimizer: keras.optimizers.Optimizer
    dataset: Dataset
    seed: int
    epoch: int
    epochs: int | None = None
