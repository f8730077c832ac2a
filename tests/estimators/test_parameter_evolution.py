"""Evolution strategies on the weights beside networks that are perturbed by hand, one by one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from evolution_cases import NETWORKS, batch, linear, member_outputs, perturbations, step_seed, task

from common import tasks
from common.estimators.backpropagation import Backpropagation
from common.estimators.parameter_evolution import ParameterEvolution

BATCH = 8


def _built(network_task, population=8, sigma=0.3, **options):
    estimator = ParameterEvolution(population, sigma, **options)
    estimator.build(network_task)
    return estimator


def _fitnesses_by_hand(estimator, x, y, seed):
    """Mean loss or accuracy of each member on its data, (2, pairs), by running the network once for each member."""
    noise = perturbations(_unshaped(estimator), seed)
    per_example = estimator.task.per_example_loss
    sign_of_fitness = -1.0
    if estimator.fitness == "accuracy":
        per_example, sign_of_fitness = estimator.task.per_example_metric, 1.0
    found = np.zeros((2, estimator.pairs))
    for k in range(estimator.pairs):
        examples = len(x) // estimator.pairs
        own = slice(k * examples, (k + 1) * examples) if estimator.own_data else slice(None)
        for row, sign in enumerate((1, -1)):
            outputs = member_outputs(estimator, noise, k, sign, x[own])
            found[row, k] = sign_of_fitness * np.mean(per_example(y[own], tf.constant(outputs)))
    return found


def _unshaped(estimator):
    """The same members, without shaping and weight decay: its update_from is linear in the fitnesses."""
    options = {"rank": estimator.rank, "directions": estimator.directions}
    return _built(estimator.task, estimator.population, estimator.sigma, shaping="none", **options)


def _flat(parts):
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)


@pytest.mark.parametrize("directions", ["gaussian", "signs"])
@pytest.mark.parametrize("rank", [1, 2, None])
@pytest.mark.parametrize("own_data", [True, False])
@pytest.mark.parametrize("make", NETWORKS.values(), ids=list(NETWORKS))
def test_each_member_is_the_network_with_perturbed_weights(make, own_data, rank, directions):
    network_task = task(make)
    for population in (8, 16) if own_data else (8,):  # two examples a pair, and one
        estimator = _built(network_task, population, rank=rank, own_data=own_data, directions=directions)
        x, y = batch(network_task, BATCH)
        found = estimator.evaluate(x, y, step_seed(1, 2))
        expected = _fitnesses_by_hand(estimator, x, y, step_seed(1, 2))
        np.testing.assert_allclose(found.fitnesses, expected, atol=1e-5)
        assert float(found.loss) == pytest.approx(-expected.mean(), abs=1e-5)


@pytest.mark.parametrize("own_data", [True, False])
def test_outputs_are_means_over_the_members_that_saw_the_example(own_data):
    estimator = _built(task(NETWORKS["dense"]), own_data=own_data)
    x, y = batch(estimator.task, BATCH)
    noise = perturbations(_unshaped(estimator), step_seed())
    runs = np.array([[member_outputs(estimator, noise, k, s, x) for s in (1, -1)] for k in range(4)]).mean(1)
    expected = np.concatenate([runs[k, 2 * k : 2 * k + 2] for k in range(4)]) if own_data else runs.mean(0)
    np.testing.assert_allclose(estimator.evaluate(x, y, step_seed()).outputs, expected, atol=1e-5)


def test_accuracy_as_the_fitness():
    estimator = _built(task(NETWORKS["strided"]), own_data=False, fitness="accuracy")
    x, y = batch(estimator.task, 20)
    found = estimator.evaluate(x, y, step_seed())
    np.testing.assert_allclose(found.fitnesses, _fitnesses_by_hand(estimator, x, y, step_seed()), atol=1e-6)
    assert float(found.loss) > 0
