"""Shares of a batch: gradients of all shares from one batched pass, and the check that a batch can be divided."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from common.estimators.estimator import GradientEstimate, GradientEstimator


def share_estimates(
    estimator: GradientEstimator, x: tf.Tensor, y: tf.Tensor, count: int, seed: tf.Tensor
) -> GradientEstimate:
    """Estimate the gradient of each share separately, with `tf.vectorized_map`.

    The forward pass and the gradients of the activations run on the whole batch; only the products that yield weight
    gradients are computed per share. All shares use the same dropout mask and the same other random numbers. Batch
    norm's averages do not change, and each share has its own statistics.

    Args:
        estimator: a built estimator without state, whose operations `tf.vectorized_map` supports.
        x: (count × examples, *input_shape) float32; share k is the k-th block of equally many examples.
        y: labels or targets in the same order.
        count: number of shares, a divisor of the batch size.
        seed: (2,) int64, (run seed, global step).

    Returns:
        Each entry with a first axis of length `count`: loss (count,), outputs (count, examples, outputs), gradients.
    """
    parts = [tf.reshape(part, [count, -1, *part.shape[1:]]) for part in (x, y)]
    with _without_conversion_warnings(), keras.StatelessScope():
        return tf.vectorized_map(lambda share: estimator.estimate(*share, seed), tuple(parts))


def require_divisor(batch: int, value: int, name: str, got: str | None = None, times: int = 1) -> None:
    """Raise a ValueError if a number does not divide the batch size; the message gives the nearest divisor.

    Args:
        batch: number of examples in the batch.
        value: the number that must divide it.
        name: the name of that argument.
        got: the argument itself, if it is not `value`.
        times: how many units of the argument make one unit of `value`.
    """
    if batch % value == 0:
        return
    divisors = [count for count in range(1, batch + 1) if batch % count == 0]
    nearest = times * min(divisors, key=lambda count: abs(count - value))
    raise ValueError(
        f"{name} must divide the batch of {batch} examples, got {got or value}; the nearest that does is {nearest} "
        "(an epoch's smaller last batch is left out by train(..., drop_remainder=True))"
    )


@contextmanager
def _without_conversion_warnings() -> Iterator[None]:
    """Suppress TensorFlow's warning, at each tracing, about the conversion of the filter gradient."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
