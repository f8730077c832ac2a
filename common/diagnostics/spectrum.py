"""What the curvature looks like along a run: its spectrum, and for how many steps its eigenvectors stay valid."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import keras
import numpy as np
import tensorflow as tf

from common.checks import require
from common.curvature.eigensolvers import OVERSAMPLING, columns_for, subspace_iteration, subspace_overlap
from common.curvature.operators import HessianOperator
from common.curvature.spectra import spectral_density
from common.data.load import Split
from common.estimators.estimator import GradientEstimator
from common.randomness import standard_normal
from common.tasks.task import Task
from common.training.loop import one_step


class SpectrumProbe:
    """A quadrature of the Hessian's spectrum on the first training examples; a diagnostic for `train`.

    Args:
        examples: how many, ≥ 1; all where there are fewer.
        steps: Lanczos steps, each a product; the outermost values converge first.
        at: the epochs to look at; None: all that are recorded.

    Raises:
        ValueError: no example; by the call, more steps than parameters.
    """

    def __init__(self, examples: int, steps: int, at: Collection[int] | None = None):
        require(examples >= 1, "examples", "≥ 1", examples)
        self.examples, self.steps, self.at = examples, steps, at

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return `lanczos_node 0`, ... and `lanczos_weight 0`, ...; see `SpectralDensity`."""
        if self.at is not None and epoch not in self.at:
            return {}
        batch = tf.constant(split.x[: self.examples]), tf.constant(split.y[: self.examples])
        density = spectral_density(HessianOperator(task, *batch), steps=self.steps, probes=1, seed=seed)
        nodes = {f"lanczos_node {i}": float(node) for i, node in enumerate(density.nodes)}
        return nodes | {f"lanczos_weight {i}": float(weight) for i, weight in enumerate(density.weights)}


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
    """Train on, and compare the Hessian's top eigenvectors after some steps with those at the beginning.

    The Hessian is always that of the same examples, so that what changes are the weights alone. Its eigenpairs are
    iterated on from one comparison to the next.

    Args:
        task: trained in place.
        estimator: gives the direction; it is built here.
        optimizer: any Keras optimizer.
        split: the training split.
        batch_size: examples a step.
        before: steps ≥ 0 that are trained before the beginning.
        at_steps: after how many more steps to compare, rising, ≥ 1.
        examples: the first training examples, of which the Hessian is.
        rank: eigenvectors compared.
        seed: decides the order of the examples and the random start.

    Returns:
        For each number of steps, the mean squared cosine between the two subspaces, `subspace_overlap`; for 0, that
        with the eigenpairs of the same weights iterated on as much: below 1 where they have not converged.
    """
    require(before >= 0, "before", "≥ 0", before)
    estimator.build(task)
    step = tf.function(one_step(task, estimator, optimizer), jit_compile=False, autograph=False)
    few = tf.constant(split.x[:examples]), tf.constant(split.y[:examples])

    @tf.function(jit_compile=False, autograph=False)
    def look(columns: tf.Tensor, passes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = subspace_iteration(HessianOperator(task, *few).block, columns, passes, rank)
        return found.eigenpairs.vectors, found.following

    columns = columns_for(rank, OVERSAMPLING, task.parameter_count)
    # Negative: no training step has this randomness.
    draws = standard_normal([task.parameter_count, columns], tf.constant([seed, -4_000_000], tf.int64))
    order = np.random.default_rng(seed).permutation(len(split))
    overlaps = {}
    for done in range(before + max(at_steps) + 1):
        if done:
            chosen = np.take(order, range((done - 1) * batch_size, done * batch_size), mode="wrap")
            step(tf.constant(split.x[chosen]), tf.constant(split.y[chosen]), tf.constant([seed, done - 1], tf.int64))
        if done == before:
            first, following = look(draws, tf.constant(12))
        if done - before in (0, *at_steps):
            vectors, following = look(following, tf.constant(3))
            overlaps[done - before] = float(subspace_overlap(first, vectors))
    return overlaps
