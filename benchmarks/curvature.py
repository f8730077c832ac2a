"""Eigenpairs of leaky_convnet's curvature with batch size 128, and minibatch gradients, the unit of their cost."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from common import training
from common.curvature.eigensolvers import OVERSAMPLING, randomized_eigenpairs, subspace_iteration
from common.curvature.gauss_newton import gauss_newton_eigenpairs
from common.curvature.operators import HessianOperator
from common.data import Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimator
from common.estimators.newton.saddle_free_newton import SaddleFreeNewton
from common.randomness import standard_normal
from common.tasks import networks
from common.tasks import task as tasks

BATCH, RANK = 128, 40
FACTOR_EXAMPLES = 32
GRADIENTS = 10  # gradients per turn; a single one is too short to time
REFRESH_AT_MOST = 2 * RANK * 2.2 / GRADIENTS  # products of two passes; each costs 2.2 gradients
FACTOR_AT_MOST = 12 / GRADIENTS


def gradients() -> Callable[[], object]:
    """Return a function that computes GRADIENTS minibatch gradients, one after another."""
    task, batch = _task(), _batch(BATCH)
    estimator = Backpropagation()
    estimator.build(task)
    seed = tf.constant([0, 0], tf.int64)

    @tf.function(jit_compile=False, autograph=False)
    def run() -> tf.Tensor:
        def add(number, total):
            estimate = estimator.estimate(*batch, seed)
            return number + 1, total + tf.add_n([tf.reduce_sum(part) for part in estimate.gradients])

        return tf.while_loop(lambda number, _: number < GRADIENTS, add, (0, 0.0), parallel_iterations=1)[1]

    return lambda: float(run())


def full_refresh() -> Callable[[], object]:
    """Return a function that computes RANK eigenpairs of BATCH examples from test vectors, in two passes."""
    task, batch = _task(), _batch(BATCH)
    seed = tf.constant([0, 0], tf.int64)
    return _traced(lambda: randomized_eigenpairs(HessianOperator(task, *batch), RANK, seed))


def warm_refresh() -> Callable[[], object]:
    """Return a function that continues, in one pass, from the columns of the last refresh."""
    task, batch = _task(), _batch(BATCH)
    left = standard_normal([task.parameter_count, RANK + OVERSAMPLING], tf.constant([0, 0], tf.int64))
    return _traced(lambda: subspace_iteration(HessianOperator(task, *batch).block, left, 1, RANK))


def factor() -> Callable[[], object]:
    """Return a function that computes the exact Gauss-Newton eigenpairs of FACTOR_EXAMPLES examples."""
    task, batch = _task(), _batch(FACTOR_EXAMPLES)
    return _traced(lambda: gauss_newton_eigenpairs(task, *batch, RANK))


def plain_epoch(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch of gradient descent with momentum."""
    return _epoch(data, Backpropagation())


def newton_epoch(data: Split) -> Callable[[], object]:
    """Return a function that trains a first epoch, the most expensive, of saddle-free Newton with default settings."""
    return _epoch(data, SaddleFreeNewton(Backpropagation()))


def _traced(compute: Callable[[], object]) -> Callable[[], float]:
    """Return a traced computation of tensors as a function that waits for all of them."""

    @tf.function(jit_compile=False, autograph=False)
    def run() -> tf.Tensor:
        return tf.add_n([tf.reduce_sum(part) for part in tf.nest.flatten(compute())])

    return lambda: float(run())


def _epoch(data: Split, estimator: GradientEstimator) -> Callable[[], object]:
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    return training.one_epoch(_task(), estimator, optimizer, data, batch_size=BATCH, seed=0, count_on=False)


def _task() -> tasks.Task:
    return tasks.classification(networks.build("leaky_convnet", (28, 28, 1), 10, seed=0))


def _batch(examples: int) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    x = rng.random((examples, 28, 28, 1), dtype=np.float32)
    return tf.constant(x), tf.constant(rng.integers(0, 10, examples).astype(np.int32))
