"""Local losses beside backpropagation, from which one block does not differ, and what each block learns from."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import random_batch

from common.estimators import ActivityForwardGradient, Backpropagation, LocalLosses, NewtonCG, RunContext
from common.tasks import networks as models
from common.tasks import task as tasks
from common.vectors import flatten

SEED = tf.constant([0, 3], tf.int64)


def _mlp():
    return tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(7, 8)))


def _convnet(name="mnist_convnet"):
    return tasks.classification(models.build(name, (20, 20, 1), 4, seed=0))


def _batch(task, examples=12):
    return random_batch(task, examples)


def _built(task, inner=None, **options):
    estimator = LocalLosses(inner or Backpropagation(), **options)
    estimator.build(task, RunContext(steps=10, steps_per_epoch=5))
    return estimator


def _reference(task, inner):
    inner.build(task)
    return inner


@pytest.mark.parametrize("name", ["mnist_convnet", "normalised_convnet_3"])
def test_one_block_is_backpropagation(name):
    task = _convnet(name)
    batch = _batch(task)
    estimate = _built(task, boundaries=[]).estimate(*batch, SEED)
    expected = _reference(task, Backpropagation()).estimate(*batch, SEED)
    for a, b in zip(tf.nest.flatten(estimate), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_block_with_perturbed_activities_is_the_activity_forward_gradient():
    task = _convnet()
    batch = _batch(task)
    estimate = _built(task, ActivityForwardGradient(), boundaries=[]).estimate(*batch, SEED)
    expected = _reference(task, ActivityForwardGradient()).estimate(*batch, SEED)
    for a, b in zip(tf.nest.flatten(estimate), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_each_block_learns_from_its_own_head_by_hand():
    """(p - y) Wᵀ through the ReLU, for both hidden layers; what entered a block is held fixed."""
    task = _mlp()
    estimator, (x, y) = _built(task), _batch(task)
    heads = [[weight.numpy() for weight in head.trainable_variables] for head in estimator._heads]
    estimate = estimator.estimate(x, y, SEED)
    h = x
    for number, (weights, bias) in enumerate(heads):
        kernel, own_bias = task.weights[2 * number : 2 * number + 2]
        z = h @ kernel + own_bias
        entering, h = h, tf.nn.relu(z)
        error = (tf.nn.softmax(h @ weights + bias) - tf.one_hot(y, 4)) / len(x)
        signal = error @ tf.transpose(weights) * tf.cast(z > 0, tf.float32)
        np.testing.assert_allclose(estimate.gradients[2 * number], tf.transpose(entering) @ signal, atol=1e-6)
        np.testing.assert_allclose(estimate.gradients[2 * number + 1], tf.reduce_sum(signal, 0), atol=1e-6)
    error = (tf.nn.softmax(estimate.outputs) - tf.one_hot(y, 4)) / len(x)
    np.testing.assert_allclose(estimate.gradients[-2], tf.transpose(h) @ error, atol=1e-6)
    np.testing.assert_allclose(estimate.outputs, task.outputs(x, SEED), atol=1e-6)


def test_heads_are_trained_on_their_own_loss():
    """One step of gradient descent by hand, and the head's loss falls over many."""
    task = _mlp()
    x, y = _batch(task)
    estimator = _built(task, optimizer=keras.optimizers.SGD(0.5), head="projection")
    [weights] = estimator._heads[0].trainable_variables
    h, before = tf.nn.relu(x @ task.weights[0] + task.weights[1]), weights.numpy()
    error = (tf.nn.softmax(h @ before) - tf.one_hot(y, 4)) / len(x)
    estimator.estimate(x, y, SEED)
    np.testing.assert_allclose(weights, before - 0.5 * tf.transpose(h) @ error, atol=1e-6)


def test_within_blocks_perturbed_activities_are_right_on_average():
    task = _mlp()
    x, y = _batch(task, 4)
    exact = flatten(_built(task, optimizer=keras.optimizers.SGD(0.0)).estimate(x, y, SEED).gradients).numpy()
    estimator = _built(task, ActivityForwardGradient(), optimizer=keras.optimizers.SGD(0.0))

    @tf.function
    def estimates():
        def estimate(step):
            return flatten(estimator.estimate(x, y, tf.stack([0, step])).gradients)

        steps = tf.range(1_000, dtype=tf.int64)
        return tf.map_fn(estimate, steps, parallel_iterations=1, fn_output_signature=tf.float32)

    samples = estimates().numpy()
    deviations = samples.std(0, ddof=1)
    seen = deviations > 1e-7
    errors = (samples.mean(0) - exact)[seen] / (deviations[seen] / np.sqrt(len(samples)))
    assert 0.6 < np.mean(errors**2) < 1.5


def test_a_linear_head_sees_averages_of_maps_and_a_projection_all_of_them():
    task = _convnet()  # 8×8×32 behind the first block
    for head, rows, count in (("linear", 4 * 4 * 32, 2), ("projection", 8 * 8 * 32, 1)):
        [own] = _built(task, head=head, boundaries=["conv_1"])._heads
        assert len(own.trainable_variables) == count
        assert tuple(own.trainable_variables[0].shape) == (rows, 4)


def test_cost_by_hand():
    """Forward passes and weights' gradients, and three products of each head; no gradient at a block's input."""
    forward, heads = 6 * 7 + 7 * 8 + 8 * 4, 7 * 4 + 8 * 4
    for inner in (Backpropagation(), ActivityForwardGradient()):
        assert _built(_mlp(), inner).cost(10) == pytest.approx(10 * (2 * forward + 3 * heads) / (3 * forward - 6 * 7))


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match=r"inner must be Backpropagation\(\) or ActivityForwardGradient\(\), got New"):
        LocalLosses(NewtonCG(Backpropagation()))
    with pytest.raises(ValueError, match=r"head must be .*got 'dense'"):
        LocalLosses(Backpropagation(), head="dense")
    with pytest.raises(ValueError, match=r"task with class labels, .*'mean_squared_error'"):
        _built(tasks.regression(models.build("mlp", (6,), 1, seed=0, hidden=(5,))))
