"""Longer steps within a random subspace, beside projections in numpy."""

import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import assert_resumes_bit_identically, random_batch

from common.estimators import Backpropagation, ConstantNoise, NoisyGradient, RandomSubspace
from common.tasks import networks as models
from common.tasks import task as tasks

DIMENSIONS = 4


def _built(**settings):
    task = tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))  # 53 parameters
    settings = {"dimensions": DIMENSIONS, "amplification": 3.0, "refresh_every": 1} | settings
    estimator = RandomSubspace(Backpropagation(), **settings)
    estimator.build(task)
    return estimator


def _direction(estimator, run=0, step=0):
    gradients = estimator.estimate(*random_batch(estimator.task, 24), tf.constant([run, step], tf.int64)).gradients
    return np.concatenate([np.ravel(part) for part in gradients]).astype(np.float64)


def test_the_direction_is_amplified_within_an_orthonormal_basis():
    estimator = _built()
    exact = _direction(_built(amplification=1.0))
    direction = _direction(estimator)
    basis = estimator.basis.numpy().astype(np.float64)
    np.testing.assert_allclose(basis.T @ basis, np.eye(DIMENSIONS), atol=1e-5)
    np.testing.assert_allclose(direction, exact + 2.0 * basis @ (basis.T @ exact), atol=1e-5)


def test_it_holds_the_part_of_a_vector_that_chance_gives():
    """The mean of ‖Vᵀg‖²/‖g‖² is d/P: its standard deviation over one basis is about √(2d)/P."""
    estimator, bases = _built(), 200
    exact = _direction(_built(amplification=1.0))
    parts = []
    for step in range(bases):
        _direction(estimator, step=step)
        parts.append(np.sum((estimator.basis.numpy().T @ exact) ** 2) / np.sum(exact**2))
    error = np.std(parts, ddof=1) / bases**0.5
    assert abs(np.mean(parts) - DIMENSIONS / 53) < 4 * error


def test_the_basis_is_drawn_anew_every_few_steps_by_seed_and_step():
    estimator, bases = _built(refresh_every=3), []
    for step in range(4):
        _direction(estimator, step=step)
        bases.append(estimator.basis.numpy())
    np.testing.assert_array_equal(bases[2], bases[0])
    assert np.abs(bases[3] - bases[0]).max() > 0.01
    _direction(estimator, run=1, step=3)
    assert np.abs(estimator.basis.numpy() - bases[3]).max() > 0.01


def test_it_costs_what_the_wrapped_estimator_costs():
    assert _built().cost(16) == 16


def test_resuming_is_bit_identical(tmp_path):
    assert_resumes_bit_identically(
        lambda: RandomSubspace(
            NoisyGradient(Backpropagation(), ConstantNoise(0.1)), dimensions=4, amplification=2.0, refresh_every=3
        ),
        tmp_path,
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"dimensions": 0}, "dimensions must be ≥ 1, got 0"),
        ({"dimensions": 54}, "dimensions must be at most the network's 53 parameters, got 54"),
        ({"amplification": 0.9}, "amplification must be ≥ 1 and finite, got 0.9"),
        ({"refresh_every": 0}, "refresh_every must be ≥ 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        _built(**wrong)
