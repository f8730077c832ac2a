"""Eigenpairs of indefinite symmetric operators, largest |λ| first, by subspace iteration.

A pass multiplies an orthonormal basis Q (P, k) by the operator, Y = A Q. After the last pass, the Rayleigh-Ritz method
extracts eigenpairs (Golub and Van Loan, Matrix Computations, section 8.2):

    T = QᵀY = V diag(λ) Vᵀ (k, k)        eigenpairs (λ_i, Q v_i), largest |λ| first        next basis: span Y

- From random columns, two passes are the randomized method with Rayleigh-Ritz (arXiv 0909.4061, algorithms 4.1 and
  5.3); k - r columns more than eigenpairs (oversampling) and further passes (power iterations, section 4.5) increase
  its accuracy.
- From the next basis of the last call, one pass is a warm start. On a fixed operator, these calls are the passes of one
  subspace iteration. On a new minibatch, the basis is independent of its noise, so that the values are fair estimates.
  If basis and values came from one minibatch, both would follow the same noise and exaggerate it.

The Nyström approximation also takes one pass, but divides by QᵀAQ, which may be singular for an indefinite operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from common.checks import require
from common.curvature.operators import CurvatureOperator
from common.randomness import standard_normal

OVERSAMPLING = 4  # arXiv 0909.4061, section 1.3, names 5 or 10; warm starts sharpen the same basis again and again

Block = Callable[[tf.Tensor], tf.Tensor]


class Eigenpairs(NamedTuple):
    """Eigenvalues, (r,) float32, in order of falling |λ|, and orthonormal eigenvectors, the columns of (P, r) float32.

    An eigenvalue of zero stands for a dropped pair.
    """

    values: tf.Tensor
    vectors: tf.Tensor

    def __repr__(self) -> str:
        return f"<Eigenpairs: values {tuple(self.values.shape)}, vectors {tuple(self.vectors.shape)}>"

    def product(self, columns: tf.Tensor) -> tf.Tensor:
        """Return U Λ Uᵀ X for the columns of X, (P, k)."""
        return tf.matmul(self.vectors, self.values[:, None] * tf.matmul(self.vectors, columns, transpose_a=True))


class SubspaceIterate(NamedTuple):
    """The eigenpairs of `subspace_iteration`, and the columns, (P, k) float32, from which to continue."""

    eigenpairs: Eigenpairs
    next_columns: tf.Tensor


def subspace_iteration(block: Block, start: tf.Tensor, passes: int | tf.Tensor, rank: int) -> SubspaceIterate:
    """Multiply and orthonormalise `passes` times, then take the Rayleigh-Ritz pairs of largest |λ|.

    If a product is not finite, all eigenvalues are NaN, and no decomposition fails.

    Args:
        block: the product with columns, (P, k) to (P, k), of a symmetric matrix.
        start: (P, k) float32, k ≥ rank: random columns, or `next_columns` of the last call.
        passes: the number of passes, ≥ 1, an integer or a scalar tensor.
        rank: the number of eigenpairs.
    """

    def one_pass(number: tf.Tensor, _: tf.Tensor, columns: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        basis = orthonormal(columns)
        return number + 1, basis, block(basis)

    first = (tf.constant(0), tf.zeros_like(start), start)
    _, basis, product = tf.while_loop(lambda number, *_: number < passes, one_pass, first, parallel_iterations=1)
    values, vectors = symmetric_eigh(tf.matmul(basis, product, transpose_a=True))
    return SubspaceIterate(Eigenpairs(values[:rank], tf.matmul(basis, vectors[:, :rank])), product)


def randomized_eigenpairs(
    operator: CurvatureOperator,
    rank: int,
    seed: tf.Tensor,
    *,
    oversampling: int = OVERSAMPLING,
    power_iterations: int = 0,
) -> Eigenpairs:
    """Return the eigenpairs of largest |λ| from fresh random vectors: arXiv 0909.4061, sections 4 and 5.

    Args:
        operator: the matrix.
        rank: r, 1 to P.
        seed: (2,) int64, determines the test vectors. Use another one at each step, so that their errors average out.
        oversampling: number of columns beyond r, ≥ 0, limited by P.
        power_iterations: number of passes beyond two, ≥ 0.

    Raises:
        ValueError: a value out of range.
    """
    columns = subspace_size(rank, oversampling, operator.size)
    require(power_iterations >= 0, "power_iterations", "≥ 0", power_iterations)
    start = standard_normal([operator.size, columns], seed)
    return subspace_iteration(operator.block, start, 2 + power_iterations, rank).eigenpairs


def adaptive_eigenpairs(
    operator: CurvatureOperator, tolerance: float, seed: tf.Tensor, *, block: int = 8, max_rank: int = 128
) -> Eigenpairs:
    """Return all eigenpairs with |λ| > tolerance · |λ_1|, at most max_rank; not traceable.

    The basis grows by one block at a time.

    The method follows arXiv 0909.4061, section 4.4. Each block of random columns is multiplied twice by the operator,
    which makes the stop reliable. The span of the basis is projected out of it. The iteration stops with the first
    basis that has a value below the tolerance.

    Args:
        operator: the matrix.
        tolerance: the threshold relative to the largest |λ|, between 0 and 1.
        seed: (2,) int64, determines the test vectors.
        block: number of columns per step, ≥ 1.
        max_rank: the largest number of columns, ≥ 1.

    Returns:
        The eigenpairs; a single NaN pair if a product is not finite.

    Raises:
        ValueError: a value out of range.
    """
    require(0 < tolerance < 1, "tolerance", "between 0 and 1", tolerance)
    require(block >= 1, "block", "≥ 1", block)
    require(max_rank >= 1, "max_rank", "≥ 1", max_rank)
    limit = min(max_rank, operator.size)
    multiply = tf.function(operator.block, autograph=False)
    basis = products = tf.zeros([operator.size, 0])
    values, vectors = tf.zeros([0]), tf.zeros([0, 0])
    while basis.shape[1] < limit:
        shape = [operator.size, min(block, limit - basis.shape[1])]
        gaussian = standard_normal(shape, tf.random.fold_in(seed, basis.shape[1]))
        once = _without(basis, multiply(orthonormal(gaussian)))
        new = _without(basis, multiply(once))
        basis, products = tf.concat([basis, new], 1), tf.concat([products, multiply(new)], 1)
        values, vectors = symmetric_eigh(tf.matmul(basis, products, transpose_a=True))
        if not abs(values[-1]) > tolerance * abs(values[0]):
            break
    kept = max(1, int(tf.reduce_sum(tf.cast(tf.abs(values) > tolerance * tf.abs(values[0]), tf.int32))))
    return Eigenpairs(values[:kept], tf.matmul(basis, vectors[:, :kept]))


def rayleigh_quotients(operators: Sequence[CurvatureOperator], vectors: tf.Tensor) -> tf.Tensor:
    """Return uᵀAu for each operator, such as a sub-batch's, and each column u of (P, r): (operators, r) float32."""
    return tf.stack([tf.reduce_sum(vectors * operator.block(vectors), 0) for operator in operators])


def significantly_nonzero(quotients: tf.Tensor, standard_errors: float = 2.0) -> tf.Tensor:
    """Return which directions have a mean Rayleigh quotient further from zero than noise explains: (r,) bool.

    Args:
        quotients: (sub-batches, r), from at least two sub-batches; the vectors must not come from them.
        standard_errors: the required distance of the mean from zero, in its standard errors.

    Raises:
        ValueError: there is only one sub-batch, or standard_errors is negative.
    """
    count = quotients.shape[0]
    require(count >= 2, "the number of sub-batches", "≥ 2", count)
    require(standard_errors >= 0, "standard_errors", "≥ 0", standard_errors)
    mean = tf.reduce_mean(quotients, 0)
    variance = tf.reduce_sum(tf.square(quotients - mean), 0) / (count - 1)
    return tf.abs(mean) > standard_errors * tf.sqrt(variance / count)


def subspace_overlap(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return the mean squared cosine between two subspaces, 1 if equal and about r/P if unrelated.

        ‖QᵀR‖²_F / r

    Args:
        first: Q, (P, r), orthonormal columns.
        second: R, (P, r), orthonormal columns.

    Example:
        >>> first = tf.constant([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> second = tf.constant([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
        >>> float(subspace_overlap(first, first)), float(subspace_overlap(first, second))  # one common line
        (1.0, 0.5)
    """
    return tf.reduce_sum(tf.square(tf.matmul(first, second, transpose_a=True))) / second.shape[1]


def subspace_size(rank: int, oversampling: int, size: int) -> int:
    """Return the number of columns of an iteration of this rank: rank + oversampling, at most P.

    Raises:
        ValueError: the rank is not from 1 to P, or oversampling is negative.
    """
    require(1 <= rank <= size, "rank", f"from 1 to the {size:,} parameters", rank)
    require(oversampling >= 0, "oversampling", "≥ 0", oversampling)
    return min(rank + oversampling, size)


def orthonormal(columns: tf.Tensor) -> tf.Tensor:
    """Return an orthonormal basis of the columns' span, (P, k); non-finite entries count as zero."""
    return tf.linalg.qr(_finite_or_zero(columns)).q


def symmetric_eigh(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decompose the symmetric part of small matrices, (..., k, k), largest |λ| first; NaN where they are not finite.

    The decomposition is in float64, since k is small; the accuracy of the float32 products is enough.
    """
    double = tf.cast(matrix, tf.float64)
    # TensorFlow ends the program where a decomposition does not converge; a run that diverges is a result.
    values, vectors = tf.linalg.eigh(_finite_or_zero((double + tf.linalg.matrix_transpose(double)) / 2.0))
    order = tf.argsort(tf.abs(values), axis=-1, direction="DESCENDING", stable=True)
    values = tf.gather(values, order, axis=-1, batch_dims=values.shape.rank - 1)
    vectors = tf.gather(vectors, order, axis=-1, batch_dims=values.shape.rank - 1)
    finite = tf.reduce_all(tf.math.is_finite(matrix), [-2, -1])[..., None]
    values = tf.where(finite, tf.cast(values, matrix.dtype), tf.constant(float("nan"), matrix.dtype))
    return values, tf.cast(vectors, matrix.dtype)


def _without(basis: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Project the basis' span out of columns and orthonormalise them, twice, to remove the first time's rounding."""
    for _ in range(2):
        columns = columns - tf.matmul(basis, tf.matmul(basis, columns, transpose_a=True))
    return orthonormal(columns)


def _finite_or_zero(values: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_finite(values), values, tf.zeros_like(values))
