"""Looking at the curvature of a network with batch norm and dropout leaves it as it was."""

import numpy as np
import pytest
import tensorflow as tf
from small_networks import normalised_task, small_batch

from common.curvature.eigensolvers import adaptive_eigenpairs, randomized_eigenpairs
from common.curvature.gauss_newton import gauss_newton_eigenpairs, gauss_newton_factor
from common.curvature.operators import GaussNewtonOperator, HessianOperator
from common.curvature.spectra import extreme_eigenvalues, spectral_density

SEED = tf.constant([0, 3], tf.int64)
LOOKS = {
    "a product": lambda operator: operator.vector(tf.ones(operator.size)),
    "a traced block": lambda operator: tf.function(operator.block)(tf.eye(operator.size)[:, :2]),
    "eigenpairs": lambda operator: randomized_eigenpairs(operator, 2, SEED),
    "eigenpairs by tolerance": lambda operator: adaptive_eigenpairs(operator, 0.5, SEED, block=2, max_rank=4),
    "the spectrum": lambda operator: spectral_density(operator, steps=3, probes=1, seed=0),
    "its ends": lambda operator: extreme_eigenvalues(operator, 1, seed=0),
}


def _state(task):
    return [variable.numpy() for variable in task.network.variables]


@pytest.mark.parametrize("make", [HessianOperator, GaussNewtonOperator])
@pytest.mark.parametrize("look", LOOKS.values(), ids=list(LOOKS))
def test_averages_and_dropout_stay_as_they_were(make, look):
    task = normalised_task()
    before = _state(task)
    look(make(task, *small_batch(), SEED))
    for now, then in zip(_state(task), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_outputs_are_the_same_whether_or_not_the_state_is_updated():
    task, (x, _) = normalised_task(), small_batch()
    before = _state(task)
    looked = task.outputs(x, SEED, update_state=False)
    np.testing.assert_array_equal(looked, task.outputs(x, SEED))
    assert any((now != then).any() for now, then in zip(_state(task), before, strict=True))


def test_the_factor_refuses_statistics_of_the_batch():
    """One example at a time is normalised to zero: the factor would be zero, and nothing would say so."""
    with pytest.raises(ValueError, match="layer 'norm_1' normalises by its batch: take products"):
        gauss_newton_factor(normalised_task(), *small_batch())


def test_the_factor_takes_averages_that_are_fixed():
    task, batch = normalised_task(training_mode=False), small_batch()
    eigenpairs = gauss_newton_eigenpairs(task, *batch, 2)
    product = GaussNewtonOperator(task, *batch).block(eigenpairs.vectors)
    np.testing.assert_allclose(product, eigenpairs.vectors * eigenpairs.values, atol=1e-4 * float(eigenpairs.values[0]))
