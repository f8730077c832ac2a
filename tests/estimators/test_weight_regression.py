import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import assert_resumes_bit_identically

from common import models, tasks
from common.estimators.backpropagation import Backpropagation
from common.estimators.weight_regression import WeightRegression


def _built(**options):
    task = tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(5,)))
    estimator = WeightRegression(**options)
    estimator.build(task)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(10, 6)).astype(np.float32))
    return estimator, x, tf.constant(rng.integers(0, 4, 10).astype(np.int32))


def _seed(step=0):
    return tf.constant([0, step], tf.int64)


def test_untrained_models_predict_nothing_and_learn_the_exact_gradient_by_hand():
    """A step of gradient descent from zero: C ← 2 η g and A ← 2 η (mean h) gᵀ."""
    estimator, x, y = _built(optimizer=keras.optimizers.SGD(0.1))
    exact = Backpropagation()
    exact.build(estimator.task)
    g = exact.estimate(x, y, _seed()).gradients
    found = estimator.estimate(x, y, _seed()).gradients
    assert all(np.all(part == 0) for part in found)
    kernel, bias = estimator._models[0].get_weights()
    expected = np.concatenate([np.ravel(g[0]), np.ravel(g[1])])
    mean = np.mean(tf.nn.relu(x @ estimator.task.weights[0] + estimator.task.weights[1]), 0)
    np.testing.assert_allclose(bias, 0.2 * expected, atol=1e-6)
    np.testing.assert_allclose(kernel, 0.2 * np.outer(mean, expected), atol=1e-6)


def test_on_one_batch_the_models_find_its_gradient():
    """One mean activation, one gradient: nothing to generalise, so the regression must succeed."""
    estimator, x, y = _built(optimizer=keras.optimizers.SGD(0.05))
    estimate = tf.function(estimator.estimate)
    for step in range(100):
        estimate(x, y, _seed(step))
    exact, synthetic = estimator.actual_and_synthetic(x, y, _seed())
    for a, b in zip(synthetic, exact.gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_models_are_trained_every_k_th_step_only():
    estimator, x, y = _built(synth_step=3)
    for step in range(5):
        estimator.estimate(x, y, _seed(step))
    assert [int(optimizer.iterations) for optimizer in estimator._optimizers] == [2, 2]


def test_cost_adds_the_models_once_a_batch():
    estimator, x, y = _built()
    assert estimator.cost == 1
    estimator.estimate(x, y, _seed())
    models_products = 5 * (6 * 5 + 5) + 4 * (5 * 4 + 4)
    assert estimator.cost == pytest.approx(1 + 2 * models_products / (10 * 3 * (6 * 5 + 5 * 4)))


def test_a_resumed_run_is_bit_identical(tmp_path):
    assert_resumes_bit_identically(WeightRegression, tmp_path)


def test_impossible_settings_are_named():
    with pytest.raises(ValueError, match="synth_step must be ≥ 1, got 0"):
        WeightRegression(synth_step=0)
