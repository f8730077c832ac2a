"""Curvature products beside explicit matrices in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import flat_weights, gauss_newton64, hessian64, small_batch, small_task

from common.curvature.operators import CurvatureOperator, GaussNewtonOperator, HessianOperator
from common.tasks import networks as models
from common.tasks import task as tasks
from common.vectors import flatten, unflatten


def _hessian(task, x, y):
    return hessian64(flat_weights(task), x, y)


def _gauss_newton(task, x, _y):
    return gauss_newton64(flat_weights(task), x)


OPERATORS = {"hessian": (HessianOperator, _hessian), "gauss_newton": (GaussNewtonOperator, _gauss_newton)}


@pytest.fixture(params=OPERATORS.values(), ids=list(OPERATORS), scope="module")
def pair(request):
    """An operator on the small network, and the explicit matrix."""
    make, explicit = request.param
    task, batch = small_task(), small_batch()
    return make(task, *batch), explicit(task, *batch)


def _relative(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def test_products_are_those_of_the_explicit_matrix(pair):
    operator, matrix = pair
    columns = tf.constant(np.random.default_rng(1).normal(size=(operator.size, 5)), tf.float32)
    expected = matrix @ columns.numpy()
    assert _relative(operator.block(columns), expected) < 1e-5
    assert _relative(tf.function(operator.block)(columns), expected) < 1e-5
    assert _relative(operator.vector(columns[:, 2]), expected[:, 2]) < 1e-5


def test_every_entry_is_right_and_the_matrix_symmetric(pair):
    operator, matrix = pair
    hessian = tf.function(operator.block)(tf.eye(operator.size)).numpy()
    scale = np.abs(matrix).max()
    assert np.abs(hessian - matrix).max() < 1e-5 * scale
    assert np.abs(hessian - hessian.T).max() < 1e-5 * scale


def test_the_hessian_has_negative_curvature_and_the_gauss_newton_matrix_has_none(pair):
    operator, matrix = pair
    lowest, highest = np.linalg.eigvalsh(matrix)[[0, -1]]
    if isinstance(operator, HessianOperator):
        assert lowest < -1e-2 * highest  # else the tests of indefinite solvers would say little
    else:
        assert abs(lowest) < 1e-12 * highest


@pytest.mark.parametrize(
    ("make", "summands"),
    [
        (HessianOperator, {"damping": 0.5}),
        (HessianOperator, {"l2": 0.25}),
        (GaussNewtonOperator, {"damping": 0.5, "l2": 0.25}),
    ],
)
def test_damping_and_l2_are_summands_of_their_own(make, summands):
    task, batch = small_task(), small_batch()
    columns = tf.constant(np.random.default_rng(2).normal(size=(task.parameter_count, 2)), tf.float32)
    plain, shifted = make(task, *batch), make(task, *batch, **summands)
    expected = plain.block(columns) + sum(summands.values()) * columns
    np.testing.assert_allclose(shifted.block(columns), expected, atol=1e-6)
    np.testing.assert_allclose(shifted.vector(columns[:, 0]), expected[:, 0], atol=1e-6)
    assert shifted.damping == summands.get("damping", 0.0)
    assert shifted.l2 == summands.get("l2", 0.0)


def test_a_squared_error_on_a_line_has_the_hessian_of_least_squares():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(20, columns)).astype(np.float32) for columns in (3, 1))
    task = tasks.regression(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))
    extended = np.hstack([x, np.ones((20, 1))])
    expected = 2 * extended.T @ extended / 20
    for make in (HessianOperator, GaussNewtonOperator):  # equal where the network is linear
        hessian = make(task, tf.constant(x), tf.constant(y)).block(tf.eye(4))
        np.testing.assert_allclose(hessian, expected, atol=1e-5)


@pytest.mark.slow
def test_the_real_network_agrees_with_forward_over_reverse():
    """`leaky_convnet` itself: TensorFlow's forward mode pushes the same vector through the gradient."""
    task = tasks.classification(models.build("leaky_convnet", (28, 28, 1), 4, seed=0))
    rng = np.random.default_rng(0)
    x, y = tf.constant(rng.random((8, 28, 28, 1), np.float32)), tf.constant(rng.integers(0, 4, 8).astype(np.int32))
    vector = tf.constant(rng.normal(size=task.parameter_count), tf.float32)
    variables = [weight.value for weight in task.weights]

    @tf.function(autograph=False)
    def pushed_forward():
        with tf.autodiff.ForwardAccumulator(variables, unflatten(vector, variables)) as forward:
            with tf.GradientTape() as tape:
                loss = task.loss(y, task.predictions(x))
            gradients = tape.gradient(loss, variables)
        return flatten([forward.jvp(part) for part in gradients])

    product = tf.function(HessianOperator(task, x, y).vector, autograph=False)(vector)
    assert _relative(product.numpy(), pushed_forward().numpy()) < 1e-5


def test_dropout_is_one_mask_for_all_columns():
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 3, seed=0))
    rng = np.random.default_rng(0)
    x, y = tf.constant(rng.random((4, 12, 12, 1), np.float32)), tf.constant(rng.integers(0, 3, 4).astype(np.int32))
    columns = tf.constant(rng.normal(size=(task.parameter_count, 1)), tf.float32)
    seeds = [tf.constant([0, step], tf.int64) for step in (0, 1)]
    first, second = (HessianOperator(task, x, y, seed).block(tf.repeat(columns, 2, 1)).numpy() for seed in seeds)
    np.testing.assert_array_equal(first[:, 0], first[:, 1])
    assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"damping": -0.1}, "damping must be ≥ 0 and finite, got -0.1"),
        ({"l2": float("inf")}, "l2 must be ≥ 0 and finite, got inf"),
        ({"examples": 0}, "the number of examples must be ≥ 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    batch = small_batch(wrong.pop("examples", 6))
    with pytest.raises(ValueError, match=f"^{words}$"):
        HessianOperator(small_task(), *batch, **wrong)


def test_an_unfinished_operator_says_what_it_lacks():
    class Unfinished(CurvatureOperator):
        pass

    with pytest.raises(NotImplementedError, match=r"Unfinished does not implement linearized\(\)"):
        Unfinished(small_task(), *small_batch()).vector(tf.zeros([111]))
