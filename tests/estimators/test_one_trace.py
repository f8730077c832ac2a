"""Every estimator trains, and one trace serves all seeds: after `restart`, every number is that of fresh objects."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_cases import ESTIMATORS
from keras import layers

from common import training
from common.data import Dataset, Split
from common.tasks.layers import PooledConv2D, SeenPixels
from common.tasks.task import classification
from common.training.state import variables_of

# These learn little of a convolution from a random error signal: cut behind the first, what is above it learns.
ONE_CUT = {"synthetic gradients, unlocked", "direct feedback alignment"}
SHORT_STEPS = {"weight regression, now and then"}  # its models are too seldom trained to be followed far
# Too few steps for these.
LOWEST = {
    "evolution of the weights, own data": 1.1,
    "weight regression, now and then": 1.1,
    "forward gradient": 0.95,
    "local losses, perturbed activities": 0.95,
}


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.random((examples, 12, 12, 1), dtype=np.float32), rng.integers(0, 4, examples).astype(np.int32)
    x[np.arange(examples), y * 3] += 2.0  # a brighter row tells the class
    return Split(x, y)


DATASET = Dataset("noise", "classification", _split(64, 0), _split(0, 1), _split(8, 2), 4, "abc", "made here")
OPTIONS = {"epochs": 12, "batch_size": 16}


def _fresh(name, seed):
    """The layers of `mnist_convnet` with a quarter of its filters, an estimator and an optimizer."""

    def options(name, index):
        return {"name": name, "kernel_initializer": keras.initializers.GlorotUniform(seed=10 * seed + index)}

    body = [SeenPixels([3, 3], name="seen_pixels_1"), PooledConv2D(8, 3, activation="relu", **options("conv_1", 0))]
    body += [PooledConv2D(16, 3, activation="relu", **options("conv_2", 1)), layers.Flatten(name="flatten_1")]
    body += [layers.Dropout(0.25, seed=seed, name="dropout_1"), layers.Dense(4, **options("dense_1", 2))]
    network = keras.Sequential([keras.Input((12, 12, 1)), *body], name="small")
    return classification(network), ESTIMATORS[name](), keras.optimizers.Adam(0.002 if name in SHORT_STEPS else 0.02)


def _state(*parts):
    return [tf.convert_to_tensor(variable).numpy() for variable in variables_of(*parts)]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_training_lowers_the_loss_and_another_seed_in_the_same_trace_equals_fresh_objects(name):
    trainer = training.Trainer(*_fresh(name, 0), DATASET, **OPTIONS)
    histories = [trainer.run(0)]
    first = _state(trainer.task, trainer.estimator, trainer.optimizer)

    given = _fresh(name, 1)
    trainer.restart(*given)
    histories.append(trainer.run(1))
    expected = _fresh(name, 1)
    histories.append(training.train(*expected, DATASET, seed=1, **OPTIONS))
    second = _state(trainer.task, trainer.estimator, trainer.optimizer)
    for a, b in zip(second, _state(*expected), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    for weight, value in zip(given[0].network.get_weights(), expected[0].network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, value)
    _, records, expected_records = ([{**record, "seconds": 0} for record in run.epochs] for run in histories)
    np.testing.assert_equal(records, expected_records)  # validation is NaN: there is none
    assert histories[1].tracing_seconds == 0
    for history in histories if name not in ONE_CUT else ():
        _assert_learned(history, name)


@pytest.mark.parametrize("name", sorted(ONE_CUT))
def test_training_lowers_the_loss_above_one_cut(name):
    task, estimator, optimizer = _fresh(name, 0)
    estimator = type(estimator)(**estimator.settings | {"boundaries": ["conv_1"]})
    _assert_learned(training.train(task, estimator, optimizer, DATASET, seed=0, **OPTIONS), name)


def _assert_learned(history, name):
    assert history.status == "finished"
    losses = [record["train_loss"] for record in history.epochs]
    assert losses[-1] < LOWEST.get(name, 0.8) * losses[0]
