"""Split a layer with weights into two parts: its pre-activation z and its activation h = f(z)."""

from __future__ import annotations

import keras
import tensorflow as tf

from common.tasks.layers import PooledConv2D
from common.tasks.task import Task

_PRODUCTS = (keras.layers.Dense, keras.layers.Conv2D, PooledConv2D)  # whose activation is an attribute


def sequential_layers(task: Task, name: str) -> list[keras.Layer]:
    """Return the layers of a task's network, in order.

    Args:
        task: a task with a sequential network.
        name: the name of the estimator, for the message.

    Raises:
        ValueError: the network is not sequential.
    """
    if not isinstance(task.network, keras.Sequential):
        raise ValueError(f"{name} takes a keras.Sequential, got a network that is a {type(task.network).__name__}")
    return list(task.network.layers)


def is_product(layer: keras.Layer) -> bool:
    """Return whether a layer's z is `product`, linear in its input, plus a bias."""
    return type(layer) in (keras.layers.Dense, keras.layers.Conv2D)


def product(layer: keras.Layer, h: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return the output of a Dense or Conv2D layer for another kernel, without bias or activation."""
    kernel = tf.cast(kernel, h.dtype)
    if isinstance(layer, keras.layers.Conv2D):
        return layer.convolution_op(h, kernel)
    return tf.matmul(h, kernel) if h.shape.rank == 2 else tf.tensordot(h, kernel, 1)


def before_activation(layer: keras.Layer, h: tf.Tensor, training: bool) -> tf.Tensor:
    """Return z, (batch, *features), for the layer's input.

    A pooled convolution's z is taken after pooling, which commutes with its activation. A layer that is neither
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
    """Return h = f(z), the layer's output."""
    return layer.activation(z) if type(layer) in _PRODUCTS else z
