"""The contract of every estimator, over the table in estimator_cases.py, and that its checks catch who breaks it."""

import pytest
import tensorflow as tf
from estimator_cases import ESTIMATORS

from common.estimators import Backpropagation, ConstantNoise, NoisyGradient
from common.estimators.checks import check_estimator


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=list(ESTIMATORS))
def test_every_estimator_keeps_the_contract(make):
    check_estimator(make, run_xla=False)  # machine code would take half a minute for some


@pytest.mark.parametrize("name", ["backpropagation", "noisy", "last module only", "logit evolution, likelihood"])
def test_some_run_under_xla(name):
    check_estimator(ESTIMATORS[name])


class _Holder:
    """What TensorFlow does not look into."""


class HiddenVariable(Backpropagation):
    """Shorter at each call, whose number only a variable outside of all checkpoints holds."""

    def build(self, task, run=None):
        super().build(task)
        self._holder = _Holder()
        self._holder.calls = tf.Variable(0.0, name="calls")

    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        calls = self._holder.calls.assign_add(1.0)
        return estimate._replace(gradients=[part / calls for part in estimate.gradients])


class PythonState(Backpropagation):
    def build(self, task, run=None):
        super().build(task)
        self.calls = 0

    def estimate(self, x, y, seed):
        self.calls += 1
        return super().estimate(x, y, seed)


class LeftOut(Backpropagation):
    def __init__(self, scale=1.0):
        super().__init__()
        self._factor = scale

    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        return estimate._replace(gradients=[self._factor * part for part in estimate.gradients])


class ChangingCost(Backpropagation):
    def build(self, task, run=None):
        super().build(task)
        self._steps = tf.Variable(0.0)

    def estimate(self, x, y, seed):
        self._steps.assign_add(1.0)
        return super().estimate(x, y, seed)

    def cost(self, batch_size):
        return float(batch_size + self._steps)


class Draws(Backpropagation):
    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        return estimate._replace(gradients=[part + tf.random.normal(part.shape) for part in estimate.gradients])


class SeedInTheTrace(Backpropagation):
    def build(self, task, run):
        super().build(task, run)
        self._scale = 1.0 + run.seed

    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        return estimate._replace(gradients=[self._scale * part for part in estimate.gradients])


class MovesWeights(Backpropagation):
    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        self.task.weights[0].assign_add(tf.ones_like(self.task.weights[0]))
        return estimate


class LooksTwice(Backpropagation):
    def estimate(self, x, y, seed):
        self.task.outputs(x, seed)
        return super().estimate(x, y, seed)


class StaysOnItsFirstTask(Backpropagation):
    def build(self, task, run=None):
        if not hasattr(self, "task"):
            super().build(task)


class BadShape(Backpropagation):
    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        return estimate._replace(gradients=[tf.transpose(part) for part in estimate.gradients])


class NoXla(Backpropagation):
    def estimate(self, x, y, seed):
        return super().estimate(x, y, seed)._replace(loss=tf.py_function(lambda: 1.0, [], tf.float32) + tf.zeros([]))


BROKEN = {
    HiddenVariable: "resumed from a checkpoint does not end in the same bits: estimate uses 'calls:0', a variable that",
    PythonState: "estimate sets the attribute 'calls': what changes is a variable, which build creates",
    LeftOut: "LeftOut does not hold its argument 'scale' under that name",
    ChangingCost: r"cost\(24\) is 24.0 before and \d+.0 after estimate",
    Draws: "RandomStandardNormal draws from a hidden state, not from estimate's seed",
    SeedInTheTrace: "if it was built for another seed: what depends on the run's seed must be a variable",
    MovesWeights: "estimate changes the network's weight 'small/conv_1/kernel': only the optimizer may",
    LooksTwice: "moves batch norm's 'norm_1/moving_mean' otherwise than one pass of training does",
    StaysOnItsFirstTask: "built on a second task, it estimates otherwise than one that is built there first",
    BadShape: r"the gradient of 'small/conv_1/kernel' must be float32 of shape \(3, 3, 1, 4\), got",
    NoXla: "an epoch fails under XLA",
}


@pytest.mark.parametrize(("broken", "sentence"), BROKEN.items(), ids=[broken.__name__ for broken in BROKEN])
def test_who_breaks_the_contract_is_caught(broken, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_estimator(broken, run_xla=False)


def test_a_broken_part_is_caught_where_it_is_wrapped():
    with pytest.raises(AssertionError, match=r"^NoisyGradient\(ChangingCost\(\), .* before and .* after estimate"):
        check_estimator(lambda: NoisyGradient(ChangingCost(), ConstantNoise(0.1)), run_xla=False)
