"""Direct feedback alignment beside backpropagation, from which one choice of its matrices does not differ."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation, DirectFeedbackAlignment, LastModuleOnly, RunContext
from common.tasks import networks as models
from common.tasks import task as tasks

SEED = tf.constant([0, 0], tf.int64)


def _built(task, seed=0, **options):
    estimator = DirectFeedbackAlignment(**options)
    estimator.build(task, RunContext(seed=seed))
    return estimator


def _exact(task, x, y):
    estimator = Backpropagation()
    estimator.build(task)
    return estimator.estimate(x, y, SEED)


def _batch(task, examples=12):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(examples, *task.network.input_shape[1:])).astype(np.float32)
    return tf.constant(x), tf.constant(rng.integers(0, task.network.output_shape[-1], examples), tf.int32)


def _linear():
    """6-7-8-4 without activations, drawn from fixed seeds."""
    sizes = enumerate((7, 8, 4))
    body = [keras.layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(k)) for k, units in sizes]
    return tasks.classification(keras.Sequential([keras.Input((6,)), *body]))


def test_with_the_transposed_weights_above_it_is_backpropagation_of_a_linear_network():
    task = _linear()
    estimator = _built(task)
    second, third = (tf.transpose(tf.convert_to_tensor(layer.kernel)) for layer in task.network.layers[1:])
    estimator.feedback[0].assign(third @ second)
    estimator.feedback[1].assign(third)
    estimate, expected = estimator.estimate(*_batch(task), SEED), _exact(task, *_batch(task))
    for a, b in zip(tf.nest.flatten(estimate), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_last_module_s_gradient_is_exact_and_the_others_come_from_the_error():
    """By hand: the error e B_i, through the ReLU, times what entered the layer."""
    task = tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(7, 8)))
    estimator, (x, y) = _built(task), _batch(task)
    estimate = estimator.estimate(x, y, SEED)
    for a, b in zip(estimate.gradients[-2:], _exact(task, x, y).gradients[-2:], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    error = (tf.nn.softmax(estimate.outputs) - tf.one_hot(y, 4)) / len(x)
    before = x @ task.weights[0] + task.weights[1]
    signal = (error @ estimator.feedback[0]) * tf.cast(before > 0, tf.float32)
    np.testing.assert_allclose(estimate.gradients[0], tf.transpose(x) @ signal, atol=1e-6)
    np.testing.assert_allclose(estimate.gradients[1], tf.reduce_sum(signal, 0), atol=1e-6)


def test_lower_layers_learn_to_align_with_their_feedback():
    """On a network of dense layers the loss falls further than when the last layer learns alone."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 6)).astype(np.float32)
    y = np.argmax(np.tanh(x @ rng.normal(size=(6, 8))) @ rng.normal(size=(8, 4)), 1).astype(np.int32)
    split = Split(x, y)
    dataset = Dataset("made", "classification", split, split, split, 4, "", "made here")
    losses = {}
    for estimator in (DirectFeedbackAlignment(), LastModuleOnly()):
        task = tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(7, 8)))
        optimizer = keras.optimizers.Adam(0.01)
        history = training.train(task, estimator, optimizer, dataset, epochs=30, batch_size=16, seed=0)
        losses[type(estimator)] = history.epochs[-1]["train_loss"]
    assert losses[DirectFeedbackAlignment] < 0.8 * losses[LastModuleOnly]


def test_entries_of_the_matrices_have_variance_one_over_the_outputs():
    task = tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(500, 500)))
    for matrix in _built(task).feedback:
        assert matrix.shape == (4, 500)
        assert np.var(matrix) == pytest.approx(1 / 4, rel=4 * np.sqrt(2 / 2_000))


def test_cost_by_hand():
    """A forward pass and weight gradients, 6·7 + 7·8 + 8·4 each, and 4·7 + 4·8 in the matrices."""
    forward = 6 * 7 + 7 * 8 + 8 * 4
    gradient = 3 * forward - 6 * 7
    assert _built(_linear()).cost(10) == pytest.approx(10 * (2 * forward + 4 * 7 + 4 * 8) / gradient)


def test_inside_a_module_of_two_layers_backpropagation_counts_too():
    task = tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(7, 8)))
    forward, gradient = 6 * 7 + 7 * 8 + 8 * 4, 3 * (7 * 8 + 8 * 4) + 2 * 6 * 7
    products = 2 * forward + 7 * 8 + 4 * 8  # the second layer's input gradient, and one matrix
    assert _built(task, boundaries=["dense_2"]).cost(1) == pytest.approx(products / gradient)
