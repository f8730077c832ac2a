"""Forward gradients beside backpropagation, which they equal on average, and what their cosines must be."""

import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import random_batch
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from common.estimators import Backpropagation, ForwardGradient, RunContext
from common.estimators.forward.tangents import TABLES, TangentSource
from common.tasks import networks as models
from common.tasks import task as tasks
from common.vectors import cosine, flatten, unflatten

SEED = tf.constant([0, 0], tf.int64)


def _mlp():
    """73 weights."""
    return tasks.classification(models.build("mlp", (4,), 3, seed=0, hidden=(6, 4)))


def _convnet(name="lenet5"):
    return tasks.classification(models.build(name, (28, 28, 1), 4, seed=0))


def _batch(task, examples=12):
    return random_batch(task, examples)


def _exact(task, batch):
    estimator = Backpropagation()
    estimator.build(task)
    return estimator.estimate(*batch, SEED)


def _estimates(task, batch, count, **options):
    """Many estimates on one batch, (count, D), a step each."""
    estimator = ForwardGradient(**options)
    estimator.build(task, RunContext())

    @tf.function
    def estimates() -> tf.Tensor:
        def estimate(step):
            return flatten(estimator.estimate(*batch, tf.stack([0, step])).gradients)

        return tf.map_fn(estimate, tf.range(count, dtype=tf.int64), fn_output_signature=tf.float32)

    return estimates().numpy()


@pytest.mark.parametrize("options", [{"tangents": 1}, {"tangents": 3, "directions": "signs"}])
def test_the_mean_is_the_gradient_within_its_standard_error(options):
    task = _mlp()
    batch = _batch(task)
    estimates, exact = _estimates(task, batch, 1_000, **options), flatten(_exact(task, batch).gradients).numpy()
    errors = (estimates.mean(0) - exact) / (estimates.std(0, ddof=1) / np.sqrt(len(estimates)))
    assert np.abs(errors).max() < 4.5
    assert 0.6 < np.mean(errors**2) < 1.5


@pytest.mark.parametrize("name", ["lenet5", "leaky_convnet", "normalised_convnet_3", "mnist_convnet"])
def test_the_derivative_along_a_tangent_is_the_gradient_s_product_with_it(name):
    """Through convolutions, the fast pooling, and batch norm."""
    task = _convnet(name)
    batch = _batch(task)
    exact, estimator = _exact(task, batch), ForwardGradient()
    estimator.build(task)
    rng = np.random.default_rng(1)
    tangent = tf.constant(rng.normal(size=task.parameter_count), tf.float32)
    parts = unflatten(tangent, task.weights)
    derived = tf.function(lambda: estimator._derivative(*batch, SEED, parts, update_state=True))
    loss, outputs, derivative = derived()
    np.testing.assert_allclose(loss, exact.loss, rtol=1e-5)
    np.testing.assert_allclose(outputs, exact.outputs, atol=1e-4)
    expected = np.dot(flatten(exact.gradients).numpy().astype(np.float64), tangent)
    assert float(derivative) == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("combination", "tangents", "rank"),
    [
        ("mean", 1, lambda k, d: k / (k + d)),
        ("mean", 20, lambda k, d: k / (k + d)),
        ("projection", 20, lambda k, d: k / d),
    ],
)
def test_cosines_follow_the_number_of_tangents(combination, tangents, rank):
    task = _mlp()
    batch = _batch(task)
    exact = _exact(task, batch).gradients
    estimates = _estimates(task, batch, 150, tangents=tangents, combination=combination)
    cosines = np.array([cosine([flatten(exact)], [tf.constant(estimate)]) for estimate in estimates])
    assert (cosines >= 0).all()
    expected = rank(tangents, task.parameter_count)
    assert np.mean(cosines**2) == pytest.approx(expected, rel=0.15)


def test_the_projection_onto_all_directions_is_the_gradient():
    task = _mlp()
    batch = _batch(task)
    [estimate] = _estimates(task, batch, 1, tangents=task.parameter_count, combination="projection")
    exact = flatten(_exact(task, batch).gradients)
    assert float(cosine([exact], [tf.constant(estimate)])) > 0.99


def test_the_projection_changes_nothing_within_the_span():
    """By NumPy's least squares: the estimate is V⁺ V g."""
    task = _mlp()
    batch = _batch(task)
    estimator = ForwardGradient(5, combination="projection")
    estimator.build(task)
    tangents = estimator._drawn(tf.constant([3, 4], tf.int64)).numpy().astype(np.float64)
    gradient = flatten(_exact(task, batch).gradients).numpy().astype(np.float64)
    estimator._drawn = lambda seed: tf.constant(tangents, tf.float32)
    estimate = flatten(estimator.estimate(*batch, SEED).gradients)
    np.testing.assert_allclose(estimate, np.linalg.pinv(tangents) @ tangents @ gradient, atol=1e-5)


@pytest.mark.parametrize("kind", TABLES)
def test_directions_have_mean_0_and_covariance_1(kind):
    table = TABLES[kind]()
    np.testing.assert_allclose(table.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(table.T @ table / len(table), np.eye(table.shape[1]), atol=1e-4)
    drawn = TangentSource(kind).draw(50, 1_000, SEED).numpy()
    assert drawn.shape == (50, 1_000)
    assert np.var(drawn) == pytest.approx(1, rel=0.05)
    products = drawn @ drawn.T / 1_000 - np.eye(50)
    assert np.abs(products[~np.eye(50, dtype=bool)]).max() < 6 / np.sqrt(1_000)


def test_a_direction_in_tensors_is_the_same_direction():
    """With tensors that begin and end within a row of the table, or fill rows."""
    like = [tf.zeros(shape) for shape in [(5, 5, 1, 6), (6,), (64, 3), (128,), (1,)]]
    source = TangentSource("gaussian")
    whole = source.draw(1, sum(part.shape.num_elements() for part in like), SEED)[0]
    for part, expected in zip(source.draw_tensors(like, SEED), unflatten(whole, like), strict=True):
        np.testing.assert_array_equal(part, expected)


class _NoTape:
    def __init__(self, *_, **__):
        raise AssertionError("a gradient tape was made")


@pytest.mark.parametrize("tangents", [1, 2])
def test_there_is_no_tape(monkeypatch, tangents):
    monkeypatch.setattr(tf, "GradientTape", _NoTape)
    monkeypatch.setattr(tf, "gradients", _NoTape)
    task = _convnet()
    estimator = ForwardGradient(tangents)
    estimator.build(task)
    tf.function(estimator.estimate).get_concrete_function(*_batch(task), SEED)


def _operations(function, batch):
    """What is left of a traced function to be run, calls inlined, by type."""
    traced = tf.function(function).get_concrete_function(*batch)
    graph = convert_variables_to_constants_v2(traced).graph
    return [operation.type for operation in graph.get_operations()]


def test_what_runs_has_the_products_of_forward_passes_alone():
    """Three products for each layer (h W, ḣ W, h Ẇ), two for the first one, and no convolution's gradient."""
    task = _convnet("tiny_convnet")
    estimator = ForwardGradient()
    estimator.build(task)
    x, y = _batch(task)
    ones = [tf.ones(weight.shape) for weight in task.weights]
    kinds = _operations(lambda x: estimator._derivative(x, y, SEED, ones, update_state=True), [x])
    assert not [kind for kind in kinds if "Backprop" in kind or "PoolGrad" in kind]
    assert kinds.count("Conv2D") == 2 + 3
    assert kinds.count("MatMul") == 3


def test_cost_is_a_gradient_for_each_tangent():
    estimator = ForwardGradient(3)
    estimator.build(_mlp())
    assert estimator.cost(10) == 30.0


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="tangents must be ≥ 1, got 0"):
        ForwardGradient(0)
    with pytest.raises(ValueError, match=r"combination must be .*got 'sum'"):
        ForwardGradient(2, combination="sum")
    with pytest.raises(ValueError, match="tangents must be at most the 73 weights, for the projection, got 74"):
        ForwardGradient(74, combination="projection").build(_mlp())
