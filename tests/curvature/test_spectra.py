"""Lanczos spectra beside explicit eigenvalues."""

import numpy as np
import pytest
import tensorflow as tf
from small_networks import flat_weights, hessian64, small_batch, small_task

from common.curvature.operators import HessianOperator
from common.curvature.spectra import extreme_eigenvalues, spectral_density


@pytest.fixture(scope="module")
def known():
    """An operator and all eigenvalues of its explicit matrix, rising."""
    task, batch = small_task(), small_batch()
    return HessianOperator(task, *batch), np.linalg.eigvalsh(hessian64(flat_weights(task), *batch))


def test_extremes_are_those_of_the_explicit_matrix(known):
    operator, values = known
    largest = np.sort(values[np.argsort(-np.abs(values))[:4]])
    np.testing.assert_allclose(extreme_eigenvalues(operator, 4, 0), largest, rtol=1e-3)


def test_the_density_has_the_moments_of_the_spectrum(known):
    """Mean and variance over all P eigenvalues, over many probes; the weights sum to one."""
    operator, values = known
    density = spectral_density(operator, steps=12, probes=25, seed=0)
    assert density.weights.sum() == pytest.approx(1)
    assert density.weights @ density.nodes == pytest.approx(values.mean(), abs=0.3 * values.std())
    assert density.weights @ density.nodes**2 == pytest.approx(np.mean(values**2), rel=0.3)
    assert (np.diff(density.nodes) >= 0).all()
    assert density.nodes[-1] == pytest.approx(values[-1], rel=1e-3)
    assert density.nodes[0] == pytest.approx(values[0], rel=1e-2)


def test_the_distribution_function_is_that_of_the_spectrum(known):
    operator, values = known
    density = spectral_density(operator, steps=30, probes=20, seed=1)
    for threshold in (-0.5, -0.2, 0.2, 0.5):
        share = density.weights[density.nodes < threshold].sum()
        assert share == pytest.approx(np.mean(values < threshold), abs=0.06)


def test_a_seed_decides_the_probes(known):
    operator, _ = known
    first, again, other = (spectral_density(operator, steps=3, probes=1, seed=seed).nodes for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_the_spectrum_of_zero_is_zero(known, monkeypatch):
    operator, _ = known
    monkeypatch.setattr(HessianOperator, "vector", lambda self, vector: tf.zeros_like(vector))
    density = spectral_density(operator, steps=4, probes=1, seed=0)
    assert density.nodes.tolist() == [0.0]


def test_weights_that_are_not_finite_give_nan_and_no_error():
    task = small_task()
    task.weights[-2].assign(task.weights[-2] * np.nan)
    density = spectral_density(HessianOperator(task, *small_batch()), steps=4, probes=1, seed=0)
    assert np.isnan(density.nodes).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda operator: spectral_density(operator, steps=112, probes=1, seed=0),
            "steps must be from 1 to the 111 parameters",
        ),
        (lambda operator: spectral_density(operator, steps=5, probes=0, seed=0), "probes must be ≥ 1, got 0"),
        (lambda operator: extreme_eigenvalues(operator, 111, 0), "count must be from 1 to 110, got 111"),
        (lambda operator: extreme_eigenvalues(operator, 1, 0, tolerance=0), "tolerance must be > 0, got 0"),
    ],
)
def test_wrong_arguments_are_named(known, call, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        call(known[0])
