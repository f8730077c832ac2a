import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import assert_resumes_bit_identically

from common.estimators.backpropagation import Backpropagation
from common.estimators.decoupled.weight_regression import WeightRegression
from common.tasks import networks as models
from common.tasks import task as tasks
from common.vectors import cosine


def _built(**options):
    task = tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(5,)))
    estimator = WeightRegression(**options)
    estimator.build(task)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(10, 6)).astype(np.float32))
    return estimator, x, tf.constant(rng.integers(0, 4, 10).astype(np.int32))


def _seed(step=0):
    return tf.constant([0, step], tf.int64)


def test_models_predict_from_mean_activations_and_learn_from_each_example_by_hand():
    """A step of gradient descent: A ← A - η Σ_i h_i (Aᵀh_i - g)ᵀ, and before it Ĝ = Aᵀ mean_i h_i."""
    estimator, x, y = _built(optimizer=keras.optimizers.SGD(0.1))
    exact = Backpropagation()
    exact.build(estimator.task)
    g = exact.estimate(x, y, _seed()).gradients
    g = np.concatenate([np.ravel(g[0]), np.ravel(g[1])])
    (before,) = estimator._models[0].get_weights()
    assert before.std() == pytest.approx(0.01 / np.sqrt(35), rel=0.2)
    gradients = estimator.estimate(x, y, _seed()).gradients
    h = tf.nn.relu(x @ estimator.task.weights[0] + estimator.task.weights[1]).numpy()
    predicted = h.mean(0) @ before
    np.testing.assert_allclose(np.concatenate([np.ravel(gradients[0]), np.ravel(gradients[1])]), predicted, atol=1e-6)
    (after,) = estimator._models[0].get_weights()
    np.testing.assert_allclose(after, before - 0.1 * h.T @ (h @ before - g), atol=1e-6)


def test_loss_outputs_and_the_gradients_it_learns_from_are_backpropagation_s():
    estimator, x, y = _built()
    exact = Backpropagation()
    exact.build(estimator.task)
    expected, estimate = exact.estimate(x, y, _seed()), estimator.estimate(x, y, _seed())
    np.testing.assert_allclose(estimate.loss, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(estimate.outputs, expected.outputs, atol=1e-6)
    for a, b in zip(estimator.actual_and_synthetic(x, y, _seed())[0], expected.gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_on_one_batch_the_models_come_near_its_gradient():
    """One gradient for all examples, from activations that nearly hold a constant: the regression has little to err."""
    estimator, x, y = _built(optimizer=keras.optimizers.SGD(0.02))
    estimate = tf.function(estimator.estimate)
    for step in range(300):
        estimate(x, y, _seed(step))
    exact, synthetic = estimator.actual_and_synthetic(x, y, _seed())
    assert float(cosine(exact, synthetic)) > 0.99


def test_a_network_of_one_block_needs_no_boundary():
    task = tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=()))
    estimator = WeightRegression()
    estimator.build(task)
    assert len(estimator._models) == 1


def test_models_are_trained_every_k_th_step_only():
    estimator, x, y = _built(synth_step=3)
    for step in range(5):
        estimator.estimate(x, y, _seed(step))
    assert [int(optimizer.iterations) for optimizer in estimator._optimizers] == [2, 2]


def test_cost_adds_the_models_once_a_batch_and_their_training_every_k_th_step():
    models_products, network = 5 * (6 * 5 + 5) + 4 * (5 * 4 + 4), 2 * 6 * 5 + 3 * 5 * 4
    estimator, _, _ = _built(synth_step=4)
    assert estimator.cost(10) == pytest.approx(10 + (10 * 2 / 4 + 1) * models_products / network)


def test_a_resumed_run_is_bit_identical(tmp_path):
    assert_resumes_bit_identically(WeightRegression, tmp_path)


def test_impossible_settings_are_named():
    with pytest.raises(ValueError, match="synth_step must be ≥ 1, got 0"):
        WeightRegression(synth_step=0)
