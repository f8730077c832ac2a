"""The estimates against the exact gradient; the exact one against closed forms and against integrals in float64."""

import math
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats
from scipy.special import log_ndtr, ndtr

from common.estimators.evolution.logit_evolution import LogitEvolution
from common.estimators.evolution.logit_gradient import Likelihood, MovedTarget, SmoothedAccuracy, label_first
from common.estimators.evolution.logit_quadrature import (
    ExactLogitGradient,
    log_normal_distribution,
    log_probability_right,
)
from common.estimators.noise.noisy_gradient import AnnealedNoise, ConstantNoise
from common.randomness import standard_normal
from common.tasks import networks as models
from common.tasks import task as tasks

SIGMA = 1.5
LOGITS = np.array([[0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [2.0, -1.0, 0.5], [-1.0, 3.0, 0.0]], np.float32)
LABELS = np.array([0, 0, 1, 2], np.int32)
SEED = tf.constant([0, 0], tf.int64)


def _exact(objective, logits=LOGITS, labels=LABELS, sigma=SIGMA):
    known = ExactLogitGradient(objective, sigma).correctness(tf.constant(logits), tf.constant(labels), SEED)
    return known, objective.logit_gradients(known).numpy()


def _averaged(estimator, copies=4000, seeds=3):
    """Mean over draws and its standard error: each copy of an example has noise of its own, each seed too."""
    logits, labels = np.tile(LOGITS, (copies, 1)), np.tile(LABELS, copies)
    gradients = []
    for step in range(seeds):
        known = estimator.correctness(tf.constant(logits), tf.constant(labels), tf.constant([7, step], tf.int64))
        gradients.append(estimator.objective.logit_gradients(known).numpy().reshape(copies, *LOGITS.shape))
    gradients = np.concatenate(gradients).astype(float)
    return gradients.mean(0), gradients.std(0, ddof=1) / math.sqrt(len(gradients))


def _assert_equal_within_its_error(mean, error, target):
    assert np.max(np.abs(mean - target) / np.maximum(error, 1e-12)) < 4.5
    assert np.max(error) < 0.03 * np.max(np.abs(target))  # or the comparison would say nothing


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("objective", [SmoothedAccuracy(), MovedTarget(3.0)])
def test_the_estimate_equals_the_quadrature_in_the_mean(objective, antithetic):
    estimator = LogitEvolution(objective, SIGMA, samples=20, antithetic=antithetic)
    _assert_equal_within_its_error(*_averaged(estimator), _exact(objective)[1])


@pytest.mark.parametrize("samples", [4, 100])
def test_the_likelihood_s_only_bias_is_that_no_sample_was_right(samples):
    known, exact = _exact(Likelihood())
    seen = 1 - (1 - known.probability.numpy().astype(float)) ** samples
    estimator = LogitEvolution(Likelihood(), SIGMA, samples)
    _assert_equal_within_its_error(*_averaged(estimator), seen[:, None] * exact)


def test_the_antithetic_likelihood_equals_the_quadrature_up_to_one_over_samples():
    estimator = LogitEvolution(Likelihood(), SIGMA, samples=400, antithetic=True)
    mean, error = _averaged(estimator, copies=1000)
    exact = _exact(Likelihood())[1]
    assert np.all(np.abs(mean - exact) < 4.5 * error + 2 * np.abs(exact) / (400 * _right_now()[:, None]))
    assert np.max(error) < 0.03 * np.max(np.abs(exact))


def _right_now():
    return _exact(Likelihood())[0].probability.numpy()


@pytest.mark.parametrize("margin", [1.0, -1.0])
def test_the_antithetic_likelihood_s_bias_is_known_for_two_classes(margin):
    """Where `both` of a pair or a `single` one is right, the quotient is (noise of the singles) / (2 both + single)."""
    pairs, far = 3, margin / math.sqrt(2)
    both, single = max(0.0, 2 * ndtr(far) - 1), 2 * ndtr(-abs(far))
    right = ndtr(far)
    share = sum(
        stats.multinomial.pmf([b, s, pairs - b - s], pairs, [both, single, 1 - both - single]) * s / (2 * b + s)
        for b, s in product(range(pairs + 1), repeat=2)
        if 0 < s <= pairs - b
    )
    bias = share / (single / (2 * right))
    logits = np.tile(np.array([[margin, 0.0]], np.float32), (40_000, 1))
    estimator = LogitEvolution(Likelihood(), 1.0, 2 * pairs, antithetic=True)
    known = estimator.correctness(tf.constant(logits), tf.zeros(40_000, tf.int32), SEED)
    ascent = known.log_ascent.numpy()[:, 0].astype(float)
    exact = stats.norm.pdf(far) / math.sqrt(2) / right
    assert ascent.mean() == pytest.approx(bias * exact, abs=4 * ascent.std() / math.sqrt(len(ascent)))


def test_the_estimated_probability_is_right_in_the_mean():
    estimator = LogitEvolution(SmoothedAccuracy(), SIGMA, 50, antithetic=True)
    logits, labels = tf.constant(np.tile(LOGITS, (2000, 1))), tf.constant(np.tile(LABELS, 2000))
    probability = estimator.correctness(logits, labels, SEED).probability.numpy().reshape(2000, -1)
    assert probability.mean(0) == pytest.approx(_right_now(), abs=4.5 * 0.5 / math.sqrt(2000 * 50))


@pytest.mark.parametrize("sigma", [0.25, 1.0, 4.0])
def test_the_quadrature_is_the_closed_form_for_two_classes(sigma):
    gaps = np.linspace(-12, 12, 49)
    logits = np.stack([gaps * sigma, np.zeros(49)], 1).astype(np.float32)
    known, gradient = _exact(Likelihood(), logits, np.zeros(49, np.int32), sigma)
    expected = log_ndtr(gaps / math.sqrt(2))
    slope = np.exp(stats.norm.logpdf(gaps / math.sqrt(2)) - expected) / (sigma * math.sqrt(2))
    assert known.log_probability.numpy() == pytest.approx(expected, rel=2e-5, abs=2e-6)
    assert gradient == pytest.approx(np.stack([-slope, slope], 1), rel=2e-4, abs=1e-7)
    assert known.ascent.numpy()[:, 0] == pytest.approx(slope * np.exp(expected), rel=2e-4, abs=1e-7)


@pytest.mark.parametrize("spread", [1.0, 6.0, 20.0])
def test_the_quadrature_is_the_integral_for_many_classes(spread):
    logits = np.random.default_rng(0).normal(0, spread, (6, 10)).astype(np.float32)
    labels = np.arange(6, dtype=np.int32)
    known, _ = _exact(Likelihood(), logits, labels, 2.0)
    for row, label, probability in zip(logits.astype(float), labels, known.probability.numpy(), strict=True):
        others = (row[label] - np.delete(row, label)) / 2.0
        value, _ = integrate.quad(lambda u, m=others: stats.norm.pdf(u) * np.prod(ndtr(u + m)), -12, 12, epsabs=1e-12)
        assert probability == pytest.approx(value, rel=1e-4, abs=1e-9)


def test_the_exact_gradient_is_the_slope_of_the_probability():
    logits = np.random.default_rng(1).normal(0, 2, (3, 5))
    labels = np.array([4, 0, 2], np.int32)
    _, gradient = _exact(Likelihood(), logits.astype(np.float32), labels, 1.0)
    for place in np.ndindex(3, 5):
        shift = np.zeros((3, 5))
        shift[place] = 0.05
        above, below = (
            log_probability_right(tf.constant((logits + sign * shift).astype(np.float32)), tf.constant(labels), 1.0)
            for sign in (1, -1)
        )
        slope = -float(tf.reduce_sum(above - below)) / 0.1
        assert gradient[place] == pytest.approx(slope, abs=2e-3)


def test_log_normal_distribution_in_both_tails():
    x = np.concatenate([np.linspace(-40, 4, 2001), [-1e4, 30.0]]).astype(np.float32)
    points = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(points)
        logarithm = log_normal_distribution(points)
    expected = log_ndtr(x.astype(float))
    assert logarithm.numpy() == pytest.approx(expected, rel=2e-6, abs=1e-30)
    ratio = np.exp(stats.norm.logpdf(x.astype(float)) - expected)
    assert tape.gradient(logarithm, points).numpy()[x > -40] == pytest.approx(ratio[x > -40], rel=2e-4, abs=1e-30)


@pytest.mark.parametrize("antithetic", [False, True])
def test_where_no_sample_was_right_the_floor_holds_and_nothing_is_learned(antithetic):
    logits, labels = tf.constant([[0.0, 50.0, 0.0]]), tf.constant([0])
    for objective, loss in ((Likelihood(), math.log(2 * 40)), (SmoothedAccuracy(), 1.0), (MovedTarget(2.0), 1.0)):
        estimator = LogitEvolution(objective, 1.0, 40, antithetic=antithetic)
        known = estimator.correctness(logits, labels, SEED)
        assert float(objective.losses(known)[0]) == pytest.approx(loss)
        np.testing.assert_array_equal(objective.logit_gradients(known), np.zeros((1, 3)))


@pytest.mark.parametrize("gap", [30.0, -30.0, 1000.0, -1000.0])
@pytest.mark.parametrize("make", [ExactLogitGradient, LogitEvolution])
def test_certain_answers_give_finite_numbers(make, gap):
    estimator = make(Likelihood(), 1.0)
    known = estimator.correctness(tf.constant([[gap, 0.0, 1.0]]), tf.constant([0]), SEED)
    assert all(np.isfinite(part).all() for part in known)
    assert 0 <= float(known.probability[0]) <= 1


def test_the_gradient_is_backpropagated_through_the_network():
    """A linear network without hidden layers: its weights' gradient is the outer product with the inputs."""
    network = models.build("mlp", (3,), 4, seed=0, hidden=())
    task = tasks.classification(network)
    rng = np.random.default_rng(0)
    x, y = tf.constant(rng.normal(size=(5, 3)).astype(np.float32)), tf.constant([0, 1, 2, 3, 0])
    for estimator in (LogitEvolution(Likelihood(), 1.0, 30), ExactLogitGradient(SmoothedAccuracy(), 1.0)):
        estimator.build(task)
        estimate = estimator.estimate(x, y, SEED)
        known = estimator.correctness(task.predictions(x), y, SEED)
        above = estimator.objective.logit_gradients(known).numpy() / 5
        np.testing.assert_allclose(estimate.gradients[0], x.numpy().T @ above, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(estimate.gradients[1], above.sum(0), rtol=1e-4, atol=1e-6)
        assert float(estimate.loss) == pytest.approx(float(tf.reduce_mean(estimator.objective.losses(known))))
        assert estimator.cost(5) == 5.0


def test_the_moved_target_is_its_squared_error_s_gradient():
    known, smoothed = _exact(SmoothedAccuracy())
    logits, rate = tf.constant(LOGITS), 3.0
    with tf.GradientTape() as tape:
        tape.watch(logits)
        target = tf.constant(LOGITS) + rate * known.ascent
        loss = tf.reduce_sum(keras.losses.mean_squared_error(target, logits))
    assert MovedTarget(rate).logit_gradients(known).numpy() == pytest.approx(tape.gradient(loss, logits).numpy())
    assert MovedTarget(1.5).logit_gradients(known).numpy() == pytest.approx(smoothed)  # C / 2 for three classes


def test_an_annealed_sigma_is_that_of_the_step():
    annealed = LogitEvolution(SmoothedAccuracy(), AnnealedNoise(4.0, gamma=2.0), 20)  # sigma = 2 / (1 + t)
    later = tf.constant([0, 3], tf.int64)
    batch = tf.constant(LOGITS), tf.constant(LABELS), later
    constant = LogitEvolution(SmoothedAccuracy(), 0.5, 20)
    for a, b in zip(annealed.correctness(*batch), constant.correctness(*batch), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_examples_of_a_batch_have_noise_of_their_own():
    estimator = LogitEvolution(SmoothedAccuracy(), 1.0, 50)
    ascent = estimator.correctness(tf.zeros((4, 3)), tf.zeros(4, tf.int32), SEED).ascent.numpy()
    assert len(np.unique(ascent, axis=0)) == 4


def test_a_logit_that_is_not_a_number_is_not_hidden():
    task = tasks.classification(models.build("mlp", (2,), 3, seed=0, hidden=()))
    estimator = LogitEvolution(Likelihood(), 1.0, 4)
    estimator.build(task)
    estimate = estimator.estimate(tf.constant([[math.inf, 0.0]]), tf.constant([0]), SEED)
    assert math.isnan(float(estimate.loss))


def test_label_first_is_undone_by_itself():
    values = tf.constant(np.arange(12, dtype=np.float32).reshape(3, 4))
    y = tf.constant([2, 0, 3])
    swapped = label_first(values, y).numpy()
    np.testing.assert_array_equal(swapped, [[2, 1, 0, 3], [4, 5, 6, 7], [11, 9, 10, 8]])
    np.testing.assert_array_equal(label_first(tf.constant(swapped), y), values)


def test_normal_draws_are_normal():
    samples = standard_normal([99_999], tf.constant([3, 5], tf.int64)).numpy()
    assert stats.kstest(samples, "norm").pvalue > 0.01
    assert abs(np.corrcoef(samples[:49_999], samples[50_000:])[0, 1]) < 4 / math.sqrt(50_000)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LogitEvolution(Likelihood(), 0.0), "sigma must be > 0 and finite, got 0.0"),
        (lambda: LogitEvolution(Likelihood(), -1), "sigma must be > 0 and finite, got -1"),
        (lambda: ExactLogitGradient(Likelihood(), math.inf), "sigma must be > 0 and finite, got inf"),
        (lambda: ExactLogitGradient(Likelihood(), ConstantNoise(0.0)), "sigma must be > 0 and finite: without noise"),
        (lambda: LogitEvolution(Likelihood(), 1.0, 1), "samples must be ≥ 2, got 1"),
        (lambda: LogitEvolution(Likelihood(), 1.0, 7, antithetic=True), "samples must be even, as .* pairs, got 7"),
        (lambda: ExactLogitGradient(Likelihood(), 1.0, points=1), "points must be ≥ 2, got 1"),
        (lambda: MovedTarget(0.0), "rate must be > 0 and finite, got 0.0"),
    ],
)
def test_impossible_settings_are_named(make, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        make()
