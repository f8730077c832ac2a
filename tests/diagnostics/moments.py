"""Moments of runs that never ran."""

import numpy as np

from common.data import Dataset, Split
from common.estimators.backpropagation import Backpropagation
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training.history import Moment


def moment(task, split, epoch=1, *, estimator=None, optimizer=None, seed=0, epochs=None, classes=4):
    """Return the moment of a run on a split, which is also the validation and the test split."""
    estimator = estimator or Backpropagation()
    if getattr(estimator, "task", None) is not task:
        estimator.build(task)
    kind = "classification" if classes else "regression"
    dataset = Dataset("made up", kind, split, split, split, classes, "abc", "made here")
    return Moment(task, estimator, optimizer, dataset, seed, epoch, epochs)


def linear_task():
    """One weight, squared error: the gradient of one example is 2 (w x - y) x, known without TensorFlow."""
    task = tasks.regression(models.build("mlp", (1,), 1, seed=0, hidden=()))
    task.weights[0].assign([[0.5]])
    task.weights[1].assign([0.0])
    return task


def random_split(examples=32, features=6, classes=3, seed=0):
    """Normal features, and labels that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, features)).astype(np.float32)
    return Split(x, rng.integers(0, classes, examples).astype(np.int32))
