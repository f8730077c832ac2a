"""Random directions in weight space, one per antithetic pair, never stored as a matrix for a whole population.

A kernel W, (fan_in, out), is perturbed by σ E; a kernel (height, width, channels, out) is reshaped to (fan_in, out). E
of rank r is (EGGROLL, arXiv 2511.16652):

    E = (1/√r) Σ_j a_j b_jᵀ,    entries of a_j and b_j independent, mean 0, variance 1    so that E[vec E vec Eᵀ] = I

With full rank, all entries are independent. Biases are vectors with independent entries.

Deviations: entries come from a table, as in arXiv 1703.03864 (section 2.1). Single draws would take about as long as a
run of a small network. 16 random bits choose a row of eight entries. Rows are chosen independently. The table itself
has mean 0 and covariance I, so that the covariance above holds exactly.

A direction depends only on its index k in the population, the run seed and the step. It does not depend on the size of
the population or on the chunks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

ROWS = 2**16  # as many as two random bytes choose among
ROW = 8  # entries a row: 2 MB stay in the processor's cache


def gaussian_rows() -> np.ndarray:
    """Return N(0, 1) entries, (ROWS, ROW) float32, whitened: over the table, mean 0 and covariance I."""
    half = np.random.default_rng(0).standard_normal((ROWS // 2, ROW))
    half = half @ np.linalg.inv(np.linalg.cholesky(half.T @ half / len(half))).T
    return np.concatenate([half, -half]).astype(np.float32)


def sign_rows() -> np.ndarray:
    """Return entries of ±1, (ROWS, ROW) float32: each of the 2^ROW rows of signs equally often."""
    bits = np.arange(ROWS)[:, None] >> np.arange(ROW) & 1
    return (2.0 * bits - 1.0).astype(np.float32)


TABLES = {"gaussian": gaussian_rows, "signs": sign_rows}


class KernelShape(NamedTuple):
    """The shape of a perturbed kernel as a matrix (fan_in, out), with a bias of length out if `biased`."""

    fan_in: int
    out: int
    biased: bool


class Directions(Protocol):
    """Base class of one chunk's directions in one kernel and its bias."""

    @property
    def pairs(self) -> int:
        """Number of directions."""

    def response(self, inputs: tf.Tensor, sigma: float, shared: bool) -> tf.Tensor:
        """Return σ (inputs E_k + e_k) for each pair k, (pairs, q, out).

        Args:
            inputs: (q, fan_in), seen by all pairs, if `shared`; else (pairs, q, fan_in).
            sigma: σ.
            shared: whether all pairs see the same inputs.
        """

    def weighted_sum(self, weights: tf.Tensor) -> list[tf.Tensor]:
        """Return Σ_k w_k E_k, (fan_in, out), and, if there is a bias, Σ_k w_k e_k, (out,), from w, (pairs,)."""


class LowRank(NamedTuple):
    """Low-rank directions E_k = (1/√r) Σ_j a_j b_jᵀ, stored as factors.

    Attributes:
        left: (pairs, r, fan_in), the a_j of each pair.
        right: (pairs, r, out), the b_j/√r.
        bias: (pairs, 1, out), or None.
    """

    left: tf.Tensor
    right: tf.Tensor
    bias: tf.Tensor | None

    @property
    def pairs(self) -> int:
        """Number of directions."""
        return self.left.shape[0]

    def response(self, inputs: tf.Tensor, sigma: float, shared: bool) -> tf.Tensor:
        """Return σ (Σ_j (inputs a_j) b_jᵀ/√r + e_k) by two thin products; see `Directions`."""
        along = tf.matmul(self._left_rows() if shared else self.left, inputs, transpose_b=True)
        along = tf.reshape(along, [self.pairs, self.left.shape[1], -1])
        right = self.right
        if self.bias is not None:
            # As one rank more, and σ on the smaller factor: the result, the largest by far, is written once.
            along = tf.concat([along, tf.ones_like(along[:, :1])], 1)
            right = tf.concat([right, self.bias], 1)
        return tf.matmul(along, sigma * right, transpose_a=True)

    def weighted_sum(self, weights: tf.Tensor) -> list[tf.Tensor]:
        """Return Aᵀ diag(w) B, one product for all pairs; see `Directions`."""
        right = tf.reshape(weights[:, None, None] * self.right, [-1, self.right.shape[2]])
        return [tf.matmul(self._left_rows(), right, transpose_a=True), *_weighted_biases(weights, self.bias)]

    def _left_rows(self) -> tf.Tensor:
        return tf.reshape(self.left, [-1, self.left.shape[2]])


class FullRank(NamedTuple):
    """Full-rank directions E_k, which take the memory of a population of networks; for small networks and comparison.

    Attributes:
        kernel: (pairs, fan_in, out), E_k.
        bias: (pairs, 1, out), or None.
    """

    kernel: tf.Tensor
    bias: tf.Tensor | None

    @property
    def pairs(self) -> int:
        """Number of directions."""
        return self.kernel.shape[0]

    def response(self, inputs: tf.Tensor, sigma: float, shared: bool) -> tf.Tensor:
        """See `Directions`."""
        responses = tf.matmul(inputs[None] if shared else inputs, sigma * self.kernel)
        return responses if self.bias is None else responses + sigma * self.bias

    def weighted_sum(self, weights: tf.Tensor) -> list[tf.Tensor]:
        """See `Directions`."""
        return [tf.tensordot(weights, self.kernel, 1), *_weighted_biases(weights, self.bias)]


def _weighted_biases(weights: tf.Tensor, bias: tf.Tensor | None) -> list[tf.Tensor]:
    return [] if bias is None else [tf.tensordot(weights, bias[:, 0], 1)]


class DirectionSource:
    """Source of directions: it first draws the table rows of each direction, then looks them up by chunk.

    Args:
        kind: one of TABLES.
        rank: r ≥ 1, or None for full rank.
    """

    def __init__(self, kind: str, rank: int | None):
        rows = TABLES[kind]()
        self._table = tf.constant(rows)
        # Divided here: two factors in a graph may be merged in one graph and not in another, which rounds differently.
        self._scaled_table = tf.constant(rows / np.float32(np.sqrt(rank or 1)))
        self._rank = rank

    def entries(self, shapes: Sequence[KernelShape]) -> int:
        """Number of entries in the factors of one direction, over all kernels and biases."""
        return sum(sum(self._widths(shape)) for shape in shapes)

    def codes(self, shape: KernelShape, pairs: int, seed: tf.Tensor) -> list[tf.Tensor]:
        """Draw table rows, (pairs, rows) int32 per factor; row k does not depend on `pairs`.

        Args:
            shape: the kernel's shape.
            pairs: number of directions.
            seed: (2,) int64, the kernel's own seed.
        """
        widths = self._widths(shape)
        return [self._code(width, pairs, tf.random.fold_in(seed, part)) for part, width in enumerate(widths)]

    def _code(self, width: int, pairs: int, seed: tf.Tensor) -> tf.Tensor:
        rows = -(-width // ROW)
        # Counter-based: the i-th number is a function of the seed and of i, however many are drawn.
        words = tf.random.stateless_uniform([-(-pairs * rows // 2)], seed, None, None, tf.int32)
        halves = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[: pairs * rows]
        return tf.reshape(tf.cast(halves, tf.int32), [pairs, rows])

    def directions(self, shape: KernelShape, codes: list[tf.Tensor]) -> Directions:
        """Return the directions that `codes`, or a chunk of them, stand for."""
        bias = _looked_up(self._table, codes[-1], [1, shape.out]) if shape.biased else None
        if self._rank is None:
            return FullRank(_looked_up(self._table, codes[0], [shape.fan_in, shape.out]), bias)
        left = _looked_up(self._table, codes[0], [self._rank, shape.fan_in])
        return LowRank(left, _looked_up(self._scaled_table, codes[1], [self._rank, shape.out]), bias)

    def _widths(self, shape: KernelShape) -> list[int]:
        """Return the number of entries in each factor of one direction."""
        kernel = [shape.fan_in * shape.out]
        if self._rank is not None:
            kernel = [shape.fan_in * self._rank, self._rank * shape.out]
        return [*kernel, shape.out] if shape.biased else kernel


def _looked_up(table: tf.Tensor, code: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """Look up (pairs, rows) int32 and return (pairs, *shape), without the superfluous entries of the last row."""
    entries = tf.reshape(tf.gather(table, code), [code.shape[0], -1])
    return tf.reshape(entries[:, : math.prod(shape)], [-1, *shape])
