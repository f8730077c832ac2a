"""Spectra of large symmetric operators by Lanczos: the extremes through scipy, the density by quadrature.

The density is the distribution of all P eigenvalues (stochastic Lanczos quadrature, arXiv 1901.10159). From a random
unit vector, m steps give a tridiagonal matrix. Its eigenvalues θ_k and squared first components ω_k are a Gauss
quadrature of that distribution, averaged over probes. The extremes converge first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, eigsh

from common.checks import require
from common.curvature.operators import CurvatureOperator


class SpectralDensity(NamedTuple):
    """Quadrature nodes, (n,) float64, ascending, and their shares of all eigenvalues, (n,) float64, with sum 1."""

    nodes: np.ndarray
    weights: np.ndarray

    def __repr__(self) -> str:
        return f"<SpectralDensity: {len(self.nodes)} nodes from {self.nodes[0]:.4g} to {self.nodes[-1]:.4g}>"


def spectral_density(operator: CurvatureOperator, *, steps: int, probes: int, seed: int) -> SpectralDensity:
    """Return a quadrature of the distribution of an operator's eigenvalues; see the module docstring.

    If a product is not finite, as in a diverged run, the result is one NaN node.

    Args:
        operator: the matrix.
        steps: m, the number of Lanczos steps per probe, 1 to P; each is one product.
        probes: number of random vectors, ≥ 1.
        seed: determines the probes.

    Raises:
        ValueError: a value is out of range.

    Example:
        >>> from common.curvature.operators import HessianOperator
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> operator = HessianOperator(task, tf.constant(data.train.x), tf.constant(data.train.y))
        >>> spectral_density(operator, steps=2, probes=1, seed=0).nodes.round(4).tolist()  # μ (3v² - 1) and 1
        [-0.25, 1.0]
    """
    require(1 <= steps <= operator.size, "steps", f"from 1 to the {operator.size:,} parameters", steps)
    require(probes >= 1, "probes", "≥ 1", probes)
    multiply, generator = _product(operator), np.random.default_rng(seed)
    pairs = []
    for _ in range(probes):
        diagonal, below = _lanczos(multiply, generator.standard_normal(operator.size), steps)
        if np.isfinite(diagonal).all():
            values, vectors = eigh_tridiagonal(diagonal, below)
        else:
            values, vectors = np.full(1, np.nan), np.ones((1, 1))
        pairs.append((values, vectors[0] ** 2 / probes))
    nodes, weights = (np.concatenate(part) for part in zip(*pairs, strict=True))
    order = np.argsort(nodes)
    return SpectralDensity(nodes[order], weights[order])


def extreme_eigenvalues(operator: CurvatureOperator, count: int, seed: int, *, tolerance: float = 1e-3) -> np.ndarray:
    """Return the eigenvalues of largest |λ|, ascending, (count,) float64, by scipy's restarted Lanczos method.

    Args:
        operator: the matrix.
        count: number of eigenvalues, 1 to P - 1.
        seed: determines the first vector.
        tolerance: the relative tolerance, > 0.

    Raises:
        ValueError: a value is out of range.

    Example:
        >>> from common.curvature.operators import HessianOperator
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=3.0, start=(1.0, 0.0)).task(examples(), seed=0)
        >>> operator = HessianOperator(task, tf.constant(data.train.x), tf.constant(data.train.y))
        >>> extreme_eigenvalues(operator, count=1, seed=0).round(4).tolist()  # of 1 and -μ
        [-3.0]
    """
    require(1 <= count < operator.size, "count", f"from 1 to {operator.size - 1:,}", count)
    require(tolerance > 0, "tolerance", "> 0", tolerance)
    multiply = _product(operator)
    matrix = LinearOperator((operator.size, operator.size), matvec=lambda v: multiply(np.ravel(v)), dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(operator.size)
    return np.sort(eigsh(matrix, count, which="LM", v0=start, tol=tolerance, return_eigenvectors=False))


def _product(operator: CurvatureOperator) -> Callable[[np.ndarray], np.ndarray]:
    traced = tf.function(operator.vector, autograph=False)
    return lambda vector: traced(tf.constant(vector, tf.float32)).numpy().astype(np.float64)


def _lanczos(multiply, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return diagonal and subdiagonal of the tridiagonal matrix, shorter if the vectors' span is exhausted.

    Every vector is orthogonalised against all before it. Otherwise rounding would produce copies of the outermost
    eigenvalues.
    """
    basis = np.zeros((steps, len(start)))
    basis[0] = start / np.linalg.norm(start)
    diagonal, below = [], []
    for step in range(steps):
        product = multiply(basis[step])
        diagonal.append(product @ basis[step])
        for _ in range(2):
            product -= basis[: step + 1].T @ (basis[: step + 1] @ product)
        length = np.linalg.norm(product)
        if step + 1 == steps or not length > 1e-6 * max(np.abs(diagonal)):
            break
        below.append(length)
        basis[step + 1] = product / length
    return np.array(diagonal), np.array(below[: len(diagonal) - 1])
