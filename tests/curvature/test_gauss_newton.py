"""The exact factor of the Gauss-Newton matrix, beside the explicit matrix in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import CLASSES, EXAMPLES, flat_weights, gauss_newton64, small_batch, small_task

from common.curvature.gauss_newton import gauss_newton_eigenpairs, gauss_newton_factor
from common.curvature.operators import GaussNewtonOperator
from common.tasks import task as tasks


@pytest.fixture(scope="module")
def task():
    return small_task()


def test_the_factor_squared_is_the_matrix(task):
    x, y = small_batch()
    factor = tf.function(gauss_newton_factor)(task, x, y).numpy().astype(np.float64)
    assert factor.shape == (EXAMPLES * CLASSES, 111)
    expected = gauss_newton64(flat_weights(task), x)
    np.testing.assert_allclose(factor.T @ factor, expected, atol=1e-5 * np.abs(expected).max())


def test_its_rank_is_at_most_examples_times_classes_less_one(task):
    singular = np.linalg.svd(gauss_newton_factor(task, *small_batch(4)).numpy(), compute_uv=False)
    assert np.sum(singular > 1e-4 * singular[0]) == 4 * (CLASSES - 1)


@pytest.mark.parametrize("rank", [1, 5, EXAMPLES * (CLASSES - 1)])
def test_eigenpairs_are_those_of_the_matrix(task, rank):
    batch = small_batch()
    eigenpairs = gauss_newton_eigenpairs(task, *batch, rank)
    values, vectors = np.linalg.eigh(gauss_newton64(flat_weights(task), batch[0]))
    np.testing.assert_allclose(eigenpairs.values, values[::-1][:rank], rtol=1e-3, atol=1e-5 * values[-1])
    np.testing.assert_allclose(eigenpairs.vectors.numpy().T @ eigenpairs.vectors.numpy(), np.eye(rank), atol=2e-3)
    cosine = abs(eigenpairs.vectors.numpy()[:, 0] @ vectors[:, -1])
    assert cosine > 0.999


def test_beyond_the_rank_values_and_vectors_are_zero(task):
    eigenpairs = gauss_newton_eigenpairs(task, *small_batch(2), rank=2 * CLASSES)
    np.testing.assert_array_equal(eigenpairs.values[2 * (CLASSES - 1) :], [0.0, 0.0])
    assert not eigenpairs.vectors[:, 2 * (CLASSES - 1) :].numpy().any()


def test_it_agrees_with_the_operator(task):
    batch = small_batch()
    eigenpairs = gauss_newton_eigenpairs(task, *batch, 3)
    product = GaussNewtonOperator(task, *batch).block(eigenpairs.vectors)
    np.testing.assert_allclose(product, eigenpairs.vectors * eigenpairs.values, atol=1e-4 * float(eigenpairs.values[0]))


def test_regression_has_a_factor_too():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(7, columns)).astype(np.float32) for columns in (3, 1))
    task = tasks.regression(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))
    extended = np.hstack([x, np.ones((7, 1))])
    factor = gauss_newton_factor(task, tf.constant(x), tf.constant(y)).numpy()
    np.testing.assert_allclose(factor.T @ factor, 2 * extended.T @ extended / 7, atol=1e-5)


@pytest.mark.parametrize("rank", [0, EXAMPLES * CLASSES + 1])
def test_a_rank_that_the_examples_cannot_tell_is_named(task, rank):
    words = f"^rank must be from 1 to 18, all that 6 examples can tell, got {rank}$"
    with pytest.raises(ValueError, match=words):
        gauss_newton_eigenpairs(task, *small_batch(), rank)


def test_weights_that_are_not_finite_give_nan_and_no_error():
    task = small_task()
    task.weights[-2].assign(tf.fill(task.weights[-2].shape, float("nan")))
    assert np.isnan(gauss_newton_eigenpairs(task, *small_batch(), 2).values).all()
