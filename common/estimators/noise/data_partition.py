"""Shares of a batch: their gradients from one batched pass, and the refusal of a batch that cannot be shared out."""

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
    """Estimate each share's gradient apart, with `tf.vectorized_map`.

    The forward pass and the gradients of the activations run on the whole batch; only the products that end in a weight
    are kept apart. One dropout mask, and one draw of whatever else the estimator draws, serves all shares. Batch norm's
    averages stay as they are: each share has its own statistics.

    Args:
        estimator: built, without state, and of operations that `tf.vectorized_map` knows.
        x: (count × examples, *input_shape) float32; share k is the k-th run of equally many examples.
        y: labels or targets in the same order.
        count: how many shares, a divisor of the batch.
        seed: (2,) int64, (run seed, global step).

    Returns:
        Each entry with a first axis of length `count`: loss (count,), outputs (count, examples, outputs), gradients.
    """
    parts = [tf.reshape(part, [count, -1, *part.shape[1:]]) for part in (x, y)]
    with _without_conversion_warnings(), keras.StatelessScope():
        return tf.vectorized_map(lambda share: estimator.estimate(*share, seed), tuple(parts))


def require_divisor(batch: int, value: int, name: str, got: str | None = None, times: int = 1) -> None:
    """Refuse, with a ValueError, a number that does not divide the batch; it names the nearest that does.

    Args:
        batch: examples in the batch.
        value: what must divide it.
        name: what it is called.
        got: what was given, where that is not `value` itself.
        times: how many of what was given make one of `value`.
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
    """Keep TensorFlow from advising, at each tracing, its own developers to convert the filter gradient better."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
