"""Gradients of several shares of a batch from one batched pass."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from common.estimators.estimator import GradientEstimate, GradientEstimator


def share_estimates(
    estimator: GradientEstimator, x: tf.Tensor, y: tf.Tensor, shares: int, seed: tf.Tensor
) -> GradientEstimate:
    """Estimate each share's gradient apart, with `tf.vectorized_map`.

    The forward pass and the gradients of the activations run on the whole batch; only the products that end in a weight
    are kept apart. One dropout mask, and one draw of whatever else the estimator draws, serves all shares.

    Args:
        estimator: built, without state, and of operations that `tf.vectorized_map` knows.
        x: (shares × examples, *input_shape) float32; share k is the k-th run of equally many examples.
        y: labels or targets in the same order.
        shares: how many, a divisor of the batch.
        seed: (2,) int64, (run seed, global step).

    Returns:
        Each entry with a first axis of length `shares`: loss (shares,), outputs (shares, examples, outputs), gradients.
    """
    parts = [tf.reshape(part, [shares, -1, *part.shape[1:]]) for part in (x, y)]
    with _without_conversion_warnings():
        return tf.vectorized_map(lambda share: estimator.estimate(*share, seed), tuple(parts))


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
