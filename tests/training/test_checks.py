"""What `train` refuses before the first epoch, in one sentence each."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation
from common.optimizers import SGD
from common.tasks.networks import Network
from common.training.budget import Budget


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    return Split(rng.normal(size=(examples, 6)).astype(np.float32), rng.integers(0, 3, examples).astype(np.int32))


DATASET = Dataset("noise", "classification", _split(40, 0), _split(8, 1), _split(8, 2), 3, "abc", "made here")


def _train(**changes):
    parts = {"task": Network("mlp", (5,)).task(DATASET, 0), "estimator": Backpropagation(), "optimizer": SGD(0.1)}
    parts |= {"dataset": DATASET} | changes
    return training.train(**parts, epochs=1, batch_size=16, seed=0)


class _Wrong(Backpropagation):
    """Backpropagation whose gradients or cost a function has changed."""

    def __init__(self, gradients=lambda exact: exact, *, each=None, once=0.0, sent=None):
        super().__init__()
        self.gradients, self.each, self.once, self.sent = gradients, each, once, sent

    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        return estimate._replace(gradients=self.gradients(estimate.gradients))

    def cost(self, batch_size):
        return super().cost(batch_size) if self.each is None else self.each

    def setup_cost(self, batch_size, steps):
        return self.once

    def bytes_sent(self, batch_size):
        return super().bytes_sent(batch_size) if self.sent is None else self.sent


@pytest.mark.parametrize(
    ("gradients", "words"),
    [
        (lambda exact: exact[:3], "gives too few gradients: 3 for the 4 trainable weights"),
        (lambda exact: [*exact, exact[0]], "gives too many gradients: 5 for the 4 trainable weights"),
        (lambda exact: [tf.transpose(exact[0]), *exact[1:]], "kernel must have shape (6, 5), got (5, 6)"),
        (lambda exact: [tf.cast(exact[0], tf.float64), *exact[1:]], "kernel must be float32, got float64"),
        (lambda exact: [None, *exact[1:]], "gives no gradient for"),
        (lambda exact: [0.0, *exact[1:]], "kernel must be a tensor, got float"),
    ],
)
def test_gradients_that_do_not_fit_the_weights_are_refused_and_nothing_moves(gradients, words):
    task = Network("mlp", (5,)).task(DATASET, 0)
    before = task.network.get_weights()
    with pytest.raises(ValueError, match="_Wrong") as error:
        _train(task=task, estimator=_Wrong(gradients))
    assert words in str(error.value)
    for weight, value in zip(task.network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("cost", [math.nan, math.inf, -1.0, "much", True])
def test_a_cost_that_is_no_number_is_refused(cost):
    with pytest.raises(ValueError, match=r"^_Wrong.cost\(16\) must be a finite number ≥ 0, got "):
        _train(estimator=_Wrong(each=cost))
    with pytest.raises(ValueError, match=r"^_Wrong.setup_cost\(16, 3\) must be a finite number ≥ 0, got "):
        _train(estimator=_Wrong(once=cost))
    with pytest.raises(ValueError, match=r"^_Wrong.bytes_sent\(16\) must be a finite number ≥ 0, got "):
        _train(estimator=_Wrong(sent=cost))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"estimator": 0.1}, "estimator must be a GradientEstimator, such as Backpropagation(), got float 0.1"),
        ({"estimator": Backpropagation}, "got the class Backpropagation: write Backpropagation(...)"),
        ({"optimizer": 0.1}, "optimizer must be a Keras optimizer, such as SGD(0.1), got float 0.1"),
        ({"optimizer": SGD}, "got the class SGD: write SGD(...)"),
        ({"task": keras.Sequential()}, "task must be a Task, such as Network('lenet5').task(dataset, seed=0), got"),
        ({"dataset": DATASET.train}, "dataset must be a Dataset, such as load('digits'), got Split"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(changes, words):
    with pytest.raises(ValueError, match="must be") as error:
        _train(**changes)
    assert words in str(error.value)


class _CostsMore(Backpropagation):
    """Twice a gradient, and 100 more once; a byte for each example, and privacy that lessens with the steps."""

    def bytes_sent(self, batch_size):
        return float(batch_size)

    def epsilon(self, batch_size, steps):
        return 0.5 * steps

    def cost(self, batch_size):
        return 2.0 * batch_size

    def setup_cost(self, batch_size, steps):
        return 100.0


@pytest.mark.parametrize(
    ("drop_remainder", "step", "examples"),
    [(False, 2, 2 * 16), (False, 3, 40), (False, 7, 96), (True, 3, 3 * 16)],
)
def test_what_is_spent_counts_each_batch_by_its_own_size(drop_remainder, step, examples):
    spent = Budget(DATASET, 5, 16, drop_remainder).spent(_CostsMore(), step)
    assert spent == {"cost": 100 + 2 * examples, "bytes_sent": examples, "epsilon": 0.5 * step}


def test_nothing_is_spent_before_the_first_step():
    assert Budget(DATASET, 5, 16).spent(_CostsMore(), 0) == {"cost": 0.0, "bytes_sent": 0.0}


def test_a_record_says_what_was_spent():
    last = _train(estimator=_CostsMore()).epochs[-1]
    assert (last["cost"], last["bytes_sent"], last["epsilon"]) == (100 + 2 * 40, 40, 1.5)


def test_a_dense_gradient_is_four_bytes_a_weight_and_no_privacy():
    last = _train().epochs[-1]
    assert last["bytes_sent"] == 3 * 4 * (6 * 5 + 5 + 5 * 3 + 3)
    assert "epsilon" not in last
