"""Inexact Newton by conjugate gradients, and the line search, on problems solved by hand."""

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from newton_cases import PARAMETERS, as_vector, batch, saddle_batch, saddle_task, seed, small_task, split_dataset

from common import training
from common.curvature.operators import HessianOperator
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import RunContext
from common.estimators.newton.line_search import ArmijoLineSearch
from common.estimators.newton.newton_cg import NewtonCG, conjugate_gradients
from common.estimators.newton.saddle_free_newton import SaddleFreeNewton


def _built(estimator, task=None):
    estimator.build(task or small_task())
    return estimator


def _solve(matrix, gradient, iterations, **options):
    def product(vector):
        return tf.linalg.matvec(tf.constant(matrix, tf.float32), vector)

    return conjugate_gradients(product, tf.constant(gradient, tf.float32), iterations, **options).numpy()


def test_as_many_steps_as_unknowns_solve_a_positive_definite_system():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    matrix, gradient = root @ root.T + np.eye(6), rng.normal(size=6)
    solution = _solve(matrix, gradient, 12, tolerance=1e-6)
    np.testing.assert_allclose(solution, np.linalg.solve(matrix, gradient), atol=1e-4)


def test_one_step_is_steepest_descent_with_the_best_length():
    """By hand: A = diag(1, 3), g = (1, 1): length gᵀg / gᵀAg = 2/4."""
    np.testing.assert_allclose(_solve(np.diag([1.0, 3.0]), [1.0, 1.0], 1), [0.5, 0.5])


def test_it_stops_at_negative_curvature():
    """A = diag(2, -1): along g = (1, 1) it is positive, along the second direction it is not."""
    first = _solve(np.diag([2.0, -1.0]), [1.0, 1.0], 1)
    np.testing.assert_allclose(first, [2.0, 2.0])
    np.testing.assert_array_equal(_solve(np.diag([2.0, -1.0]), [1.0, 1.0], 9, tolerance=1e-9), first)


def test_negative_curvature_along_the_gradient_leaves_the_gradient():
    np.testing.assert_array_equal(_solve(np.diag([-2.0, 1.0]), [1.0, 1.0], 9), [1.0, 1.0])


def test_it_stops_when_the_residual_is_small_enough():
    matrix, gradient = np.diag([1.0, 1.01, 1.02]), np.ones(3)
    np.testing.assert_array_equal(_solve(matrix, gradient, 1), _solve(matrix, gradient, 50))


def test_the_direction_is_that_of_a_dense_solve():
    task = small_task()
    estimator = _built(NewtonCG(Backpropagation(), 60, damping=3.0, hessian_batch=16), task)
    x, y = batch()
    matrix = HessianOperator(task, x[:16], y[:16], damping=3.0).block(tf.eye(PARAMETERS)).numpy().astype(np.float64)
    gradient = as_vector(_built(Backpropagation(), task).estimate(x, y, seed()).gradients)
    direction = as_vector(estimator.estimate(x, y, seed()).gradients)
    residual = np.linalg.norm(matrix @ direction - gradient) / np.linalg.norm(gradient)
    assert residual <= min(0.5, np.sqrt(np.linalg.norm(gradient)))
    assert direction @ gradient > 0


def test_cost_is_a_bound_that_counts_all_products():
    estimator = _built(NewtonCG(Backpropagation(), 5, hessian_batch=12, line_search=ArmijoLineSearch()))
    assert estimator.cost(24) == pytest.approx(24 + 12 * (1 + 2 * 5) + 24 / 3)
    assert estimator.cost(6) == pytest.approx(6 + 6 * (1 + 2 * 5) + 6 / 3)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"iterations": 0}, "iterations must be ≥ 1, got 0"),
        ({"damping": 0.0}, "damping must be > 0 and finite, got 0.0"),
        ({"hessian_batch": 0}, "hessian_batch must be ≥ 1, got 0"),
        ({"hessian_batch": 25}, "hessian_batch must be at most the minibatch's 24 examples, got 25"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        _built(NewtonCG(Backpropagation(), **wrong)).estimate(*batch(), seed())


def test_an_epoch_s_smaller_last_batch_is_its_own_curvature():
    estimator = NewtonCG(Backpropagation(), hessian_batch=16)
    estimator.build(small_task(), RunContext(batch_size=24))
    assert all(np.all(np.isfinite(part)) for part in estimator.estimate(*batch(6), seed()).gradients)


def test_curvature_that_is_not_finite_ends_the_run_as_diverged(monkeypatch):
    monkeypatch.setattr(HessianOperator, "product", lambda self: lambda vector: vector * np.nan)
    estimator, optimizer = NewtonCG(Backpropagation(), 2, hessian_batch=8), keras.optimizers.SGD(0.1)
    history = training.train(small_task(), estimator, optimizer, split_dataset(), epochs=1, batch_size=16, seed=0)
    assert (history.status, history.diverged_step) == ("diverged", 1)


def _step(direction, *, at=(1.0, 0.0), search=None):
    """How far a search goes from u = 1 on L = 3u²/2, where g = 3."""
    task = saddle_task(at)
    gradients = _built(Backpropagation(), task).estimate(*saddle_batch(), seed())
    along = [tf.constant([[direction], [0.0]])]
    here = task, (*saddle_batch(), seed()), gradients.loss, gradients.gradients
    step_size = float((search or ArmijoLineSearch()).shortened(along, *here)[0][0, 0]) / direction
    np.testing.assert_array_equal(task.weights[0].numpy()[:, 0], np.float32(at))  # put back
    return step_size


@pytest.mark.parametrize(("direction", "expected"), [(1.0, 1.0), (1.9, 1.0), (2.1, 0.5), (7.9, 0.25), (30.0, 1 / 16)])
def test_the_step_is_halved_until_the_loss_falls(direction, expected):
    """From u = 1 along d, the loss falls for every length below 2/d."""
    assert _step(direction) == pytest.approx(expected)


def test_a_larger_demand_gives_a_shorter_step():
    """By hand: falling by c·t·3d: 3(1 - (1 - td)²)/2 ≥ 3ctd, so td ≤ 2(1 - c)."""
    assert _step(1.5, search=ArmijoLineSearch(decrease=0.2)) == pytest.approx(1.0)
    assert _step(1.5, search=ArmijoLineSearch(decrease=0.3)) == pytest.approx(0.5)


def test_a_direction_that_points_uphill_is_not_followed():
    assert _step(-1.0) == 0.0
    assert _step(1e6, search=ArmijoLineSearch(halvings=2)) == 0.0


def test_with_a_line_search_a_step_never_raises_the_loss():
    task = small_task()
    newton = SaddleFreeNewton(Backpropagation(), 4, 0.1, 16, 1, line_search=ArmijoLineSearch())
    step = tf.function(training.one_step(task, _built(newton, task), keras.optimizers.SGD(1.0)))
    losses = [float(step(*batch(), seed(0, number))) for number in range(8)]
    assert all(later <= earlier for earlier, later in pairwise(losses))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("wrong", [{"decrease": 0.0}, {"decrease": 1.0}, {"halvings": 0}])
def test_wrong_arguments_of_the_line_search_are_named(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be"):
        ArmijoLineSearch(**wrong)
