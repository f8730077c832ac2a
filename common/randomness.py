"""Stateless random draws, and the names of all random streams; XLA knows the operations.

A draw is a function of a key of two numbers and of what is folded into it, one number after the other. A training step
has the key (run seed, step), steps counted from 0. Streams are kept apart in one of three ways, each a group of
`Stream`: a constant that is folded into a step's key, a counter below zero in the place of the step, or an index from
which `hash_seed` makes the seed of initial weights. Whoever needs another stream names it here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf


class Stream:
    """Every random stream; no two of them share a key.

    Folded into the key of a step, (run seed, step). The network's dropout layers fold in their numbers, from 0:

        NOISE, CHANNEL, PUBLIC, LOGITS, CURVATURE, PERTURBATIONS, SCHEDULE, TANGENTS, QUANTIZATION, PRIVACY, SAMPLING

    One diagnostic takes these keys on purpose: `GradientAlignment` asks the estimator for steps to come, whose noise is
    then what training would meet, on other examples.

    Counters in the place of the step: number n has the key (run seed, constant - n), see `key`. All but the examples'
    order and the sketch belong to diagnostics, whose numbers count epochs (0 is before training):

        EPOCH_ORDER, SKETCH, NOISE_SCALE, ALIGNMENT, LOGIT_ALIGNMENT, BOUNDARY_ALIGNMENT, OVERLAPS, PICTURES,
        NOISE_SCALE_BATCHES

    Indices of initial weights, of which the network's layers have those from 0 (see `networks.hash_seed`):

        PREDICTORS, MODELS, FEEDBACK, HEADS, FACTORS
    """

    NOISE = 1_000_003  # of `NoisyGradient`; one more for each noise within it
    CHANNEL = 2_000_003  # of `OverTheAir`
    PUBLIC = 3_000_003  # how `PublicSubspace` groups its examples
    LOGITS = 4_000_003  # perturbations of `LogitEvolution`
    CURVATURE = 4_000_004  # random vectors of `SaddleFreeNewton`
    PERTURBATIONS = 5_000_003  # of the weights, by `ParameterEvolution` and `LayerwiseEvolution`
    SCHEDULE = 7_000_003  # which modules `SyntheticGradients` updates
    TANGENTS = 8_000_003  # of `ForwardGradient` and `ActivityForwardGradient`
    QUANTIZATION = 21_000_003  # rounding of `QuantizedGradient`; one more for each one within it
    PRIVACY = 22_000_003  # noise of `DPGradient`
    SAMPLING = 23_000_003  # which examples `DPGradient` draws

    EPOCH_ORDER = 0  # numbers from 1: the epochs
    SKETCH = -1  # numbers from 0: how often `SignSketch` was redrawn; it folds 0 or 1 in, the order of examples nothing
    NOISE_SCALE = -1_000_000  # which examples `GradientNoiseScale` sees in an epoch
    ALIGNMENT = -2_000_000  # which examples `GradientAlignment` sees; its estimates are those of steps to come
    LOGIT_ALIGNMENT = -3_000_000  # numbers epoch · repeats + repeat
    BOUNDARY_ALIGNMENT = -4_000_000  # numbers from 1, the epochs: synthetic gradients begin at zero, with no direction
    OVERLAPS = -4_000_000  # number 0 alone: random vectors of `eigenvector_overlaps`
    PICTURES = -5_000_000  # dropout in `LastWeightGradients` or `BoundaryGradients`, which no run has both
    NOISE_SCALE_BATCHES = -10_000_000  # numbers epoch · batches + batch: dropout of `GradientNoiseScale`

    PREDICTORS = 10_000  # of `SyntheticGradients`, by boundary
    MODELS = 20_000  # of `WeightRegression`, by block
    FEEDBACK = 30_000  # of `DirectFeedbackAlignment`, by boundary, and `FeedbackAlignment`, by layer
    HEADS = 40_000  # of `LocalLosses`, by block
    FACTORS = 60_000  # of `LowRankGradient`, by matrix


def key(seed: int | tf.Tensor, stream: int, number: int | tf.Tensor = 0) -> tf.Tensor:
    """Return the key of a stream that is outside of all training steps: (2,) int64, (seed, stream - number).

    Args:
        seed: of the run.
        stream: a counter of `Stream`.
        number: ≥ 0, which of the stream's keys, at most a million, and below two thousand million for the last stream:
            dropout takes counters of 32 bits.

    Example:
        >>> key(7, Stream.ALIGNMENT, 3).numpy().tolist()  # of the run with seed 7, after its third epoch
        [7, -2000003]
    """
    return tf.stack([tf.cast(seed, tf.int64), stream - tf.cast(number, tf.int64)])


def add_noise(tensors: Sequence[tf.Tensor], sigma: tf.Tensor | float, seed: tf.Tensor) -> list[tf.Tensor]:
    """Add independent N(0, sigma²) to every entry, a function of the seed, (2,) int64, and a tensor's place alone."""
    return [
        part + sigma * tf.random.stateless_normal(part.shape, tf.random.fold_in(seed, index))
        for index, part in enumerate(tensors)
    ]


def permutation(count: int, seed: tf.Tensor) -> tf.Tensor:
    """Return the numbers below `count` in an order that the seed, (2,) int64, decides: (count,) int32.

    Example:
        >>> order = permutation(5, tf.constant([0, 1], tf.int64)).numpy()
        >>> sorted(order.tolist()), order.tolist() == permutation(5, tf.constant([0, 1], tf.int64)).numpy().tolist()
        ([0, 1, 2, 3, 4], True)
    """
    # By sorting: unlike stateless_shuffle, XLA knows it. Equal draws, if any, keep their order.
    sort_keys = tf.random.stateless_uniform([count], seed, None, None, tf.int32)
    return tf.argsort(sort_keys, stable=True)


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
