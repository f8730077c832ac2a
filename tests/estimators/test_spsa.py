"""SPSA against its formula, from two losses at perturbed weights, and its replay from one number."""

import numpy as np
import pytest
import tensorflow as tf

from common.estimators import SPSA, ParameterEvolution
from common.tasks import networks as models
from common.tasks import task as tasks
from common.vectors import flatten

SEED = tf.constant([2, 5], tf.int64)


def _built(estimator):
    task = tasks.classification(models.build("lenet5", (12, 12, 1), 4, seed=0))
    estimator.build(task)
    return task, estimator


def _batch(examples=10):
    rng = np.random.default_rng(0)
    return tf.constant(rng.random((examples, 12, 12, 1), dtype=np.float32)), tf.constant(rng.integers(0, 4, examples))


@pytest.mark.parametrize("directions", ["signs", "gaussian"])
def test_it_is_the_difference_of_two_losses_along_its_direction(directions):
    """The direction is read off the estimate, and the losses are the network's own, with its weights moved."""
    sigma = 0.05
    task, estimator = _built(SPSA(sigma, directions=directions))
    x, y = _batch()
    gradients = estimator.estimate(x, y, SEED).gradients
    slope = float(tf.squeeze(_slope(estimator, x, y)))
    z = [part / slope for part in gradients]
    if directions == "signs":
        np.testing.assert_allclose(np.abs(flatten(z)), 1.0, rtol=1e-4)
    start, losses = [weight.numpy() for weight in task.weights], []
    for sign in (1, -1):
        for weight, value, part in zip(task.weights, start, z, strict=True):
            weight.assign(value + sign * sigma * part)
        losses.append(float(task.loss(y, task.predictions(x))))
    assert (losses[0] - losses[1]) / (2 * sigma) == pytest.approx(slope, rel=1e-3, abs=1e-4)


def _slope(estimator, x, y):
    fitnesses = estimator.evaluate(x, y, SEED).fitnesses
    return (fitnesses[1] - fitnesses[0]) / (2 * estimator.sigma)


def test_directions_have_no_mean_and_no_covariance():
    _, estimator = _built(SPSA(0.1, directions="gaussian"))
    fitnesses = tf.constant([[0.0], [2 * 0.1]])  # a slope of one: the estimate is z
    z = np.stack([flatten(estimator.update_from(tf.constant([0, n], tf.int64), fitnesses)) for n in range(20)])
    assert abs(np.mean(z)) < 5 / np.sqrt(z.size)
    assert np.var(z) == pytest.approx(1, rel=0.05)
    products = z @ z.T / z.shape[1] - np.eye(len(z))
    assert np.abs(products).max() < 6 / np.sqrt(z.shape[1])


def test_a_step_is_replayed_from_its_seed_and_two_numbers():
    _, estimator = _built(SPSA(0.01))
    x, y = _batch()
    fitnesses = estimator.evaluate(x, y, SEED).fitnesses
    assert fitnesses.shape == (2, 1)
    for a, b in zip(estimator.update_from(SEED, fitnesses), estimator.estimate(x, y, SEED).gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_evolution_with_one_pair():
    whole = {"rank": None, "shaping": "none", "own_data": False, "directions": "signs"}
    (_, spsa), (_, evolution) = _built(SPSA(0.01)), _built(ParameterEvolution(2, 0.01, **whole))
    first, second = (estimator.estimate(*_batch(), SEED).gradients for estimator in (spsa, evolution))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert repr(spsa) == "SPSA(0.01)"


def test_cost_is_two_forward_passes():
    _, estimator = _built(SPSA(0.01))
    assert estimator.evaluations_per_step(9) == 18
    assert estimator.cost(9) == pytest.approx(2 * 9 / 3)
