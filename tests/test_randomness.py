"""Streams of random numbers: in the ranges that runs use, no two share a key."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from common.randomness import Stream, key
from common.tasks.networks import hash_seed

SEEDS = (0, 1, 2, 41)
STEPS = (*range(40), 469, 99_999, 999_999)
EPOCHS = (*range(60), 999, 2_000, 9_999)
LAYERS = range(40)  # of a network
INITIAL = (Stream.MODELS, Stream.FEEDBACK, Stream.HEADS, Stream.FACTORS)
DEPTHS = range(8)  # noise within noise
BATCHES = 128  # small batches of the gradient noise scale
REPEATS = 20  # of the logit alignment


def _folded(constants):
    return {(seed, step, constant) for seed in SEEDS for step in STEPS for constant in constants}


def _counted(stream, numbers, *folds):
    """Keys (seed, counter, *folds); a key into which nothing is folded is used as it is."""
    return {(seed, stream - number, *fold) for seed in SEEDS for number in numbers for fold in (folds or ((),))}


def _streams():
    """The keys of every stream by its name: (seed, counter) and what is folded in first."""
    dropout = [(layer,) for layer in LAYERS]
    looks = [epoch * REPEATS + repeat for epoch in EPOCHS for repeat in range(REPEATS)]
    batches = [epoch * BATCHES + batch for epoch in EPOCHS for batch in range(BATCHES)]
    return {
        "dropout": _folded(LAYERS),
        "NOISE": _folded(Stream.NOISE + depth for depth in DEPTHS),
        **{name: _folded([getattr(Stream, name)]) for name in ("CHANNEL", "PUBLIC", "LOGITS", "CURVATURE")},
        **{name: _folded([getattr(Stream, name)]) for name in ("PERTURBATIONS", "SCHEDULE", "TANGENTS")},
        **{name: _folded([getattr(Stream, name)]) for name in ("PRIVACY", "SAMPLING", "SUBSPACE", "PUBLIC_BATCH")},
        "QUANTIZATION": _folded(Stream.QUANTIZATION + depth for depth in DEPTHS),
        "EPOCH_ORDER": _counted(Stream.EPOCH_ORDER, EPOCHS[1:]),
        "SKETCH": _counted(Stream.SKETCH, STEPS, (0,), (1,)),
        "NOISE_SCALE": _counted(Stream.NOISE_SCALE, EPOCHS),
        "ALIGNMENT": _counted(Stream.ALIGNMENT, EPOCHS),
        "LOGIT_ALIGNMENT": _counted(Stream.LOGIT_ALIGNMENT, looks, (Stream.LOGITS,)),
        "BOUNDARY_ALIGNMENT": _counted(Stream.BOUNDARY_ALIGNMENT, EPOCHS[1:], (), *dropout),
        "OVERLAPS": _counted(Stream.OVERLAPS, [0]),
        "PICTURES": _counted(Stream.PICTURES, EPOCHS, *dropout),
        "NOISE_SCALE_BATCHES": _counted(Stream.NOISE_SCALE_BATCHES, batches, *dropout),
    }


def test_every_stream_of_keys_is_looked_at():
    names = {name for name in vars(Stream) if name.isupper()}
    assert names - {"PREDICTORS", "MODELS", "FEEDBACK", "HEADS", "FACTORS"} == set(_streams()) - {"dropout"}


def test_no_two_streams_share_a_key():
    for (first, keys), (second, others) in itertools.combinations(_streams().items(), 2):
        assert not keys & others, f"{first} and {second} share {sorted(keys & others)[:3]}"


def test_no_two_initial_weights_share_a_seed():
    """Of a network's layers, predictors (which hash once more for each of their layers), and all that is drawn once."""
    seeds = []
    for run in range(60):
        seeds += [hash_seed(run, layer) for layer in LAYERS]
        seeds += [hash_seed(run, first + number) for first in INITIAL for number in LAYERS]
        predictors = [hash_seed(run, Stream.PREDICTORS + number) for number in LAYERS]
        seeds += [hash_seed(predictor, layer) for predictor in predictors for layer in range(3)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("seed", [3, tf.constant(3, tf.int64)])
def test_a_key_is_the_seed_and_a_counter(seed):
    np.testing.assert_array_equal(key(seed, Stream.ALIGNMENT, 5), [3, -2_000_005])
    assert key(seed, Stream.SKETCH, tf.constant(7)).dtype == tf.int64


def test_whole_numbers_and_keys_draw_the_same():
    for draw in (tf.random.stateless_uniform, tf.random.experimental.stateless_shuffle):
        numbers = draw([4, 5, 6], seed=[3, -1_000_005])
        np.testing.assert_array_equal(numbers, draw([4, 5, 6], seed=key(3, Stream.NOISE_SCALE, 5)))
