"""A random subspace in which a gradient is transmitted: d numbers replace P, and a seed determines the subspace.

Each of the P coordinates gets a random sign and is added to one of d buckets. This is the count sketch (Charikar, Chen
and Farach-Colton 2002; as a sparse subspace embedding, arXiv 1207.6365). Deviation: the buckets are balanced, with
⌊P/d⌋ or ⌈P/d⌉ coordinates each. So no bucket is empty, and d = P is a signed permutation, which loses nothing. Let S be
the (d, P) matrix of these signs, one per column:

    E[Sᵀ S] = I                  the result mapped back by the transpose is unbiased over the seeds
    E‖S g‖² = ‖g‖²               the sketch has the same transmit power, carried by d numbers instead of P
    S Sᵀ = diag(bucket sizes)    the d directions are orthogonal, each of squared length ≈ P/d

The matrix is never stored: sketching is one sum over P numbers, and mapping back is one gather.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from common.checks import require
from common.randomness import Stream, key, permutation
from common.settings import Configured


@dataclass(frozen=True, repr=False, eq=False)
class SignSketch(Configured):
    """The random subspace: its dimension, and the number of steps for which it is kept.

    A kept subspace confines the run to d directions, in which each step builds on the last. Kept from the start, it is
    the subspace of the intrinsic dimension (arXiv 1804.08838). Where the noise moves the weights away, the gradient
    moves them back. It does so sooner if fewer dimensions share the loss's curvature. A subspace redrawn at every step
    reaches all directions. Its noise then also spreads over all directions, and to first order nothing is gained.

    Attributes:
        dimensions: d, from 1 to the network's P parameters.
        redraw_every: number of steps, ≥ 1, after which another subspace is drawn; None: never.

    Raises:
        ValueError: a value is below 1.
    """

    dimensions: int
    redraw_every: int | None = None

    def __post_init__(self):
        require(self.dimensions >= 1, "dimensions", "≥ 1", self.dimensions)
        require(self.redraw_every is None or self.redraw_every >= 1, "redraw_every", "≥ 1, or None", self.redraw_every)

    def require_at_most(self, parameters: int) -> None:
        """Raise a ValueError for more dimensions than the network has parameters."""
        allowed = f"at most the network's {parameters:,} parameters"
        require(self.dimensions <= parameters, "dimensions", allowed, self.dimensions)

    def draw(self, parameters: int, seed: tf.Tensor) -> DrawnSketch:
        """Draw buckets and signs.

        Args:
            parameters: P.
            seed: (2,) int64, (run seed, global step).
        """
        turn = tf.constant(0, seed.dtype) if self.redraw_every is None else seed[1] // self.redraw_every
        seed = key(seed[0], Stream.SKETCH, turn)
        order = permutation(parameters, tf.random.fold_in(seed, 0))
        bits = tf.random.stateless_uniform([parameters], tf.random.fold_in(seed, 1), 0, 2, tf.int32)
        return DrawnSketch(self.dimensions, order % self.dimensions, tf.cast(2 * bits - 1, tf.float32))


@dataclass(frozen=True)
class DrawnSketch:
    """One matrix S, stored as the bucket and the sign of each coordinate.

    Attributes:
        dimensions: d.
        buckets: (P,) int32 in [0, d).
        signs: (P,) float32, ±1.
    """

    dimensions: int
    buckets: tf.Tensor
    signs: tf.Tensor

    def apply(self, vector: tf.Tensor) -> tf.Tensor:
        """Return S g: (P,) to (d,)."""
        return tf.math.unsorted_segment_sum(self.signs * vector, self.buckets, self.dimensions)

    def apply_transpose(self, sketched: tf.Tensor) -> tf.Tensor:
        """Return Sᵀ u: (d,) to (P,)."""
        return self.signs * tf.gather(sketched, self.buckets)
