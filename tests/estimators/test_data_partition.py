"""Gradients of several shares from one pass, beside one call for each share."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from common.estimators.backpropagation import Backpropagation
from common.estimators.noise.data_partition import share_estimates
from common.tasks import networks as models
from common.tasks import task as tasks

EXAMPLES = 12
SEED = tf.constant([2, 7], tf.int64)


def _mlp():
    rng = np.random.default_rng(0)
    task = tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))
    return task, rng.normal(size=(EXAMPLES, 6)), rng.integers(0, 3, EXAMPLES)


def _regression():
    rng = np.random.default_rng(0)
    task = tasks.regression(models.build("mlp", (6,), 1, seed=0, hidden=(5,)))
    return task, rng.normal(size=(EXAMPLES, 6)), rng.normal(size=(EXAMPLES, 1)).astype(np.float32)


def _convnet_with_dropout():
    rng = np.random.default_rng(0)
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0), training_mode=True)
    return task, rng.random((EXAMPLES, 12, 12, 1)), rng.integers(0, 4, EXAMPLES)


def _exact(make):
    task, x, y = make()
    estimator = Backpropagation()
    estimator.build(task)
    return estimator, tf.constant(x, tf.float32), tf.constant(y)


@pytest.mark.parametrize("share_count", [1, 3, EXAMPLES])
@pytest.mark.parametrize("make", [_mlp, _regression, _convnet_with_dropout])
def test_each_share_is_estimated_as_if_alone(make, share_count):
    """With dropout they share one mask: that of the seed."""
    estimator, x, y = _exact(make)
    estimates = share_estimates(estimator, x, y, share_count, SEED)
    size = EXAMPLES // share_count
    for number in range(share_count):
        own = slice(number * size, (number + 1) * size)
        expected = estimator.estimate(x[own], y[own], SEED)
        for part, alone in zip(tf.nest.flatten(estimates), tf.nest.flatten(expected), strict=True):
            assert part.shape == (share_count, *alone.shape)
            np.testing.assert_allclose(part[number], alone, atol=1e-6)


def test_it_can_be_traced_and_gives_the_same():
    estimator, x, y = _exact(_mlp)
    traced = tf.function(lambda x, y: share_estimates(estimator, x, y, 4, SEED))
    for part, expected in zip(
        tf.nest.flatten(traced(x, y)), tf.nest.flatten(share_estimates(estimator, x, y, 4, SEED)), strict=True
    ):
        np.testing.assert_allclose(part, expected, atol=1e-6)


def test_warnings_are_back_afterwards_even_when_it_fails():
    estimator, x, y = _exact(_mlp)
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        share_estimates(estimator, x, y, 3, SEED)
        assert logger.level == logging.INFO
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
            share_estimates(estimator, x[:, :5], y, 3, SEED)
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(before)
