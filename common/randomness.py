"""Stateless random draws; XLA knows the operations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf


def add_noise(tensors: Sequence[tf.Tensor], sigma: tf.Tensor | float, seed: tf.Tensor) -> list[tf.Tensor]:
    """Add independent N(0, sigma²) to every entry, a function of the seed, (2,) int64, and a tensor's place alone."""
    return [
        part + sigma * tf.random.stateless_normal(part.shape, tf.random.fold_in(seed, index))
        for index, part in enumerate(tensors)
    ]


def permutation(count: int, seed: tf.Tensor) -> tf.Tensor:
    """Return the numbers below `count` in an order that the seed, (2,) int64, decides: (count,) int32."""
    # By sorting: unlike stateless_shuffle, XLA knows it. Equal draws, if any, keep their order.
    draws = tf.random.stateless_uniform([count], seed, None, None, tf.int32)
    return tf.argsort(draws, stable=True)


def standard_normal(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Draw N(0, 1) numbers of a static shape, float32, a function of the seed, (2,) int64, alone.

    By Box and Muller's transform of whole arrays, on CPUs two to three times as fast as `stateless_normal`, which
    transforms number by number. The largest possible magnitude is 5.6.
    """
    count = math.prod(shape)
    uniform = tf.random.stateless_uniform([2, -(-count // 2)], seed)
    radius, angle = tf.sqrt(-2.0 * tf.math.log1p(-uniform[0])), 2.0 * math.pi * uniform[1]
    both = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], 0)
    return tf.reshape(both[:count], shape)
