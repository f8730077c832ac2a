"""Values and their derivatives along one direction, carried together through the layers of a network.

A layer's z = h W + b has the derivative ż = ḣ W + h Ẇ + ḃ: three products in all, where a gradient has three as well,
and two where nothing before the layer has a derivative, as in a gradient. Every other function is derived by
`tf.autodiff.ForwardAccumulator`, of which a graph keeps the product with the direction alone. (Of a product it keeps
one more, with zeros, for what does not move.)

Directions are rows of a table, 64 numbers each, put side by side, because drawing N(0, 1) numbers one by one takes
about as long as a small network's pass, and rows as short as `perturbations` has take twice as long to look up. Rows
are chosen independently, and the table's own mean is 0 and its own covariance I, so that those of a direction are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from common.estimators.parametrised_layers import activation, before_activation, is_product, product
from common.tasks.layers import PooledConv2D, max_pool

ROWS, ROW = 2**13, 64  # of a table: 2 MB stay in the processor's cache


def gaussian_rows() -> np.ndarray:
    """Return N(0, 1) entries, (ROWS, ROW) float32, whitened: over the table, mean 0 and covariance I."""
    half = np.random.default_rng(0).standard_normal((ROWS // 2, ROW))
    half = half @ np.linalg.inv(np.linalg.cholesky(half.T @ half / len(half))).T
    return np.concatenate([half, -half]).astype(np.float32)


def sign_rows() -> np.ndarray:
    """Return entries of ±1, (ROWS, ROW) float32: Hadamard matrices with columns of random signs, covariance I."""
    hadamard = np.ones((1, 1))
    while len(hadamard) < ROW:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (ROWS // (2 * ROW), 1, ROW))
    half = (signs * hadamard).reshape(-1, ROW)
    return np.concatenate([half, -half]).astype(np.float32)


TABLES = {"gaussian": gaussian_rows, "signs": sign_rows}


class TangentSource:
    """Draws directions of mean 0 and covariance I.

    Args:
        kind: one of TABLES.
    """

    def __init__(self, kind: str):
        self._table = tf.constant(TABLES[kind]())

    def draw(self, count: int, width: int, seed: tf.Tensor) -> tf.Tensor:
        """Draw so many directions of `width` entries, (count, width) float32, a function of the seed, (2,) int64."""
        rows = tf.random.stateless_uniform([count, -(-width // ROW)], seed, 0, ROWS, tf.int32)
        return tf.reshape(tf.gather(self._table, rows), [count, -1])[:, :width]


class Dual(NamedTuple):
    """A tensor and its derivative along one direction.

    Attributes:
        value: of any shape.
        tangent: of the same shape and type; None: zero.
    """

    value: tf.Tensor
    tangent: tf.Tensor | None


def derived(function: Callable[[tf.Tensor], tf.Tensor], entering: Dual) -> Dual:
    """Apply a function of one tensor."""
    if entering.tangent is None:
        return Dual(function(entering.value), None)
    with tf.autodiff.ForwardAccumulator(entering.value, entering.tangent) as accumulator:
        value = function(entering.value)
    return Dual(value, accumulator.jvp(value, tf.UnconnectedGradients.ZERO))


def of_layer(layer: keras.Layer, entering: Dual, tangents: Sequence[tf.Tensor], training: bool) -> Dual:
    """Apply a layer, without its activation, whose weights move along a direction.

    Args:
        layer: of the network.
        entering: what enters it.
        tangents: one for each of the layer's trainable weights; empty: they do not move.
        training: what it is called with, see `Task.training_mode`.
    """
    if is_product(layer):
        return _of_product(layer, entering, tangents)
    if isinstance(layer, PooledConv2D) and entering.tangent is not None:
        return _of_pooled(layer, entering, tangents)
    variables = [weight.value for weight in layer.trainable_variables] if tangents else []
    primals, directions = [*variables], [*tangents]
    if entering.tangent is not None:
        primals, directions = [*primals, entering.value], [*directions, entering.tangent]
    if not primals:
        return Dual(before_activation(layer, entering.value, training), None)
    with tf.autodiff.ForwardAccumulator(primals, directions) as accumulator:
        z = before_activation(layer, entering.value, training)
    return Dual(z, accumulator.jvp(z, tf.UnconnectedGradients.ZERO))


def activated(layer: keras.Layer, z: Dual) -> Dual:
    """Apply a layer's activation."""
    return derived(lambda value: activation(layer, value), z)


def _of_product(layer: keras.Layer, entering: Dual, tangents: Sequence[tf.Tensor]) -> Dual:
    h = tf.cast(entering.value, layer.compute_dtype)
    return _with_bias(layer, Dual(product(layer, h, layer.kernel), _moved(layer, entering, tangents)), tangents)


def _of_pooled(layer: PooledConv2D, entering: Dual, tangents: Sequence[tf.Tensor]) -> Dual:
    """Convolve the whole image, then pool: an accumulator would convolve with a kernel of zeros as well."""
    h = tf.cast(entering.value, layer.compute_dtype)
    pooled = derived(max_pool, Dual(product(layer, h, layer.kernel), _moved(layer, entering, tangents)))
    return _with_bias(layer, pooled, tangents)


def _moved(layer: keras.Layer, entering: Dual, tangents: Sequence[tf.Tensor]) -> tf.Tensor | None:
    """Return ḣ W + h Ẇ, of what there is."""
    h, moving = (None if part is None else tf.cast(part, layer.compute_dtype) for part in entering)
    parts = [] if moving is None else [product(layer, moving, layer.kernel)]
    if tangents:
        parts.append(product(layer, h, tangents[0]))
    return tf.add_n(parts) if parts else None


def _with_bias(layer: keras.Layer, z: Dual, tangents: Sequence[tf.Tensor]) -> Dual:
    if not layer.use_bias:
        return z
    value = tf.nn.bias_add(z.value, tf.cast(layer.bias, z.value.dtype))
    return Dual(value, tf.nn.bias_add(z.tangent, tf.cast(tangents[1], value.dtype)) if tangents else z.tangent)
