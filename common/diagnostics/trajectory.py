"""What a run leaves along its way beside its losses: diagnostics for `train`, each called after a recorded epoch."""

from __future__ import annotations

import keras
import tensorflow as tf

from common.data.load import Split
from common.optimizers.adam import Adam
from common.tasks.task import Task
from common.training.loop import evaluate_each_time


class TestCurve:
    """The test loss along the run, as `curve_test_loss`, and the metric as `curve_test_metric`.

    It is there because a source reports a point of this curve, or where it crosses a value. It selects nothing here:
    what is chosen is chosen on validation data, and the test loss of that epoch is then read off this curve.

    Args:
        task: the task being trained.
        test: the test split.
    """

    __test__ = False  # no test case, whatever pytest makes of the name

    def __init__(self, task: Task, test: Split):
        self._evaluate = evaluate_each_time(task, test)

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return `curve_test_loss`, in the units of the task's loss, and `curve_test_metric`, in the metric's."""
        loss, metric = self._evaluate()
        return {"curve_test_loss": loss, "curve_test_metric": metric}


class DeadUnits:
    """How many hidden ReLU units are zero for every training example, as `dead_units`.

    Such a unit has no gradient and stays as it is. With all units of a layer dead, only the biases behind it can be
    trained, and the network predicts one constant.

    Args:
        task: a task whose network is a stack of layers.
        split: the training split.
    """

    def __init__(self, task: Task, split: Split):
        x = tf.constant(split.x)
        self._count = tf.function(lambda: _dead(task.network, x), jit_compile=False, autograph=False)
        self._count = self._count.get_concrete_function()

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return `dead_units`, over all hidden layers."""
        return {"dead_units": int(self._count())}


def _dead(network: keras.Sequential, x: tf.Tensor) -> tf.Tensor:
    counts = [tf.constant(0)]
    for layer in network.layers:
        x = layer(x)
        if getattr(layer, "activation", None) is keras.activations.relu:
            counts.append(tf.math.count_nonzero(tf.reduce_all(x <= 0, axis=0), dtype=tf.int32))
    return tf.add_n(counts)


def slope_and_intercept(task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
    """Return `slope` and `intercept` of a network that is a line: one feature, one output, no hidden layer."""
    slope, intercept = task.weights
    return {"slope": float(slope.numpy().item()), "intercept": float(intercept.numpy().item())}


class StepSizes:
    """Adam's effective step size of each parameter, as `step_size 0`, `step_size 1`, ... in the order of the weights.

    Args:
        optimizer: the one that trains.
    """

    def __init__(self, optimizer: Adam):
        self._optimizer = optimizer

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return one number for each parameter; see `Adam.effective_step_sizes`."""
        sizes = [part.numpy().ravel() for part in self._optimizer.effective_step_sizes()]
        return {f"step_size {i}": float(size) for i, size in enumerate(size for part in sizes for size in part)}
