"""The Rényi accountant of the sampled Gaussian mechanism: the privacy of noise on clipped sums.

Each step adds N(0, σ² C²) to a sum of vectors of norm ≤ C. Each example is drawn independently with probability q
(Poisson sampling). Let two data sets differ in one example, added or removed. Their Rényi divergence of order α > 1 is
at most

    ρ(α) = log A_α / (α - 1)        A_α = E_{z ~ N(0, σ²)} [(1 - q + q exp((2z - 1) / (2σ²)))^α]

For integer α, A_α is the binomial sum Σ_k C(α, k) (1 - q)^{α-k} q^k exp((k² - k) / (2σ²)) (arXiv 1908.10530, section
3.3). Divergences of T steps add up. For every δ and every order, the following ε suffices (arXiv 1702.07476,
proposition 3):

    ε = T ρ(α) - log(δ) / (α - 1)

The least ε over the orders is returned. Published values of ε for DP-SGD use this conversion. That of arXiv 2004.00010,
proposition 12, gives a smaller ε for the same noise. For non-integer α, A_α is integrated numerically; the source sums
two series. The computation is in float64 and does not use TensorFlow.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import integrate, optimize, special

from common.checks import require

# As in tensorflow/privacy and Opacus: tenths, where ε is large, then whole numbers, and some high ones for tiny q.
ORDERS = (*(1 + tenth / 10 for tenth in range(1, 100)), *range(11, 65), 128, 256, 512)


def epsilon(sampling_rate: float, noise_multiplier: float, steps: int, delta: float) -> float:
    """Return the least ε over the orders for (ε, δ)-differential privacy; 0 if no example is drawn.

    Args:
        sampling_rate: q in [0, 1], the probability that a step sees an example.
        noise_multiplier: σ ≥ 0, the standard deviation of the noise in units of the clipping norm C; for σ = 0, ε is
            infinite.
        steps: T ≥ 0.
        delta: δ in (0, 1), usually less than one over the number of examples.

    Raises:
        ValueError: a value out of range.
    """
    require(0 <= sampling_rate <= 1, "sampling_rate", "in [0, 1]", sampling_rate)
    require(0 <= noise_multiplier < math.inf, "noise_multiplier", "≥ 0 and finite", noise_multiplier)
    require(steps >= 0, "steps", "≥ 0", steps)
    require(0 < delta < 1, "delta", "in (0, 1)", delta)
    if sampling_rate == 0 or steps == 0:
        return 0.0
    if noise_multiplier == 0:
        return math.inf
    orders = np.array(ORDERS, float)
    divergences = steps * np.array(renyi_divergences(sampling_rate, noise_multiplier))
    return float(np.min(divergences - math.log(delta) / (orders - 1)))


def noise_multiplier(target_epsilon: float, sampling_rate: float, steps: int, delta: float) -> float:
    """Return the least σ, to 0.1 %, for which `epsilon` is at most a target.

    Args:
        target_epsilon: ε > 0.
        sampling_rate: q; see `epsilon`.
        steps: T ≥ 1.
        delta: δ in (0, 1).

    Raises:
        ValueError: a value is out of range, or no σ from 0.2 to 1,000 reaches the target.
    """
    require(0 < target_epsilon < math.inf, "target_epsilon", "> 0 and finite", target_epsilon)
    require(steps >= 1, "steps", "≥ 1", steps)

    def above(sigma: float) -> float:
        return epsilon(sampling_rate, sigma, steps, delta) - target_epsilon

    lowest, highest = 0.2, 1_000.0
    reached = above(lowest) > 0 >= above(highest)
    require(reached, "target_epsilon", "one that a noise multiplier from 0.2 to 1,000 reaches", target_epsilon)
    return float(optimize.brentq(above, lowest, highest, rtol=5e-4)) * (1 + 5e-4)


@functools.lru_cache(maxsize=64)
def renyi_divergences(sampling_rate: float, noise_multiplier: float) -> tuple[float, ...]:
    """Return ρ(α) of one step for each of `ORDERS`; q in (0, 1], σ > 0."""
    return tuple(_log_moment(sampling_rate, noise_multiplier, order) / (order - 1) for order in ORDERS)


def _log_moment(q: float, sigma: float, order: float) -> float:
    """Return log A_α."""
    if q == 1:
        return order * (order - 1) / (2 * sigma**2)
    if order == int(order):
        return _log_moment_whole(q, sigma, int(order))
    return _log_moment_between(q, sigma, order)


def _log_moment_whole(q: float, sigma: float, order: int) -> float:
    k = np.arange(order + 1)
    binomials = special.gammaln(order + 1) - special.gammaln(k + 1) - special.gammaln(order - k + 1)
    terms = binomials + k * math.log(q) + (order - k) * math.log1p(-q) + (k * k - k) / (2 * sigma**2)
    return max(0.0, float(special.logsumexp(terms)))  # of a tiny q, rounding may leave less than nothing


def _log_moment_between(q: float, sigma: float, order: float) -> float:
    """Integrate over z, scaled by the integrand's maximum; its peaks, of width σ, lie between z = 0 and z = α."""

    def log_integrand(z: np.ndarray) -> np.ndarray:
        ratio = np.logaddexp(math.log1p(-q), math.log(q) + (2 * z - 1) / (2 * sigma**2))
        return order * ratio - z * z / (2 * sigma**2)

    z = np.linspace(-40 * sigma, order + 40 * sigma, 4_001)
    values = log_integrand(z)
    largest = float(values.max())
    integral = integrate.simpson(np.exp(values - largest), x=z) / (sigma * math.sqrt(2 * math.pi))
    return max(0.0, largest + math.log(integral))
