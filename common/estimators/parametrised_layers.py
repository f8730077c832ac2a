"""A layer with weights in two parts: z, what it makes of its input with its weights, and its activation, h = f(z)."""

from __future__ import annotations

import keras
import tensorflow as tf

from common.tasks.layers import PooledConv2D
from common.tasks.task import Task

_PRODUCTS = (keras.layers.Dense, keras.layers.Conv2D, PooledConv2D)  # whose activation is an attribute


def sequential_layers(task: Task, name: str) -> list[keras.Layer]:
    """Return the layers of a task's network, in order.

    Args:
        task: with a sequential network.
        name: of the estimator that asks.

    Raises:
        ValueError: a network that is not sequential.
    """
    if not isinstance(task.network, keras.Sequential):
        raise ValueError(f"{name} takes a keras.Sequential, got a network that is a {type(task.network).__name__}")
    return list(task.network.layers)


def is_product(layer: keras.Layer) -> bool:
    """Whether a layer's z is `product`, linear in its input, and a bias."""
    return type(layer) in (keras.layers.Dense, keras.layers.Conv2D)


def product(layer: keras.Layer, h: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return what a Dense or Conv2D layer makes of its input with a kernel in the place of its own, without a bias."""
    kernel = tf.cast(kernel, h.dtype)
    if isinstance(layer, keras.layers.Conv2D):
        return layer.convolution_op(h, kernel)
    return tf.matmul(h, kernel) if h.shape.rank == 2 else tf.tensordot(h, kernel, 1)


def before_activation(layer: keras.Layer, h: tf.Tensor, training: bool) -> tf.Tensor:
    """Return z, (batch, *features), from what enters the layer.

    A pooled convolution's z is what is left after pooling, which commutes with its activation. A layer that is neither
    Dense nor Conv2D has no activation of its own: z is its output.
    """
    if type(layer) not in _PRODUCTS:
        return layer(h, training=training)
    h = tf.cast(h, layer.compute_dtype)
    if isinstance(layer, PooledConv2D):
        return layer.before_activation(h)
    z = product(layer, h, layer.kernel)
    return tf.nn.bias_add(z, tf.cast(layer.bias, z.dtype)) if layer.use_bias else z


def activation(layer: keras.Layer, z: tf.Tensor) -> tf.Tensor:
    """Return h = f(z), what the layer gives to the next one."""
    return layer.activation(z) if type(layer) in _PRODUCTS else z
