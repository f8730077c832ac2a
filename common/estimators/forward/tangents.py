"""Values and their derivatives along one direction, carried together through the layers of a network.

A layer's z = h W + b has the derivative ż = ḣ W + h Ẇ + ḃ: three products in all, where a gradient has three as well,
and two where nothing before the layer has a derivative, as in a gradient. Every other function is derived by
`tf.autodiff.ForwardAccumulator`, of which a graph keeps the product with the direction alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from common.estimators.parametrised_layers import activation, before_activation, is_product, product


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
    h, moving = (None if part is None else tf.cast(part, layer.compute_dtype) for part in entering)
    parts = [] if moving is None else [product(layer, moving, layer.kernel)]
    if tangents:
        parts.append(product(layer, h, tangents[0]))
    tangent = tf.add_n(parts) if parts else None
    if tangents and layer.use_bias:
        tangent = tf.nn.bias_add(tangent, tf.cast(tangents[1], tangent.dtype))
    return Dual(before_activation(layer, h, False), tangent)
