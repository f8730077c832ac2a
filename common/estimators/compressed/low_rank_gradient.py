"""Low-rank gradients: each matrix becomes a product of two thin ones, by one power iteration per step (PowerSGD).

Each gradient tensor is a matrix M, (n, m), whose columns are its last axis. Q, (m, r), is from the step before (warm
start):

    P = M Q        P̂ = orthonormal basis of P, (n, r)        Q ← Mᵀ P̂        C(M) = P̂ Qᵀ = P̂ P̂ᵀ M

P̂ and Q are sent: r (n + m) numbers instead of n m. If M changes slowly, P̂ converges to the leading left singular
vectors. The initial Q is N(0, 1), drawn from the run's seed.

Source: arXiv 1905.13727, algorithm 1, with the error feedback of algorithm 2. As there, vectors are sent uncompressed.
Deviations: matrices whose factors are no smaller are also sent uncompressed. The orthonormal basis comes from a QR
decomposition. This gives a basis even where P is zero, so that Q recovers from a zero gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from common.checks import require
from common.estimators.compressed.compressed_gradient import FLOAT_BYTES, CompressedGradient
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimator, RunContext
from common.randomness import Stream
from common.tasks.networks import hash_seed
from common.tasks.task import Task


class LowRankGradient(CompressedGradient):
    """Another estimator's gradients with each matrix compressed to rank r; the state holds the right factors.

    Args:
        inner: any estimator.
        rank: r ≥ 1; the source uses 1 to 4, mostly 2.
        error_feedback: see `CompressedGradient`; the source always has it.

    Raises:
        ValueError: an argument has the wrong type or is out of range.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = LowRankGradient(Backpropagation(), rank=1)
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().astype(float).round(4).tolist()  # one column has rank one
        [1.0, -0.375]
    """

    def __init__(self, inner: GradientEstimator, rank: int = 2, *, error_feedback: bool = True):
        super().__init__(inner, error_feedback)
        require(isinstance(rank, int) and rank >= 1, "rank", "an integer ≥ 1", rank)
        self.rank = rank

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Draw the right factors, (m, r) per matrix, from the run's seed."""
        super().build(task, run)
        self._compresses = tuple(_is_smaller(weight.shape, self.rank) for weight in task.weights)
        columns = [weight.shape[-1] for weight, small in zip(task.weights, self._compresses, strict=True) if small]
        self.factors = [
            _factor(count, self.rank, hash_seed(run.seed, Stream.FACTORS + number))
            for number, count in enumerate(columns)
        ]

    def compressed(self, gradients: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:  # noqa: ARG002 - the signature of CompressedGradient
        """Return P̂ Qᵀ for each matrix, and other tensors unchanged; see `CompressedGradient.compressed`."""
        factors, sent = iter(self.factors), []
        for gradient, small in zip(gradients, self._compresses, strict=True):
            if not small:
                sent.append(gradient)
                continue
            factor = next(factors)
            approximation, right = low_rank(as_matrix(gradient), tf.convert_to_tensor(factor))
            factor.assign(right)
            sent.append(tf.reshape(approximation, gradient.shape))
        return sent

    def bytes_sent(self, batch_size: int) -> float:  # noqa: ARG002 - the signature of GradientEstimator
        """Return the bytes of r (n + m) numbers per compressed matrix, and of all entries of every other tensor."""
        shapes = [weight.shape for weight in self.task.weights]
        sizes = [
            self.rank * sum(_sides(shape)) if small else math.prod(shape)
            for shape, small in zip(shapes, self._compresses, strict=True)
        ]
        return float(FLOAT_BYTES * sum(sizes))


def as_matrix(tensor: tf.Tensor) -> tf.Tensor:
    """Return a tensor as (n, m), with its last axis as columns; for a convolution these are its filters."""
    return tf.reshape(tensor, [-1, tensor.shape[-1]])


def low_rank(matrix: tf.Tensor, factor: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Run one power iteration.

    Args:
        matrix: M, (n, m).
        factor: Q, (m, r) with r ≤ n.

    Returns:
        P̂ P̂ᵀ M, (n, m), and the next Q, (m, r).
    """
    left = tf.linalg.qr(matrix @ factor).q
    right = tf.transpose(tf.matmul(left, matrix, transpose_a=True))  # twice as fast as Mᵀ P̂
    return tf.matmul(left, right, transpose_b=True), right


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    return math.prod(shape[:-1]), shape[-1]


def _is_smaller(shape: Sequence[int], rank: int) -> bool:
    """Return whether a tensor is a matrix whose two factors together have fewer entries."""
    return len(shape) > 1 and rank * sum(_sides(shape)) < math.prod(shape)


def _factor(columns: int, rank: int, seed: int) -> tf.Variable:
    """Draw Q, (m, r)."""
    matrix = np.random.default_rng(seed).standard_normal((columns, rank))
    return tf.Variable(matrix.astype(np.float32), trainable=False)
