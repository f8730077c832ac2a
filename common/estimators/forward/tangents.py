"""Forward mode: values and their derivatives along one direction, carried together through a network's layers.

A layer's z = h W + b has the derivative ż = ḣ W + h Ẇ + ḃ. These are three products in all, as in a gradient. If
nothing before the layer has a derivative, there are two, as in a gradient. `tf.autodiff.ForwardAccumulator` derives
every other function; its graph keeps only the product with the direction. (For a matrix product it would keep one more,
with zeros for the fixed factor.)

Directions consist of rows of a table, 64 numbers each. Drawing N(0, 1) numbers one by one takes about as long as a
small network's pass. Rows as short as those of `perturbations` take twice as long to look up. Rows are chosen
independently. The table itself has mean 0 and covariance I, and so have the directions.
"""

from __future__ import annotations

import itertools
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
    """Source of directions of mean 0 and covariance I.

    Args:
        kind: one of TABLES.
    """

    def __init__(self, kind: str):
        self._table = tf.constant(TABLES[kind]())

    def draw(self, count: int, width: int, seed: tf.Tensor) -> tf.Tensor:
        """Draw `count` directions of `width` entries, (count, width) float32, from the seed, (2,) int64."""
        return tf.reshape(tf.gather(self._table, self._rows(count, width, seed)), [count, -1])[:, :width]

    def draw_tensors(self, like: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
        """Draw one direction, in tensors of the shapes of `like`; all entries in order are those of `draw`.

        Each tensor is looked up by itself, since a whole direction would have to be copied twice to be cut up.
        """
        ends = list(itertools.accumulate(tensor.shape.num_elements() for tensor in like))
        rows = self._rows(1, ends[-1], seed)[0]
        parts = []
        for tensor, (begin, end) in zip(like, itertools.pairwise([0, *ends]), strict=True):
            first = begin // ROW
            entries = tf.reshape(tf.gather(self._table, rows[first : -(-end // ROW)]), [-1])
            parts.append(tf.reshape(entries[begin - first * ROW : end - first * ROW], tensor.shape))
        return parts

    def _rows(self, count: int, width: int, seed: tf.Tensor) -> tf.Tensor:
        """Draw the numbers of the table's rows, (count, ⌈width / ROW⌉)."""
        return tf.random.stateless_uniform([count, -(-width // ROW)], seed, 0, ROWS, tf.int32)


class Dual(NamedTuple):
    """A tensor and its derivative along one direction.

    Attributes:
        value: a tensor of any shape.
        tangent: its derivative, of the same shape and type; None: zero.
    """

    value: tf.Tensor
    tangent: tf.Tensor | None


def derived(function: Callable[[tf.Tensor], tf.Tensor], entering: Dual) -> Dual:
    """Apply a function of one tensor to value and derivative."""
    if entering.tangent is None:
        return Dual(function(entering.value), None)
    with tf.autodiff.ForwardAccumulator(entering.value, entering.tangent) as accumulator:
        value = function(entering.value)
    return Dual(value, accumulator.jvp(value, tf.UnconnectedGradients.ZERO))


def of_layer(layer: keras.Layer, entering: Dual, tangents: Sequence[tf.Tensor], training: bool) -> Dual:
    """Apply a layer without its activation, while its weights move along a direction.

    Args:
        layer: a layer of the network.
        entering: the layer's input.
        tangents: one for each of the layer's trainable weights; empty: the weights do not move.
        training: the argument of its call; see `Task.training_mode`.
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
    """Apply a layer's activation to value and derivative."""
    return derived(lambda value: activation(layer, value), z)


def _of_product(layer: keras.Layer, entering: Dual, tangents: Sequence[tf.Tensor]) -> Dual:
    h = tf.cast(entering.value, layer.compute_dtype)
    return _with_bias(layer, Dual(product(layer, h, layer.kernel), _moved(layer, entering, tangents)), tangents)


def _of_pooled(layer: PooledConv2D, entering: Dual, tangents: Sequence[tf.Tensor]) -> Dual:
    """Convolve the whole image, then pool, since an accumulator would also convolve with a kernel of zeros."""
    h = tf.cast(entering.value, layer.compute_dtype)
    pooled = derived(max_pool, Dual(product(layer, h, layer.kernel), _moved(layer, entering, tangents)))
    return _with_bias(layer, pooled, tangents)


def _moved(layer: keras.Layer, entering: Dual, tangents: Sequence[tf.Tensor]) -> tf.Tensor | None:
    """Return ḣ W + h Ẇ, without the terms that are zero."""
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
