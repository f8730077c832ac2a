"""The number of training steps for which the Hessian's eigenvectors stay valid, measured in a separate run."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from common.checks import require
from common.curvature.eigensolvers import OVERSAMPLING, subspace_iteration, subspace_overlap, subspace_size
from common.curvature.operators import HessianOperator
from common.data.load import Split
from common.estimators.estimator import GradientEstimator, RunContext
from common.optimizers.schedules import bind
from common.randomness import Stream, key, standard_normal
from common.tasks.task import Task
from common.training.loop import one_step


def eigenvector_overlaps(
    task: Task,
    estimator: GradientEstimator,
    optimizer: keras.optimizers.Optimizer,
    split: Split,
    *,
    batch_size: int,
    before: int,
    at_steps: Sequence[int],
    examples: int,
    rank: int,
    seed: int,
) -> dict[int, float]:
    """Continue training, and compare the Hessian's top eigenvectors after some steps with those at the beginning.

    The Hessian is always that of the same examples, so that only the weights change. The iteration for its eigenpairs
    continues from one comparison to the next.

    Args:
        task: trained in place.
        estimator: gives the training direction; it is built here.
        optimizer: any Keras optimizer; a relative schedule is bound to these steps.
        split: the training split.
        batch_size: examples per step.
        before: training steps before the beginning, ≥ 0.
        at_steps: numbers of further steps after which to compare, rising, ≥ 1.
        examples: number of training examples of the Hessian; the first ones are used.
        rank: number of eigenvectors that are compared.
        seed: determines the order of the examples and the random start.

    Returns:
        For each number of steps, the mean squared cosine between the two subspaces, `subspace_overlap`. The entry for 0
        compares with the eigenpairs of the same weights after as many more iterations. It is below 1 if they have not
        converged.
    """
    require(before >= 0, "before", "≥ 0", before)
    steps, steps_per_epoch = before + max(at_steps), -(-len(split) // batch_size)
    estimator.build(task, RunContext(seed=seed, steps=steps, steps_per_epoch=steps_per_epoch, split=split))
    bind(optimizer, steps, steps_per_epoch)
    step = tf.function(one_step(task, estimator, optimizer), jit_compile=False, autograph=False)
    few = tf.constant(split.x[:examples]), tf.constant(split.y[:examples])

    @tf.function(jit_compile=False, autograph=False)
    def look(columns: tf.Tensor, passes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        iterated = subspace_iteration(HessianOperator(task, *few).block, columns, passes, rank)
        return iterated.eigenpairs.vectors, iterated.next_columns

    columns = subspace_size(rank, OVERSAMPLING, task.parameter_count)
    start = standard_normal([task.parameter_count, columns], key(seed, Stream.OVERLAPS))
    order = np.random.default_rng(seed).permutation(len(split))
    overlaps = {}
    for done in range(steps + 1):
        if done:
            chosen = np.take(order, range((done - 1) * batch_size, done * batch_size), mode="wrap")
            step(tf.constant(split.x[chosen]), tf.constant(split.y[chosen]), tf.constant([seed, done - 1], tf.int64))
        if done == before:
            first, next_columns = look(start, tf.constant(12))
        if done - before in (0, *at_steps):
            vectors, next_columns = look(next_columns, tf.constant(3))
            overlaps[done - before] = float(subspace_overlap(first, vectors))
    return overlaps
