"""What every estimator must keep, whatever its method: run over the table in estimator_cases.py."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_cases import ESTIMATORS

from common import training
from common.data import Dataset, Split
from common.estimators.estimator import GradientEstimator
from common.tasks import networks as models
from common.tasks import task as tasks


def _batch(examples=24, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.random((examples, 12, 12, 1), dtype=np.float32)), tf.constant(rng.integers(0, 4, examples))


def _built(make):
    estimator = make()
    estimator.build(tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0)))
    return estimator


@pytest.fixture(params=ESTIMATORS.values(), ids=list(ESTIMATORS))
def make(request):
    return request.param


def test_shapes_and_types(make):
    estimator = _built(make)
    estimate = tf.function(estimator.estimate)(*_batch(), tf.constant([0, 0], tf.int64))
    assert estimate.loss.shape == ()
    assert estimate.outputs.shape == (24, 4)
    assert [part.shape for part in estimate.gradients] == [weight.shape for weight in estimator.task.weights]
    assert {part.dtype for part in [estimate.loss, estimate.outputs, *estimate.gradients]} == {tf.float32}


def test_the_seed_decides_everything(make):
    estimates = [_built(make).estimate(*_batch(), tf.constant([3, 7], tf.int64)) for _ in range(2)]
    for a, b in zip(tf.nest.flatten(estimates[0]), tf.nest.flatten(estimates[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_estimate_changes_no_weight(make):
    estimator = _built(make)
    before = [weight.numpy() for weight in estimator.task.weights]
    estimator.estimate(*_batch(), tf.constant([0, 0], tf.int64))
    for weight, value in zip(estimator.task.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_cost_and_settings(make):
    estimator = _built(make)
    assert estimator.cost > 0
    assert json.loads(json.dumps(estimator.settings)) == estimator.settings
    assert estimator.settings["estimator"] == type(estimator).__name__


def test_training_lowers_the_loss(make):
    x, y = (part.numpy() for part in _batch(64))
    x[np.arange(64), y * 3] += 1.0  # a brighter row tells the class
    dataset = Dataset("noise", "classification", Split(x, y), Split(x[:0], y[:0]),
                      Split(x[:8], y[:8]), 4, "abc", "made here")  # fmt: skip
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0))
    history = training.train(task, make(), keras.optimizers.Adam(0.005), dataset, epochs=12, batch_size=16, seed=0)
    assert history.status == "finished"
    assert history.epochs[-1]["train_loss"] < 0.8 * history.epochs[0]["train_loss"]


def test_an_unfinished_estimator_says_what_it_lacks():
    class Unfinished(GradientEstimator):
        pass

    with pytest.raises(NotImplementedError, match="Unfinished does not implement estimate"):
        Unfinished().estimate(None, None, None)
    with pytest.raises(NotImplementedError, match="Unfinished does not say what one estimate costs"):
        _ = Unfinished().cost
