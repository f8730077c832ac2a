"""Conversion of gradients to one vector and back, and the cosine of two directions."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def flatten(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return all entries as one vector, (P,), in the order of the tensors."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)


def unflatten(vector: tf.Tensor, like: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return a vector, (P,), as tensors of the shapes of `like`: the inverse of `flatten`.

    Example:
        >>> weights = [tf.zeros([2, 2]), tf.zeros([1])]
        >>> [part.numpy().tolist() for part in unflatten(tf.constant([1.0, 2.0, 3.0, 4.0, 5.0]), weights)]
        [[[1.0, 2.0], [3.0, 4.0]], [5.0]]
    """
    parts = tf.split(vector, [tensor.shape.num_elements() for tensor in like])
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, like, strict=True)]


def cosine(first: Sequence[tf.Tensor], second: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the cosine of the angle between two directions, each a list of tensors; scalar float32 in [-1, 1].

    The result is NaN if one of them is zero, because the angle is then undefined.

    Example:
        >>> first, second = [tf.constant([3.0]), tf.constant([4.0])], [tf.constant([1.0]), tf.constant([0.0])]
        >>> round(float(cosine(first, second)), 3)
        0.6
    """
    inner = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(first, second, strict=True)])
    return inner / (tf.linalg.global_norm(first) * tf.linalg.global_norm(second))
