"""Stateless random draws, and the names of all random streams; XLA supports the operations.

A draw is a function of a key of two numbers and of the numbers that are folded into it one after another. A training
step has the key (run seed, step), with steps counted from 0. Streams are separated in one of three ways, each a group
of `Stream`. The first is a constant that is folded into a step's key. The second is a counter below zero in the place
of the step. The third is an index from which `hash_seed` makes the seed of initial weights. Every new stream gets its
name here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf


class Stream:
    """All random streams, of which no two share a key.

    These are folded into the key of a step, (run seed, step). The network's dropout layers fold in numbers from 0:

        NOISE, CHANNEL, PUBLIC, LOGITS, CURVATURE, PERTURBATIONS, SCHEDULE, TANGENTS, QUANTIZATION, PRIVACY, SAMPLING,
        SUBSPACE, PUBLIC_BATCH

    One diagnostic uses these keys on purpose: `GradientAlignment` asks the estimator for future steps. The noise is
    then that of training, on other examples.

    These are counters in the place of the step: number n has the key (run seed, constant - n), see `key`. All but the
    examples' order and the sketch belong to diagnostics. Their numbers count epochs (0 is before training):

        EPOCH_ORDER, SKETCH, NOISE_SCALE, ALIGNMENT, LOGIT_ALIGNMENT, BOUNDARY_ALIGNMENT, OVERLAPS, PICTURES,
        NOISE_SCALE_BATCHES

    These are indices of initial weights; the network's layers have the indices from 0 (see `networks.hash_seed`):

        PREDICTORS, MODELS, FEEDBACK, HEADS, FACTORS
    """

    NOISE = 1_000_003  # noise of `NoisyGradient`; plus one for each nested noise
    CHANNEL = 2_000_003  # noise of the channel of `OverTheAir`
    PUBLIC = 3_000_003  # grouping of examples in `PublicSubspace`
    LOGITS = 4_000_003  # perturbations of `LogitEvolution`
    CURVATURE = 4_000_004  # random vectors of `SaddleFreeNewton`
    PERTURBATIONS = 5_000_003  # weight perturbations of `ParameterEvolution` and `LayerwiseEvolution`
    SCHEDULE = 7_000_003  # choice of the modules that `SyntheticGradients` updates
    TANGENTS = 8_000_003  # tangents of `ForwardGradient` and `ActivityForwardGradient`
    QUANTIZATION = 21_000_003  # rounding of `QuantizedGradient`; plus one for each nested one
    PRIVACY = 22_000_003  # noise of `DPGradient`
    SAMPLING = 23_000_003  # choice of the examples of `DPGradient`
    SUBSPACE = 24_000_003  # basis of `RandomSubspace`
    PUBLIC_BATCH = 25_000_003  # batches of `PublicStart`

    EPOCH_ORDER = 0  # numbers from 1: the epochs
    SKETCH = -1  # numbers from 0: redraws of `SignSketch`; it folds in 0 or 1, EPOCH_ORDER folds in nothing
    NOISE_SCALE = -1_000_000  # choice of the examples of `GradientNoiseScale` in an epoch
    ALIGNMENT = -2_000_000  # choice of the examples of `GradientAlignment`; its estimates are those of future steps
    LOGIT_ALIGNMENT = -3_000_000  # numbers epoch · repeats + repeat
    BOUNDARY_ALIGNMENT = -4_000_000  # numbers from 1, the epochs: initial synthetic gradients are zero, without angle
    OVERLAPS = -4_000_000  # number 0 only: random vectors of `eigenvector_overlaps`
    PICTURES = -5_000_000  # dropout in `LastWeightGradients` or `BoundaryGradients`; no run has both
    NOISE_SCALE_BATCHES = -10_000_000  # numbers epoch · batches + batch: dropout of `GradientNoiseScale`

    PREDICTORS = 10_000  # predictors of `SyntheticGradients`, by boundary
    MODELS = 20_000  # models of `WeightRegression`, by block
    FEEDBACK = 30_000  # matrices of `DirectFeedbackAlignment`, by boundary, and `FeedbackAlignment`, by layer
    HEADS = 40_000  # heads of `LocalLosses`, by block
    FACTORS = 60_000  # factors of `LowRankGradient`, by matrix


def key(seed: int | tf.Tensor, stream: int, number: int | tf.Tensor = 0) -> tf.Tensor:
    """Return a key of a stream outside of all training steps: (2,) int64, (seed, stream - number).

    Args:
        seed: the run's seed.
        stream: a counter of `Stream`.
        number: index of the key within the stream, ≥ 0 and at most a million; below two thousand million for the last
            stream, because dropout takes counters of 32 bits.

    Example:
        >>> key(7, Stream.ALIGNMENT, 3).numpy().tolist()  # of the run with seed 7, after its third epoch
        [7, -2000003]
    """
    return tf.stack([tf.cast(seed, tf.int64), stream - tf.cast(number, tf.int64)])


def add_noise(tensors: Sequence[tf.Tensor], sigma: tf.Tensor | float, seed: tf.Tensor) -> list[tf.Tensor]:
    """Add independent noise N(0, sigma²) to every entry; it depends only on the seed, (2,) int64, and tensor index."""
    return [
        part + sigma * tf.random.stateless_normal(part.shape, tf.random.fold_in(seed, index))
        for index, part in enumerate(tensors)
    ]


def permutation(count: int, seed: tf.Tensor) -> tf.Tensor:
    """Return the numbers below `count` in an order that the seed, (2,) int64, determines: (count,) int32.

    Example:
        >>> order = permutation(5, tf.constant([0, 1], tf.int64)).numpy()
        >>> sorted(order.tolist()), order.tolist() == permutation(5, tf.constant([0, 1], tf.int64)).numpy().tolist()
        ([0, 1, 2, 3, 4], True)
    """
    # XLA supports sorting, unlike stateless_shuffle. Equal draws, if any, keep their order.
    sort_keys = tf.random.stateless_uniform([count], seed, None, None, tf.int32)
    return tf.argsort(sort_keys, stable=True)


def standard_normal(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Draw N(0, 1) numbers of a static shape, float32, as a function of the seed, (2,) int64, only.

    The method is Box and Muller's transform of whole arrays. On CPUs, it is two to three times as fast as
    `stateless_normal`, which transforms number by number. The largest possible magnitude is 5.6.
    """
    count = math.prod(shape)
    uniform = tf.random.stateless_uniform([2, -(-count // 2)], seed)
    radius, angle = tf.sqrt(-2.0 * tf.math.log1p(-uniform[0])), 2.0 * math.pi * uniform[1]
    both = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], 0)
    return tf.reshape(both[:count], shape)
