"""The accountant beside published values, a numerical integral, and the Gaussian mechanism's closed form."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate

from common.estimators.noise import privacy

RATE = 256 / 60_000  # of tensorflow/privacy's MNIST tutorial


@pytest.mark.parametrize(("sigma", "epochs", "published"), [(1.3, 15, 1.19), (1.1, 60, 3.01), (0.7, 45, 7.10)])
def test_published_values(sigma, epochs, published):
    """The table in the README of tensorflow/privacy's tutorials, δ = 1e-5."""
    steps = epochs * 60_000 // 256
    assert round(privacy.epsilon(RATE, sigma, steps, 1e-5), 2) == published


@pytest.mark.parametrize("order", [1.1, 1.5, 2.5, 3.0, 7.3, 10.9, 16.0])
@pytest.mark.parametrize(("q", "sigma"), [(RATE, 1.1), (0.3, 0.7), (0.01, 4.0)])
def test_divergences_are_those_of_the_definition(q, sigma, order):
    """A_α = ∫ μ0 (μ/μ0)^α dz, with μ the mixture of N(0, σ²) and N(1, σ²), by another rule."""

    def integrand(z):
        log_base = -z * z / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
        return math.exp(log_base + order * np.logaddexp(math.log1p(-q), math.log(q) + (2 * z - 1) / (2 * sigma**2)))

    edges = [-20 * sigma, 0, order / 2, order, order + 20 * sigma]
    pairs = itertools.pairwise(edges)
    whole = sum(integrate.quad(integrand, a, b, epsabs=0, epsrel=1e-10, limit=500)[0] for a, b in pairs)
    divergence = privacy.renyi_divergences(q, sigma)[privacy.ORDERS.index(order)]
    assert divergence == pytest.approx(math.log(whole) / (order - 1), rel=1e-6, abs=1e-10)


def test_everybody_in_every_step_is_the_gaussian_mechanism():
    """T steps of N(0, σ²) have the divergence T α/(2σ²): ε = T/(2σ²) + √(2 T log(1/δ))/σ at the best order."""
    expected = 4 / (2 * 25) + math.sqrt(2 * 4 * math.log(1e5)) / 5
    assert privacy.epsilon(1.0, 5.0, 4, 1e-5) == pytest.approx(expected, rel=1e-3)
    assert privacy.epsilon(1.0, 5.0, 4, 1e-5) >= expected


def test_more_noise_fewer_steps_and_rarer_examples_are_more_private():
    base = privacy.epsilon(RATE, 1.0, 1_000, 1e-5)
    assert privacy.epsilon(RATE, 1.1, 1_000, 1e-5) < base
    assert privacy.epsilon(RATE, 1.0, 900, 1e-5) < base
    assert privacy.epsilon(RATE / 2, 1.0, 1_000, 1e-5) < base
    assert privacy.epsilon(RATE, 1.0, 1_000, 1e-4) < base
    assert privacy.epsilon(RATE, 1.0, 0, 1e-5) == privacy.epsilon(0.0, 1.0, 10, 1e-5) == 0.0
    assert privacy.epsilon(RATE, 0.0, 1, 1e-5) == math.inf


def test_the_noise_for_a_target():
    sigma = privacy.noise_multiplier(3.0, RATE, 14_062, 1e-5)
    assert 2.98 < privacy.epsilon(RATE, sigma, 14_062, 1e-5) <= 3.0


@pytest.mark.parametrize(("call", "words"), [
    (lambda: privacy.epsilon(1.5, 1.0, 1, 1e-5), r"sampling_rate must be in \[0, 1\], got 1.5"),
    (lambda: privacy.epsilon(0.5, -1.0, 1, 1e-5), "noise_multiplier must be ≥ 0 and finite, got -1.0"),
    (lambda: privacy.epsilon(0.5, 1.0, -1, 1e-5), "steps must be ≥ 0, got -1"),
    (lambda: privacy.epsilon(0.5, 1.0, 1, 0.0), r"delta must be in \(0, 1\), got 0.0"),
    (lambda: privacy.noise_multiplier(1e-9, 0.5, 1, 1e-5), "target_epsilon must be one that"),
])  # fmt: skip
def test_wrong_arguments_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
