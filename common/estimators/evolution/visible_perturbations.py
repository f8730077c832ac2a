"""Visible perturbations: the part of a random kernel perturbation that affects one example.

Let X, (positions, fan_in), be the input of a layer for one example. Its rows are a convolution's patches, or the one
input of a dense layer, with a column of ones for the bias. A perturbation σE of the kernel, with independent N(0, 1)
entries, changes the layer's outputs by σXE. It changes the example's loss only through these, by a difference Δ. The
estimate ΔE of the gradient may therefore be replaced by its conditional mean Δ E[E | XE]. This has the same mean and
smaller variance (Rao-Blackwell). With the Cholesky factor C Cᵀ = X Xᵀ and independent N(0, 1) entries ξ, (positions,
out):

    XE is distributed as Cξ        E[E | XE = Cξ] = Xᵀ C⁻ᵀ ξ

Instead of fan_in · out numbers, positions · out are drawn: one per output for a dense layer. If an example has more
positions than the kernel has rows, it sees everything, and E itself is drawn.

Deviation: a small multiple of the identity is added to X Xᵀ (JITTER), since patches may be equal. This also smooths the
loss a little in the layer's outputs, and has no other bias.
"""

from __future__ import annotations

import tensorflow as tf

from common.randomness import standard_normal

JITTER = 1e-4  # times 1 + the mean of X Xᵀ's diagonal, added to the diagonal


class VisiblePerturbations:
    """Visible perturbations of one layer for a chunk of examples, independent for each example.

    Args:
        inputs: X, (examples, positions, fan_in) float32.
        pairs: M ≥ 1, the number of perturbations per example.
        out: number of outputs of the kernel.
        seed: (2,) int64, which determines all perturbations.
        whole: whether E itself is drawn and summed, to compare with: nothing is left out.
    """

    def __init__(self, inputs: tf.Tensor, pairs: int, out: int, seed: tf.Tensor, *, whole: bool = False):
        examples, positions, fan_in = inputs.shape
        self._inputs, self._pairs, self._out = inputs, pairs, out
        whole = whole or positions >= fan_in
        self._factor = None if whole else _cholesky(inputs)
        self._drawn = standard_normal([examples, fan_in if whole else positions, pairs * out], seed)

    def response(self, sigma: float) -> tf.Tensor:
        """Return σXE for each perturbation, (examples, pairs, positions, out)."""
        seen = tf.matmul(self._inputs if self._factor is None else self._factor, sigma * self._drawn)
        return tf.transpose(tf.reshape(seen, [*seen.shape[:2], self._pairs, self._out]), [0, 2, 1, 3])

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """Return Σ_i Σ_k w_ik ê_ik, (fan_in, out), for weights w, (examples, pairs); ê is E[E | XE], or E if whole."""
        drawn = tf.reshape(self._drawn, [*self._drawn.shape[:2], self._pairs, self._out])
        sums = tf.einsum("isko,ik->iso", drawn, weights)
        if self._factor is None:
            return tf.reduce_sum(sums, 0)
        return tf.einsum("ipf,ipo->fo", self._inputs, tf.linalg.triangular_solve(self._factor, sums, adjoint=True))


def _cholesky(inputs: tf.Tensor) -> tf.Tensor:
    products = tf.matmul(inputs, inputs, transpose_b=True)
    diagonal = tf.linalg.diag_part(products)
    jitter = JITTER * (1.0 + tf.reduce_mean(diagonal, 1, keepdims=True))
    return tf.linalg.cholesky(tf.linalg.set_diag(products, diagonal + jitter))
