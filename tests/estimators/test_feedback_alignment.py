"""Feedback alignment beside backpropagation, from which one choice of its matrices does not differ."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import random_batch

from common.estimators import Backpropagation, DirectFeedbackAlignment, FeedbackAlignment, RunContext
from common.tasks import networks as models
from common.tasks import task as tasks

SEED = tf.constant([0, 0], tf.int64)
CONVNETS = ["lenet5", "mnist_convnet", "normalised_convnet_3"]


def _task(name, shape=(20, 20, 1)):
    hidden = (7, 8) if "mlp" in name else None
    return tasks.classification(models.build(name, shape, 4, seed=0, hidden=hidden))


def _built(task, *arguments, seed=0):
    estimator = FeedbackAlignment(*arguments)
    estimator.build(task, RunContext(seed=seed))
    return estimator


def _batch(task, examples=8):
    return random_batch(task, examples)


def _estimated(estimator, batch):
    return estimator.estimate(*batch, SEED)


@pytest.mark.parametrize("name", ["mlp", *CONVNETS])
def test_with_the_weights_in_their_place_it_is_backpropagation(name):
    """Through convolutions, strides, both ways of pooling, dropout and batch norm."""
    task = _task(name)
    estimator, exact, batch = _built(task), Backpropagation(), _batch(task)
    exact.build(task)
    for layer in task.network.layers:
        if layer.name in estimator.matrices:
            estimator.matrices[layer.name].assign(layer.kernel)
    estimate, expected = _estimated(estimator, batch), _estimated(exact, batch)
    for a, b in zip(tf.nest.flatten(estimate), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_errors_come_back_through_the_matrices():
    """By hand: the error e, through B₃ and the ReLU, then through B₂ and the ReLU."""
    task = _task("mlp", (6,))
    estimator, (x, y) = _built(task), _batch(task)
    estimate = _estimated(estimator, (x, y))
    first, second = (layer for layer in task.network.layers if layer.name in ("dense_1", "dense_2"))
    h_1 = tf.nn.relu(x @ first.kernel + first.bias)
    h_2 = tf.nn.relu(h_1 @ second.kernel + second.bias)
    error = (tf.nn.softmax(estimate.outputs) - tf.one_hot(y, 4)) / len(x)
    below = (error @ tf.transpose(estimator.matrices["dense_3"])) * tf.cast(h_2 > 0, tf.float32)
    lowest = (below @ tf.transpose(estimator.matrices["dense_2"])) * tf.cast(h_1 > 0, tf.float32)
    for a, b in zip(estimate.gradients[::2], (tf.transpose(x) @ lowest, tf.transpose(h_1) @ below), strict=False):
        np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(estimate.gradients[4], tf.transpose(h_2) @ error, atol=1e-6)


@pytest.mark.parametrize("kind", ["sign_symmetric", "uniform_sign_symmetric"])
def test_signs_are_those_of_the_weights_and_sizes_are_not(kind):
    task = _task("lenet5")
    estimator = _built(task, kind)
    for layer in task.network.layers:
        if layer.name not in estimator.matrices:
            continue
        kernel, matrix = layer.kernel.numpy(), estimator._matrix(layer, tf.convert_to_tensor(layer.kernel)).numpy()
        np.testing.assert_array_equal(np.sign(matrix), np.sign(kernel))
        if kind == "sign_symmetric":
            np.testing.assert_array_equal(np.abs(matrix), np.abs(estimator.matrices[layer.name].numpy()))
        else:
            assert np.ptp(np.abs(matrix)) == 0
            assert np.abs(matrix).max() == pytest.approx(np.std(estimator.matrices[layer.name]), rel=0.1)


def test_matrices_follow_the_seed_and_no_layer_s_are_its_weights():
    task = _task("lenet5")
    first, second, other = (_built(task, seed=seed).matrices for seed in (0, 0, 1))
    assert "conv_1" not in first
    assert set(first) == {"conv_2", "dense_1", "dense_2", "dense_3"}
    for layer in task.network.layers:
        if layer.name in first:
            np.testing.assert_array_equal(first[layer.name], second[layer.name])
            assert not np.array_equal(first[layer.name], other[layer.name])
            angle = np.corrcoef(np.ravel(first[layer.name]), np.ravel(layer.kernel))[0, 1]
            assert abs(angle) < 5 / np.sqrt(np.size(first[layer.name]))


@pytest.mark.parametrize("name", CONVNETS[1:])
def test_direct_feedback_reaches_every_layer_of_a_convnet(name):
    task = _task(name)
    estimator, exact, batch = DirectFeedbackAlignment(), Backpropagation(), _batch(task)
    estimator.build(task)
    exact.build(task)
    estimate, expected = _estimated(estimator, batch), _estimated(exact, batch)
    for gradient in estimate.gradients:
        assert np.any(gradient)
    np.testing.assert_allclose(estimate.gradients[-2], expected.gradients[-2], rtol=1e-4, atol=1e-6)


def test_a_layer_that_is_not_known_is_named():
    body = [keras.layers.Conv1D(3, 2, name="conv"), keras.layers.Flatten(), keras.layers.Dense(2)]
    task = tasks.classification(keras.Sequential([keras.Input((5, 2)), *body]))
    with pytest.raises(ValueError, match="got layer 'conv', a Conv1D"):
        _built(task)
    with pytest.raises(ValueError, match=r"feedback must be .*got 'signs'"):
        FeedbackAlignment("signs")


def test_cost_is_a_gradient():
    assert _built(_task("lenet5")).cost(7) == 7.0
