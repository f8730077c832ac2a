"""Compressors: what they send, worked by hand; with error feedback nothing is lost; bytes by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.estimators import (
    Backpropagation,
    ConstantNoise,
    GradientEstimate,
    GradientEstimator,
    LowRankGradient,
    NoisyGradient,
    QuantizedGradient,
    RunContext,
    SignGradient,
    SignSketch,
    TopKGradient,
)
from common.estimators.compressed.low_rank_gradient import low_rank
from common.estimators.compressed.top_k_gradient import largest
from common.tasks import task as tasks

SHAPES = [(12, 8), (8,), (8, 4), (4,)]  # of the network below; 140 scalars


class Given(GradientEstimator):
    """Gradients that were made beforehand, one row of a variable for each step."""

    def build(self, task, run=None):
        super().build(task)
        rng = np.random.default_rng(3)
        self._gradients = [rng.integers(-8, 9, (40, *shape)).astype(np.float32) for shape in SHAPES]

    def estimate(self, x, y, seed):
        step = int(seed[1])
        return GradientEstimate(tf.constant(0.0), x, [tf.constant(part[step]) for part in self._gradients])

    def cost(self, batch_size):
        return 2.0 * batch_size

    def epsilon(self, batch_size, steps):
        return 0.1 * steps


def _task():
    body = [keras.layers.Dense(8), keras.layers.Dense(4)]
    return tasks.classification(keras.Sequential([keras.Input((12,)), *body]))


def _built(estimator, seed=0):
    estimator.build(_task(), RunContext(seed=seed))
    return estimator


def _sent(estimator, step=0, seed=0):
    return estimator.estimate(tf.zeros([1, 12]), tf.zeros([1]), tf.constant([seed, step], tf.int64)).gradients


def _whole(gradients):
    return np.concatenate([np.ravel(part) for part in gradients])


@pytest.mark.parametrize("make", [
    lambda: TopKGradient(Given(), 0.1),
    lambda: SignGradient(Given()),
    lambda: QuantizedGradient(Given(), 15, bucket=16, error_feedback=True),
    lambda: LowRankGradient(Given(), 1),
])  # fmt: skip
def test_with_error_feedback_all_is_sent_sooner_or_later(make):
    """Whole numbers, of which the largest coordinates are sent as they are, add up exactly."""
    estimator, given = _built(make()), _built(Given())
    steps = range(30)
    sent = sum(_whole(_sent(estimator, step)).astype(np.float64) for step in steps)
    gradients = sum(_whole(_sent(given, step)) for step in steps)
    total = sent + _whole(estimator.residuals)
    assert np.any(_whole(estimator.residuals) != 0)
    if isinstance(estimator, TopKGradient):
        np.testing.assert_array_equal(total, gradients)
    np.testing.assert_allclose(total, gradients, atol=1e-3)


def test_without_error_feedback_there_is_no_state():
    for estimator in (SignGradient(Given(), error_feedback=False), QuantizedGradient(Given())):
        _sent(_built(estimator))
        assert not hasattr(estimator, "residuals")


def test_signs_have_the_mean_magnitude_of_their_tensor():
    estimator = _built(SignGradient(Given(), error_feedback=False))
    for step in (0, 1):
        for sent, whole in zip(_sent(estimator, step), _sent(estimator.inner, step), strict=True):
            signs = np.where(whole == 0, (1, -1)[step], np.sign(whole))
            np.testing.assert_allclose(sent, np.mean(np.abs(whole)) * signs, rtol=1e-6)


def test_the_mean_of_many_quantized_gradients_is_the_gradient():
    """Within five standard errors, at most two levels apart: s = 1 rounds the most."""
    for estimator in (QuantizedGradient(Given(), 1, bucket=16), QuantizedGradient(Given(), 3)):
        draw, whole = _built(estimator).compressed, _sent(_built(Given()))
        samples = np.array([_whole(draw(whole, tf.constant([seed, 5], tf.int64))) for seed in range(600)])
        error = samples.std(0, ddof=1) / np.sqrt(len(samples))
        assert np.all(np.abs(samples.mean(0) - _whole(whole)) <= 5 * error + 1e-5)
        assert np.all(samples.std(0)[_whole(whole) != 0] > 0)


def test_quantized_coordinates_are_neighbouring_levels_of_their_bucket():
    estimator = _built(QuantizedGradient(Given(), 4, bucket=32))
    sent, whole = _whole(_sent(estimator)), _whole(_sent(_built(Given())))
    for start in range(0, 140, 32):  # of the last bucket, 12 coordinates
        part, exact = sent[start : start + 32], whole[start : start + 32]
        unit = np.linalg.norm(exact) / 4
        np.testing.assert_allclose(part / unit, np.round(part / unit), atol=1e-5)
        assert np.all(np.abs(part - exact) <= unit * (1 + 1e-5))


def test_quantized_within_quantized_rounds_otherwise():
    estimator = QuantizedGradient(QuantizedGradient(Given()))
    assert (estimator._depth(), estimator.inner._depth()) == (1, 0)


def test_all_coordinates_are_the_gradient():
    for error_feedback in (False, True):
        estimator = _built(TopKGradient(Given(), 1.0, error_feedback=error_feedback))
        for step in range(3):
            np.testing.assert_array_equal(_whole(_sent(estimator, step)), _whole(_sent(estimator.inner, step)))


def test_the_largest_coordinates_are_sent():
    estimator = _built(TopKGradient(Given(), 0.05, error_feedback=False))
    sent, whole = _whole(_sent(estimator)), _whole(_sent(estimator.inner))
    assert np.count_nonzero(sent) == 7
    np.testing.assert_array_equal(sent[sent != 0], whole[sent != 0])
    assert np.min(np.abs(sent[sent != 0])) >= np.max(np.abs(whole[sent == 0]))


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("count", [1, 700, 40_000])
def test_the_search_of_groups_is_exact(together, count):
    """Where the largest are spread, and where they fill a tenth of the groups, which have ten magnitudes for 700."""
    magnitudes = np.random.default_rng(0).exponential(size=70_000).astype(np.float32)
    magnitudes[::10] *= 1e3 if together else 1.0
    chosen = tf.function(largest)(tf.constant(magnitudes), count).numpy()
    assert len(set(chosen)) == count
    np.testing.assert_array_equal(np.sort(magnitudes[chosen]), np.sort(magnitudes)[-count:])


def test_full_rank_is_the_matrix():
    rng = np.random.default_rng(0)
    matrix = tf.constant(rng.normal(size=(9, 5)), tf.float32)
    approximation, _ = low_rank(matrix, tf.constant(rng.normal(size=(5, 5)), tf.float32))
    np.testing.assert_allclose(approximation, matrix, atol=1e-5)


def test_a_matrix_of_low_rank_is_sent_as_it_is():
    rng = np.random.default_rng(0)
    matrix = tf.constant(rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30)), tf.float32)
    approximation, _ = low_rank(matrix, tf.constant(rng.normal(size=(30, 2)), tf.float32))
    np.testing.assert_allclose(approximation, matrix, rtol=1e-5, atol=1e-5 * np.max(np.abs(matrix)))


def test_warm_starts_turn_to_the_leading_singular_vectors():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(20, 10))
    left, values, right = np.linalg.svd(matrix)
    factor = tf.constant(rng.normal(size=(10, 3)), tf.float32)
    for _ in range(100):
        approximation, factor = low_rank(tf.constant(matrix, tf.float32), factor)
    np.testing.assert_allclose(approximation, left[:, :3] * values[:3] @ right[:3], atol=1e-4)


def test_low_rank_keeps_the_factor_and_recovers_from_a_gradient_of_zero():
    estimator = _built(LowRankGradient(Given(), 1, error_feedback=False))
    assert [factor.shape for factor in estimator.factors] == [(8, 1), (4, 1)]
    whole = _sent(estimator.inner)
    first, factor = low_rank(whole[0], tf.identity(estimator.factors[0]))
    sent = _sent(estimator)
    np.testing.assert_array_equal(sent[0], first)
    np.testing.assert_array_equal(estimator.factors[0], factor)
    np.testing.assert_array_equal(sent[1], whole[1])  # a vector
    zeros, factor = low_rank(tf.zeros([12, 8]), factor)
    assert not np.any(zeros)
    assert np.any(low_rank(whole[0], factor)[0])


def test_the_run_s_seed_decides_the_first_factors():
    first, again, other = (_built(LowRankGradient(Given()), seed).factors[0].numpy() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize(("estimator", "count"), [
    (Backpropagation(), 4 * 140),
    (SignGradient(Backpropagation()), (12 + 4) + (1 + 4) + (4 + 4) + (1 + 4)),
    (QuantizedGradient(Backpropagation()), 140 // 2 + 4),
    (QuantizedGradient(Backpropagation(), 1, bucket=64), 140 // 4 + 3 * 4),
    (TopKGradient(Backpropagation(), 0.05), 7 * 8),
    (LowRankGradient(Backpropagation(), 1), 4 * (12 + 8 + 8 + 8 + 4 + 4)),
    (LowRankGradient(Backpropagation(), 4), 4 * ((12 + 8) * 4 + 8 + 8 * 4 + 4)),  # the factors of (8, 4) are no smaller
    (NoisyGradient(TopKGradient(Backpropagation(), 0.05), ConstantNoise(0.1)), 7 * 8),
    (NoisyGradient(Backpropagation(), ConstantNoise(0.1), sketch=SignSketch(20)), 4 * 20),
])  # fmt: skip
def test_bytes_by_hand(estimator, count):
    assert _built(estimator).bytes_sent(128) == count


def test_cost_and_privacy_are_those_of_the_wrapped_estimator():
    estimator = _built(LowRankGradient(Given()))
    assert (estimator.cost(10), estimator.epsilon(10, 20)) == (20, 2.0)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: SignGradient(0.1), "inner must be a gradient estimator"),
    (lambda: SignGradient(Given(), error_feedback=1), "error_feedback must be True or False, got 1"),
    (lambda: QuantizedGradient(Given(), 0), "levels must be an integer ≥ 1, got 0"),
    (lambda: QuantizedGradient(Given(), bucket=0.5), "bucket must be an integer ≥ 1, got 0.5"),
    (lambda: TopKGradient(Given(), 0.0), r"fraction must be in \(0, 1\], got 0.0"),
    (lambda: LowRankGradient(Given(), 0), "rank must be an integer ≥ 1, got 0"),
])  # fmt: skip
def test_wrong_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
