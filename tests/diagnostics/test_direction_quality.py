"""Angle, bias, variance and the best step of estimators at common weights, against numbers by hand."""

import copy
import math

import numpy as np
import pytest
import tensorflow as tf
from moments import Fixed, Turns, linear_task, moment, ones_and_zeros

from common.data import Split
from common.diagnostics import DirectionQuality
from common.diagnostics.direction_quality import LENGTHS
from common.estimators.backpropagation import Backpropagation
from common.estimators.noise.noisy_gradient import ConstantNoise, NoisyGradient
from common.tasks import networks, task


def _measured(estimators, *, network_task=None, split=None, **options):
    network_task = network_task or linear_task()
    options = {"batch_size": 4} | options
    quality = copy.deepcopy(DirectionQuality(estimators, **options))  # as a run of its own has it
    return quality(moment(network_task, split or ones_and_zeros(), 0, epochs=1))


def test_by_hand():
    measured = _measured([Backpropagation(), Fixed([1.0, 3.0])])
    assert list(measured["aligned_estimators"]) == ["Backpropagation()", "Fixed([1.0, 3.0])"]
    np.testing.assert_allclose(measured["aligned_cosine"], [1.0, 4 / math.sqrt(20)], rtol=1e-6)
    np.testing.assert_allclose(measured["aligned_bias_squared"], [0.0, 4 / 2], atol=1e-6)  # the error is (0, 2)
    np.testing.assert_allclose(measured["aligned_variance"], [0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(measured["aligned_cost"], [1.0, 2.0])
    # A step s along (a, b) / length leaves the output 1/2 - s (a + b) / length, whose square is the loss.
    slopes = np.array([math.sqrt(2), 4 / math.sqrt(10)])
    best = [max(0.25 - (0.5 - s * slope) ** 2 for s in LENGTHS) for slope in slopes]
    np.testing.assert_allclose(measured["aligned_decrease"], best, rtol=1e-5)


def test_a_direction_uphill_decreases_nothing_and_none_has_no_angle():
    measured = _measured([Fixed([-1.0, -1.0]), Fixed([0.0, 0.0])])
    np.testing.assert_array_equal(measured["aligned_decrease"], [0.0, 0.0])
    np.testing.assert_allclose(measured["aligned_cosine"], [-1.0, math.nan], rtol=1e-6)


def test_noise_is_variance_and_no_bias():
    rng = np.random.default_rng(0)
    network_task = task.classification(networks.build("mlp", (30,), 4, seed=0, hidden=(60,)))
    split = Split(rng.normal(size=(32, 30)).astype(np.float32), rng.integers(0, 4, 32).astype(np.int32))
    exact = Backpropagation()
    exact.build(network_task)
    gradients = exact.estimate(tf.constant(split.x), tf.constant(split.y), tf.constant([0, 0], tf.int64)).gradients
    squared, count = float(tf.linalg.global_norm(gradients)) ** 2, network_task.parameter_count
    options = {"batch_size": 32, "batches": 2, "repeats": 20, "network_task": network_task, "split": split}
    measured = _measured([NoisyGradient(Backpropagation(), ConstantNoise(0.02))], **options)
    variance = 0.02**2 * count / squared
    # Within four standard errors: 2 · 19 · P squares of N(0, 1), and the same for the error of the mean.
    assert measured["aligned_variance"] == pytest.approx(variance, rel=4 * math.sqrt(2 / (38 * count)))
    assert abs(measured["aligned_bias_squared"].item()) < 4 * variance / 20 * math.sqrt(2 / (2 * count))


def test_an_estimator_s_state_moves_in_the_warm_up_and_from_batch_to_batch_only():
    at_once, later = (_measured([Turns()], batches=1, warm_up=count) for count in (0, 3))
    assert at_once["aligned_variance"] == later["aligned_variance"] == 0  # repeats begin at one state
    np.testing.assert_allclose(at_once["aligned_bias_squared"], 1 / 2, rtol=1e-5)
    np.testing.assert_allclose(later["aligned_bias_squared"], 16 / 2, rtol=1e-5)


def test_every_estimator_may_have_a_batch_size_of_its_own():
    estimators = [Backpropagation(), NoisyGradient(Backpropagation(), ConstantNoise(0.1)), Fixed([1.0, 3.0])]
    measured = _measured(estimators, batch_size=[4, 2, 4])
    alone = [_measured([estimator], batch_size=size) for estimator, size in zip(estimators, (4, 2, 4), strict=True)]
    for name in ("cosine", "bias_squared", "variance", "decrease", "cost", "batch_size"):
        values = [float(single[f"aligned_{name}"][0]) for single in alone]
        np.testing.assert_allclose(measured[f"aligned_{name}"], values, rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match=r"^batch_size must be one number, or one for each of the 3 estimators"):
        _measured(estimators, batch_size=[4, 2])


def test_the_network_is_left_as_it_was():
    network_task = linear_task()
    before = network_task.network.get_weights()
    _measured([Backpropagation()], network_task=network_task)
    for a, b in zip(before, network_task.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"repeats": 1}, "repeats must be ≥ 2, got 1"),
        ({"warm_up": -1}, "warm_up must be ≥ 0, got -1"),
        ({"loss_examples": 0}, "loss_examples must be ≥ 1, got 0"),
        ({"batches": 0}, "batches must be ≥ 1, got 0"),
        ({"batch_size": 9}, "batch_size must be at most the 8 training examples, got 9"),
    ],
)
def test_impossible_looks_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        _measured([Backpropagation()], **options)
