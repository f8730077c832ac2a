"""Saddle-free Newton beside dense solves, at a saddle, and through the training loop."""

import math
from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from newton_cases import PARAMETERS, as_vector, batch, data, saddle_batch, saddle_task, seed, small_task, split_dataset

from common import training
from common.curvature.gauss_newton import gauss_newton_eigenpairs
from common.curvature.operators import GaussNewtonOperator, HessianOperator
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import RunContext
from common.estimators.newton.damping import ConstantDamping, TiedDamping
from common.estimators.newton.line_search import ArmijoLineSearch
from common.estimators.newton.saddle_free_newton import SaddleFreeNewton
from common.estimators.noise.noisy_gradient import ConstantNoise, NoisyGradient


def _newton(inner=None, **options):
    options = {"rank": 4, "damping": 0.5, "hessian_batch": 16, "refresh_every": 1, "first_interval": 100} | options
    return SaddleFreeNewton(inner or Backpropagation(), **options)


def _built(estimator, task=None):
    estimator.build(task or small_task())
    return estimator


def _state(estimator):
    return estimator.eigenvectors.numpy().astype(np.float64), estimator.eigenvalues.numpy().astype(np.float64)


def _dense(estimator, gradient, gamma):
    """[U|Λ|Uᵀ + γI]⁻¹ g by a dense solve in float64."""
    vectors, values = _state(estimator)
    return np.linalg.solve(vectors @ np.diag(np.abs(values)) @ vectors.T + gamma * np.eye(len(vectors)), gradient)


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_the_direction_is_that_of_a_dense_solve(curvature):
    estimator = _built(_newton(curvature=curvature))
    gradient = as_vector(_built(Backpropagation(), estimator.task).estimate(*batch(), seed()).gradients)
    direction = as_vector(estimator.estimate(*batch(), seed()).gradients)
    assert np.abs(_state(estimator)[1]).max() > 0.1  # else there would be nothing to solve
    np.testing.assert_allclose(direction, _dense(estimator, gradient, 0.5), atol=1e-5)


def test_eigenpairs_are_those_of_the_first_examples():
    estimator = _built(_newton(power_iterations=12, oversampling=8))
    x, y = batch()
    matrix = HessianOperator(estimator.task, x[:16], y[:16]).block(tf.eye(PARAMETERS)).numpy()
    estimator.estimate(x, y, seed())
    values = np.linalg.eigvalsh(matrix)
    expected = values[np.argsort(-np.abs(values))[:4]]
    np.testing.assert_allclose(_state(estimator)[1], expected, rtol=2e-3)


def test_gauss_newton_eigenpairs_are_exact():
    estimator = _built(_newton(curvature="gauss_newton"))
    x, y = batch()
    estimator.estimate(x, y, seed())
    expected = gauss_newton_eigenpairs(estimator.task, x[:16], y[:16], 4)
    np.testing.assert_allclose(_state(estimator)[1], expected.values, rtol=1e-4)


def test_at_a_saddle_the_step_leaves_it():
    """By hand: L = (3u² - 2v²)/2 at (1, 0.1), γ = 1: g = (3, -0.2), p = (3/(3+1), -0.2/(2+1))."""
    estimator = _built(_newton(rank=2, damping=1.0, hessian_batch=2), saddle_task())
    direction = as_vector(estimator.estimate(*saddle_batch(), seed()).gradients)
    np.testing.assert_allclose(sorted(_state(estimator)[1]), [-2, 3], atol=1e-5)
    np.testing.assert_allclose(direction, [3 / 4, -0.2 / 3], atol=1e-5)
    # The optimizer subtracts: |u| shrinks, v grows. Newton's own step, H⁻¹g = (1, 0.1), would end in the saddle.


def test_a_hundred_steps_leave_the_saddle_on_its_low_side():
    task = saddle_task((1.0, 1e-3))
    estimator = _built(_newton(rank=2, damping=0.1, hessian_batch=2), task)
    step = tf.function(training.one_step(task, estimator, keras.optimizers.SGD(0.1)))
    for number in range(100):
        loss = step(*saddle_batch(), seed(0, number))
    assert float(loss) < -10


def test_noise_of_the_inner_estimator_is_divided_too():
    task, noisy = small_task(), NoisyGradient(Backpropagation(), ConstantNoise(1.0))
    estimator = _built(_newton(noisy), task)
    gradient = as_vector(
        _built(NoisyGradient(Backpropagation(), ConstantNoise(1.0)), task).estimate(*batch(), seed(3, 1))[2]
    )
    direction = as_vector(estimator.estimate(*batch(), seed(3, 1)).gradients)
    np.testing.assert_allclose(direction, _dense(estimator, gradient, 0.5), atol=1e-4)


def test_loss_and_outputs_stay_untouched():
    estimator = _built(_newton())
    estimate = estimator.estimate(*batch(), seed())
    expected = _built(Backpropagation(), estimator.task).estimate(*batch(), seed())
    np.testing.assert_array_equal(estimate.loss, expected.loss)
    np.testing.assert_array_equal(estimate.outputs, expected.outputs)


def test_damping_and_l2_are_two_things():
    task = small_task()
    gradient = as_vector(_built(Backpropagation(), task).estimate(*batch(), seed()).gradients)
    weights = as_vector(task.weights)
    damped, regularised = _built(_newton(damping=0.75), task), _built(_newton(damping=0.5, l2=0.25), task)
    np.testing.assert_allclose(
        as_vector(damped.estimate(*batch(), seed())[2]), _dense(damped, gradient, 0.75), atol=1e-5
    )
    direction = as_vector(regularised.estimate(*batch(), seed()).gradients)
    vectors, values = _state(regularised)
    known, inverse = vectors @ np.diag(np.abs(values + 0.25) + 0.5) @ vectors.T, np.eye(PARAMETERS) / 0.75
    inverse += np.linalg.pinv(known) - vectors @ vectors.T / 0.75
    np.testing.assert_allclose(direction, inverse @ (gradient + 0.25 * weights), atol=1e-5)


def test_l2_brings_negative_curvature_nearer_to_zero():
    """By hand, with λ = 0.25 and γ = 0.5: 1/(|-2 + 0.25| + 0.5) along the eigenvector, 1/(0.25 + 0.5) across it."""
    estimator = _built(_newton(rank=1, damping=0.5, l2=0.25))
    estimator.eigenvalues.assign([-2.0])
    estimator.eigenvectors.assign(np.eye(PARAMETERS, 1, dtype=np.float32))
    quotients = estimator.divided(tf.ones([PARAMETERS])).numpy()
    np.testing.assert_allclose(quotients[:2], [1 / 2.25, 1 / 0.75], rtol=1e-6)


def test_tied_damping_follows_the_smallest_eigenvalue_down_to_its_floor():
    values = tf.constant([9.0, -5.0, 2.0])
    assert float(TiedDamping(1.0).of(values)) == 2.0
    assert float(TiedDamping(1.0, ratio=0.1).of(values)) == 1.0
    assert float(TiedDamping(1.0).of(tf.constant([9.0, 0.0, 3.0]))) == 3.0  # a dropped direction has no eigenvalue
    assert float(TiedDamping(1.0).of(tf.constant([0.0, 5.0, 2.0]))) == 2.0
    assert float(TiedDamping(1.0).of(tf.zeros([3]))) == 1.0
    assert float(TiedDamping(1).of(tf.zeros([3]))) == 1.0  # as papermill hands it over
    assert math.isnan(TiedDamping(1.0).of(tf.fill([2], math.nan)))
    assert ConstantDamping(0.3).of(values) == 0.3


def test_tied_damping_is_used():
    estimator = _built(_newton(damping=TiedDamping(1e-3)))
    gradient = as_vector(_built(Backpropagation(), estimator.task).estimate(*batch(), seed()).gradients)
    direction = as_vector(estimator.estimate(*batch(), seed()).gradients)
    gamma = max(np.abs(_state(estimator)[1]).min(), 1e-3)
    np.testing.assert_allclose(direction, _dense(estimator, gradient, gamma), atol=1e-4)


def _eigenvectors(estimator, steps):
    step, eigenvectors = tf.function(estimator.estimate), []
    for number in range(steps):
        step(*batch(), seed(0, number))
        eigenvectors.append(estimator.eigenvectors.numpy().copy())
    return eigenvectors


def test_shuffled_eigenvectors_divide_other_directions_by_the_same_curvature():
    task = small_task()
    x, y = batch()
    plain, shuffled = (SaddleFreeNewton(Backpropagation(), 4, 0.3, 12, shuffled=value) for value in (False, True))
    for estimator in (plain, shuffled):
        estimator.build(task, RunContext(seed=5))
        estimator.estimate(x, y, seed())
    np.testing.assert_array_equal(plain.eigenvalues, shuffled.eigenvalues)
    np.testing.assert_array_equal(plain.eigenvectors, shuffled.eigenvectors)  # of which the next refresh starts
    assert not np.array_equal(shuffled._order, np.arange(PARAMETERS))
    gradient = np.random.default_rng(0).normal(size=PARAMETERS).astype(np.float32)
    vectors = shuffled.eigenvectors.numpy()[shuffled._order]
    matrix = vectors @ np.diag(np.abs(shuffled.eigenvalues)) @ vectors.T + 0.3 * np.eye(PARAMETERS)
    np.testing.assert_allclose(shuffled.divided(gradient), np.linalg.solve(matrix, gradient), rtol=1e-4, atol=1e-5)
    other = SaddleFreeNewton(Backpropagation(), 4, 0.3, 12, shuffled=True)
    other.build(task, RunContext(seed=6))
    assert not np.array_equal(other._order, shuffled._order)
    assert shuffled.cost(24) == plain.cost(24)


def test_eigenpairs_are_kept_until_the_next_refresh():
    eigenvectors = _eigenvectors(_built(_newton(refresh_every=3)), 7)
    changed = [np.abs(a - b).max() > 1e-6 for a, b in pairwise(eigenvectors)]
    assert changed == [False, False, True, False, False, True]


def test_a_smaller_last_batch_puts_a_refresh_off():
    estimator = _newton(refresh_every=2)
    estimator.build(small_task(), RunContext(batch_size=24))
    vectors = []
    for number, size in enumerate([24, 24, 6, 24]):
        estimator.estimate(*batch(size), seed(0, number))
        vectors.append(estimator.eigenvectors.numpy().copy())
    np.testing.assert_array_equal(vectors[2], vectors[0])
    assert np.abs(vectors[3] - vectors[0]).max() > 1e-6


def test_warm_starts_converge_and_fresh_vectors_do_not():
    """The weights stand still and so does the minibatch: what one pass more at each step makes of the eigenpairs."""
    x, y = batch()
    estimator = _built(_newton(power_iterations=0, oversampling=2, averaging=0.0))
    matrix = HessianOperator(estimator.task, x[:16], y[:16]).block(tf.eye(PARAMETERS)).numpy()

    def errors(estimator):
        step, residuals = tf.function(estimator.estimate), []
        for number in range(12):
            step(x, y, seed(0, number))
            vectors, values = _state(estimator)
            residuals.append(np.abs(matrix @ vectors - vectors * values).max())
        return residuals

    warm = errors(estimator)
    fresh = errors(_built(_newton(power_iterations=0, oversampling=2, averaging=0.0, warm_start=False)))
    assert warm[-1] < 0.1 * warm[0]
    assert np.mean(fresh[6:]) > 3 * warm[-1]


def test_the_same_vectors_at_each_refresh_are_a_cause_that_can_be_switched_on():
    options = {"warm_start": False, "oversampling": 0, "power_iterations": 0, "averaging": 0.0}
    stuck, fresh = (
        _eigenvectors(_built(_newton(fresh_vectors=fresh_vectors, **options)), 2) for fresh_vectors in (False, True)
    )
    np.testing.assert_array_equal(stuck[0], stuck[1])
    assert np.abs(fresh[0] - fresh[1]).max() > 1e-3


def _average_of(matrices, kept):
    """A ← β U Λ Uᵀ + (1 - β) H, all of U kept."""
    average = matrices[0]
    for count, matrix in enumerate(matrices[1:], 1):
        old = min(kept, count / (count + 1))
        average = old * average + (1 - old) * matrix
    return average


@pytest.mark.parametrize("averaging", [0.5, 0.9])
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_curvature_is_a_running_average_over_minibatches(curvature, averaging):
    """With all eigenpairs kept there is nothing to approximate, and with these weights the first three are a mean."""
    rank = PARAMETERS if curvature == "hessian" else 48
    estimator = _built(_newton(rank=rank, curvature=curvature, averaging=averaging, oversampling=0, hessian_batch=16))
    matrices = []
    for number in range(3):
        x, y = (tf.constant(part) for part in data(24, number))
        kind = HessianOperator if curvature == "hessian" else GaussNewtonOperator
        matrices.append(kind(estimator.task, x[:16], y[:16]).block(tf.eye(PARAMETERS)).numpy())
        estimator.estimate(x, y, seed(0, number))
    vectors, values = _state(estimator)
    expected = _average_of(matrices, averaging)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, expected, atol=1e-4 * np.abs(expected).max())


def test_refreshes_come_often_at_first():
    """Every other step until an eighth of the steps is more, then up to four steps apart."""
    eigenvectors = _eigenvectors(_built(_newton(refresh_every=4, first_interval=2)), 48)
    changed = [step for step, (a, b) in enumerate(pairwise(eigenvectors), 1) if np.abs(a - b).max() > 1e-7]
    assert changed[:4] == [2, 4, 6, 8]
    assert set(np.diff([step for step in changed if step <= 24])) == {2}
    assert set(np.diff([step for step in changed if step > 32])) == {4}
    assert 3 in np.diff(changed)


@pytest.mark.parametrize(("count_on", "expected"), [(True, [12, 20, 26]), (False, [12, 24, 36])])
def test_timed_epochs_count_their_steps_on_unless_told_otherwise(count_on, expected):
    """Twelve steps each: a refresh at every one of the first sixteen, then at every other, unless steps start again."""
    estimator = _newton(hessian_batch=4, refresh_every=2, first_interval=1)
    optimizer, split = keras.optimizers.SGD(0.0), split_dataset().train
    epoch = training.one_epoch(small_task(), estimator, optimizer, split, batch_size=4, seed=0, count_on=count_on)
    refreshes = []
    for _ in range(3):
        epoch()
        refreshes.append(int(estimator.refreshes))
    assert refreshes == expected


def test_sub_batches_drop_what_they_do_not_agree_on():
    estimator = _built(_newton(rank=30, hessian_batch=24, sub_batches=6, oversampling=0))
    estimator.estimate(*batch(48), seed())
    values = _state(estimator)[1]
    assert 0 < np.sum(values == 0) < 30
    assert values[0] != 0


def test_sub_batches_are_of_other_examples_than_the_eigenpairs(monkeypatch):
    seen, (x, y) = [], batch(24)

    def look(self, task, few, labels, *rest):
        seen.append(few.numpy())
        make(self, task, few, labels, *rest)

    make = HessianOperator.__init__
    monkeypatch.setattr(HessianOperator, "__init__", look)
    _built(_newton(hessian_batch=8, sub_batches=2)).estimate(x, y, seed())
    for sub_batch, part in zip(seen, (x[:8], x[8:12], x[12:16]), strict=True):
        np.testing.assert_array_equal(sub_batch, part)


def test_built_again_it_knows_nothing_of_the_batches_before():
    estimator = _built(_newton())
    estimator.estimate(*batch(24), seed())
    _built(estimator).estimate(*batch(16), seed())
    assert np.abs(_state(estimator)[1]).max() > 0.1


def _train(epochs=2, folder=None, **options):
    """Three steps an epoch and a refresh every four, so that the second epoch begins with eigenpairs of the first."""
    task, optimizer = small_task(), keras.optimizers.SGD(0.1, momentum=0.9)
    estimator = _newton(refresh_every=4, **options)
    arguments = {"epochs": epochs, "batch_size": 16, "seed": 5, "checkpoint_dir": folder}
    history = training.train(task, estimator, optimizer, split_dataset(), **arguments)
    return np.concatenate([as_vector(task.weights), as_vector([estimator.eigenvectors, estimator.basis])]), history


@pytest.mark.parametrize("options", [{"damping": TiedDamping(0.5)}, {"curvature": "gauss_newton"}])
def test_resuming_in_the_middle_of_a_refresh_interval_is_bit_identical(tmp_path, options):
    whole, _ = _train(**options)
    _train(1, tmp_path, **options)
    resumed, history = _train(2, tmp_path, **options)
    assert history.status == "finished"
    np.testing.assert_array_equal(resumed, whole)


def test_curvature_that_is_not_finite_ends_the_run_as_diverged(monkeypatch):
    monkeypatch.setattr(HessianOperator, "block", lambda self, columns: columns * math.nan)
    _, history = _train()
    assert (history.status, history.diverged_step) == ("diverged", 1)


def test_cost_counts_every_product():
    """Six columns of 16 examples, and a shared gradient a pass; the first refresh has three passes."""
    estimator = _built(_newton(oversampling=2, refresh_every=5))
    one_pass = 16 * (1 + 2 * 6)
    assert estimator.cost(24) == pytest.approx(24 + one_pass / 5)
    assert estimator.setup_cost(24, 100) == pytest.approx(2 * one_pass)
    often = _built(_newton(oversampling=2, refresh_every=5, first_interval=1))
    early = [*range(16), 17, 19, 21, 23, 26, 29, 33, 37]  # in forty steps, where five apart are eight
    assert often.setup_cost(24, 100) == often.setup_cost(24, 40) == pytest.approx((2 + len(early) - 8) * one_pass)
    assert often.setup_cost(24, 18) == pytest.approx((2 + 17 - 18 / 5) * one_pass)
    fresh = _built(_newton(oversampling=2, refresh_every=5, warm_start=False, sub_batches=4))
    assert fresh.cost(32) == pytest.approx(32 + 16 * (3 * (1 + 2 * 6) + 1 + 2 * 4) / 5)
    assert fresh.setup_cost(32, 100) == 0
    exact = _built(_newton(curvature="gauss_newton", line_search=ArmijoLineSearch()))
    assert exact.cost(24) == pytest.approx(24 + 16 * (1 / 3 + 3 * 2 / 3) + 24 / 3)


@pytest.mark.parametrize("first_interval", [1, 100])
def test_a_run_pays_for_the_refreshes_that_it_makes(first_interval):
    """After 24 steps of a batch of 24, refreshed at 0, 5, 10 ... or as often as the intervals say."""
    estimator = _built(_newton(oversampling=2, refresh_every=5, first_interval=first_interval))
    for number in range(23):
        estimator.estimate(*batch(), seed(0, number))
    refreshes = int(estimator.refreshes)
    counted = 23 * estimator.cost(24) + estimator.setup_cost(24, 23)
    assert counted == pytest.approx(23 * 24 + (2 + refreshes) * 16 * (1 + 2 * 6))


def test_a_run_counts_the_first_refresh_once():
    """Three steps an epoch, refreshed at step 0 and 4."""
    history = _train()[1]
    one_pass = 16 * (1 + 2 * 8)
    assert history.epochs[0]["cost"] == pytest.approx(3 * 16 + (2 + 1) * one_pass)
    assert history.epochs[1]["cost"] == pytest.approx(6 * 16 + (2 + 2) * one_pass)


def test_the_loop_tells_it_what_a_whole_batch_is():
    """Of 48 examples in batches of 20, the last eight put a refresh off that they would be enough for."""
    task, estimator = small_task(), _newton(hessian_batch=8, refresh_every=1)
    training.train(task, estimator, keras.optimizers.SGD(0.1), split_dataset(), epochs=2, batch_size=20, seed=0)
    assert int(estimator.refreshes) == 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"damping": 0.0}, "damping must be > 0 and finite, got 0.0"),
        ({"damping": -1.0}, "damping must be > 0 and finite, got -1.0"),
        ({"rank": 0}, "rank must be ≥ 1, got 0"),
        ({"rank": 54}, "rank must be from 1 to the 53 parameters, got 54"),
        ({"hessian_batch": 0}, "hessian_batch must be ≥ 1, got 0"),
        ({"hessian_batch": 25}, "hessian_batch must be at most the minibatch's 24 examples, got 25"),
        ({"refresh_every": 0}, "refresh_every must be ≥ 1, got 0"),
        ({"first_interval": 0}, "first_interval must be ≥ 1, got 0"),
        ({"averaging": 1.0}, "averaging must be from 0 to below 1, got 1.0"),
        ({"averaging": -0.1}, "averaging must be from 0 to below 1, got -0.1"),
        ({"curvature": "fisher"}, "curvature must be one of ['hessian', 'gauss_newton'], got 'fisher'"),
        ({"oversampling": -1}, "oversampling must be ≥ 0, got -1"),
        ({"power_iterations": -1}, "power_iterations must be ≥ 0, got -1"),
        ({"l2": -0.1}, "l2 must be ≥ 0 and finite, got -0.1"),
        (
            {"l2": 0.1, "line_search": ArmijoLineSearch()},
            "l2 must be 0 with a line search, whose loss is without the L2 term, got 0.1",
        ),
        (
            {"sub_batches": 2},
            "hessian_batch must be with sub_batches, at most half the minibatch's 24 examples, got 16",
        ),
        (
            {"sub_batches": 3},
            "sub_batches must be 0, or a divisor of hessian_batch, 16, from 2 up, with curvature 'hessian', got 3",
        ),
        (
            {"curvature": "gauss_newton", "rank": 49},
            "rank must be from 1 to 48, all that 16 examples can tell, got 49",
        ),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        _built(_newton(**wrong)).estimate(*batch(), seed())
    assert str(refused.value) == words


@pytest.mark.parametrize("wrong", [{"floor": 0.0}, {"floor": 1.0, "ratio": -1.0}])
def test_wrong_dampings_are_named(wrong):
    with pytest.raises(ValueError, match=r"^the damping's"):
        TiedDamping(**wrong)
