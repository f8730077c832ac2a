"""Moments of runs that never ran."""

import numpy as np
import tensorflow as tf

from common.data import Dataset, Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimate, GradientEstimator, RunContext
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


def ones_and_zeros():
    """With the weights of `linear_task` every gradient is 2 (0.5 · 1 - 0) (1, 1) = (1, 1), every loss 1/4."""
    return Split(np.ones((8, 1), np.float32), np.zeros((8, 1), np.float32))


class Fixed(GradientEstimator):
    """One direction, whatever the batch; it costs two gradients of each example."""

    def __init__(self, gradients):
        super().__init__()
        self.gradients = gradients

    def estimate(self, x, y, seed):
        outputs = self.task.outputs(x, seed)
        pairs = zip(self.gradients, self.task.weights, strict=True)
        return GradientEstimate(self.task.loss(y, outputs), outputs, [tf.fill(w.shape, value) for value, w in pairs])

    def cost(self, batch_size):
        return 2.0 * batch_size


class Turns(Backpropagation):
    """With each call since `build` its direction turns further away from the exact gradient."""

    traces = 0

    def build(self, task, run=RunContext()):  # noqa: B008 (as the contract has it)
        super().build(task, run)
        self.calls = tf.Variable(0.0)

    def estimate(self, x, y, seed):
        Turns.traces += 1
        estimate = super().estimate(x, y, seed)
        first, *rest = estimate.gradients
        first += self.calls.assign_add(1.0)
        return estimate._replace(gradients=[first, *rest])
