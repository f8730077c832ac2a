"""The contract of every estimator, over the table in estimator_cases.py, and that its checks catch who breaks it."""

import pytest
import tensorflow as tf
from estimator_cases import ESTIMATORS

from common.estimators import Backpropagation, ConstantNoise, NoisyGradient
from common.estimators.checks import check_estimator

# Machine code takes half a minute to make for some: these run it, the others stop at its translation.
# An epoch of these is compiled and run; of all others the estimate is translated for XLA, which takes seconds less.
RUN_UNDER_XLA = {
    "backpropagation",
    "noisy",
    "last module only",
    "logit evolution, likelihood",
    "evolution of the weights, one chunk",
    "forward gradient",
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_keeps_the_contract(name):
    check_estimator(ESTIMATORS[name], run_xla=name in RUN_UNDER_XLA)


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


class CostThatRemembers(Backpropagation):
    """Its cost is that of the largest batch that was asked for."""

    def build(self, task, run=None):
        super().build(task)
        self._sizes = set()

    def cost(self, batch_size):
        self._sizes.add(batch_size)
        return float(max(self._sizes))


class BuildChangesASetting(Backpropagation):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def build(self, task, run=None):
        super().build(task)
        self.scale = 2.0


class CopyIsBuilt(Backpropagation):
    def __deepcopy__(self, memo):
        twin = super().__deepcopy__(memo)
        twin.build(self.task)
        return twin


class DrawsFromAHiddenState(Backpropagation):
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
    DrawsFromAHiddenState: "RandomStandardNormal draws from a hidden state, not from estimate's seed",
    CostThatRemembers: r"cost\(10\) is 10.0, and 24.0 after cost\(24\): it may depend on settings, task and batch",
    BuildChangesASetting: r"build or estimate changes its settings to BuildChangesASetting\(scale=2.0\)",
    CopyIsBuilt: "a copy of it is built",
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
