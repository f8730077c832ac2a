"""Examples drawn unequally often: means stay what they are."""

import numpy as np
import pytest
import tensorflow as tf

from common.estimators.evolution import importance_sampling

_traced_draw = tf.function(importance_sampling.draw)  # thousands of draws: one by one, eager ones take 15 seconds


def _draw(scores, count, step=0):
    drawn = _traced_draw(tf.constant(scores, tf.float32), count, tf.constant([3, step], tf.int64))
    return [part.numpy() for part in drawn]


def test_weighted_means_are_the_batch_s_mean():
    rng = np.random.default_rng(0)
    scores, values = rng.random(50) ** 4, rng.normal(size=50)
    means = [np.sum(values[chosen] * weights) for chosen, weights in (_draw(scores, 16, step) for step in range(2_000))]
    assert abs(np.mean(means) - values.mean()) < 4 * np.std(means) / np.sqrt(len(means))
    assert np.sum(_draw(scores, 16)[1]) == pytest.approx(1.0, abs=0.5)


def test_what_scores_high_is_drawn_often_and_weighs_little():
    scores = [0.0, 1.0, 0.0, 3.0]
    chosen, weights = _draw(scores, 10_000)
    frequencies = np.bincount(chosen, minlength=4) / len(chosen)
    np.testing.assert_allclose(frequencies, [0.05, 0.25, 0.05, 0.65], atol=0.001)
    np.testing.assert_allclose(weights, 1 / (4 * 10_000 * np.array([0.05, 0.25, 0.05, 0.65])[chosen]), rtol=1e-4)


def test_the_variance_is_least_for_values_as_large_as_their_scores():
    values = np.random.default_rng(1).exponential(size=200) ** 3

    def spread(scores):
        samples = (_draw(scores, 32, step) for step in range(300))
        return np.std([np.sum(values[chosen] * weights) for chosen, weights in samples])

    assert spread(values) < 0.5 * spread(np.ones(200))


@pytest.mark.parametrize("scores", [[0.0] * 5, [np.nan] * 5, [0.0, np.inf, 0.0, 0.0, 0.0]])
def test_examples_are_examples_whatever_the_scores(scores):
    chosen, _ = _draw(scores, 10)
    assert chosen.min() >= 0
    assert chosen.max() <= 4
    if not np.any(scores):
        np.testing.assert_array_equal(np.bincount(chosen), [2] * 5)
