import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from moments import Fixed, Turns, linear_task, moment, ones_and_zeros

from common.data import Split
from common.diagnostics import EstimatorAlignment, GradientAlignment
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import RunContext
from common.estimators.noise.noisy_gradient import AnnealedNoise, ConstantNoise, NoisyGradient
from common.tasks import networks as models
from common.tasks import task as tasks


def _align(estimator, task, split, batch_size, batches=2, epoch=1):
    return GradientAlignment(batch_size, batches)(moment(task, split, epoch, estimator=estimator))


def test_alignment_by_hand():
    measured = _align(Fixed([1.0, 3.0]), linear_task(), ones_and_zeros(), batch_size=4)  # the error is (0, 2)
    assert measured["gradient_norm"] == pytest.approx(math.sqrt(2))
    assert measured["signal_to_noise"] == pytest.approx(2 / 4)
    assert measured["cosine"] == pytest.approx((1 + 3) / math.sqrt(2 * 10))


def test_estimators_that_do_not_train_are_compared_by_the_same_measure():
    estimators = [Fixed([1.0, 3.0]), Backpropagation()]
    compare = EstimatorAlignment(estimators, batch_size=4)
    task, split = linear_task(), ones_and_zeros()
    assert compare.at_start
    assert compare(moment(task, split, 1, epochs=3)) == {}
    measured = compare(moment(task, split, 3, epochs=3))
    assert list(measured["aligned_estimators"]) == ["Fixed([1.0, 3.0])", "Backpropagation()"]
    np.testing.assert_allclose(measured["aligned_cosine"], [4 / math.sqrt(20), 1.0], rtol=1e-6)
    np.testing.assert_allclose(measured["aligned_signal_to_noise"], [0.5, math.inf], rtol=1e-6)
    assert not any(hasattr(estimator, "task") for estimator in estimators)


def test_estimators_that_learn_may_see_minibatches_before_they_are_compared():
    task, split = linear_task(), ones_and_zeros()
    at_once, later = (
        EstimatorAlignment([Turns()], batch_size=4, batches=1, warm_up=count)(moment(task, split, 0))
        for count in (0, 3)
    )
    assert later["aligned_cosine"] < at_once["aligned_cosine"]
    with pytest.raises(ValueError, match="warm_up must be ≥ 0, got -1"):
        EstimatorAlignment([Turns()], batch_size=4, warm_up=-1)


def test_estimators_that_do_not_train_are_traced_once_and_begin_each_look_as_built():
    compare, task, split = EstimatorAlignment([Turns()], batch_size=4, at=[0, 1, 2]), linear_task(), ones_and_zeros()
    Turns.traces = 0
    measured = [compare(moment(task, split, epoch, epochs=2))["aligned_signal_to_noise"].item() for epoch in (0, 1, 2)]
    assert measured == pytest.approx([2 * 2 / (1 + 4)] * 3)  # two minibatches: the errors are 1 and 2
    assert Turns.traces == 1


def test_estimators_that_do_not_train_are_built_anew_for_another_task():
    compare, split = EstimatorAlignment([Backpropagation()], batch_size=4), ones_and_zeros()
    for weight in (0.5, 2.0):
        task = linear_task()
        task.weights[0].assign([[weight]])
        assert compare(moment(task, split, 0, epochs=1))["aligned_cosine"] == pytest.approx(1.0)


def _many_weights():
    rng = np.random.default_rng(0)
    task = tasks.classification(models.build("mlp", (30,), 4, seed=0, hidden=(60,)))
    split = Split(rng.normal(size=(32, 30)).astype(np.float32), rng.integers(0, 4, 32).astype(np.int32))
    exact = Backpropagation()
    exact.build(task)
    gradients = exact.estimate(tf.constant(split.x), tf.constant(split.y), tf.constant([0, 0], tf.int64)).gradients
    return task, split, float(tf.linalg.global_norm(gradients))


def _assert_noise(measured, task, norm, sigma, batches):
    """Within four standard errors of what noise in each of P coordinates does."""
    count = task.parameter_count
    ratio = norm**2 / (sigma**2 * count)
    assert measured["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    assert measured["signal_to_noise"] == pytest.approx(ratio, rel=4 * math.sqrt(2 / (batches * count)))
    assert measured["cosine"] == pytest.approx(1 / math.sqrt(1 + 1 / ratio), abs=4 / math.sqrt(batches * count))


def test_alignment_recovers_a_known_noise():
    """Batches of the whole split, whose exact gradient is known."""
    task, split, norm = _many_weights()
    noisy = NoisyGradient(Backpropagation(), ConstantNoise(0.02))
    _assert_noise(_align(noisy, task, split, 32, batches=20), task, norm, 0.02, 20)


def test_alignment_sees_the_annealed_noise_that_training_has_reached():
    task, split, norm = _many_weights()
    noisy = NoisyGradient(Backpropagation(), AnnealedNoise(0.01, gamma=2.0))
    measured = _align(noisy, task, split, 32, batches=1, epoch=4)  # one step an epoch: t = 4, sigma = 0.1 / 5
    _assert_noise(measured, task, norm, 0.02, 1)


def test_alignment_without_noise_is_perfect():
    measured = _align(NoisyGradient(Backpropagation(), ConstantNoise(0.0)), *_many_weights()[:2], batch_size=16)
    assert measured["signal_to_noise"] == math.inf
    assert measured["cosine"] == pytest.approx(1.0)


def test_alignment_of_what_is_not_a_number_is_not_a_number():
    measured = _align(Fixed([math.nan, 0.0]), linear_task(), ones_and_zeros(), batch_size=4)
    assert math.isnan(measured["signal_to_noise"])
    assert math.isnan(measured["cosine"])


class _Learns(Backpropagation):
    """State of both kinds: TensorFlow's variables, and those of a Keras network and its optimizer."""

    def build(self, task, run=RunContext()):  # noqa: B008 (as the contract has it)
        super().build(task, run)
        self.calls = tf.Variable(0.0)
        self.predictor = models.build("mlp", (1,), 1, seed=1, hidden=(2,))
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(self.predictor.trainable_variables)

    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        self.calls.assign_add(1.0)
        weights = self.predictor.trainable_variables
        self.optimizer.apply([tf.ones(weight.shape) for weight in weights], weights)
        return estimate

    def state(self):
        variables = [self.calls, *self.predictor.variables, *self.optimizer.variables]
        return [tf.convert_to_tensor(variable).numpy() for variable in variables]


@pytest.mark.parametrize("wrap", [lambda learns: learns, lambda learns: NoisyGradient(learns, ConstantNoise(0.1))])
def test_alignment_leaves_the_estimators_state_as_it_was(wrap):
    learns = _Learns()
    estimator, task, split = wrap(learns), linear_task(), ones_and_zeros()
    estimator.build(task)
    estimator.estimate(tf.constant(split.x), tf.constant(split.y), tf.constant([0, 0], tf.int64))
    before = learns.state()
    _align(estimator, task, split, 4)
    for a, b in zip(learns.state(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_alignment_is_seeded_and_moves_with_the_epoch():
    task, split, _ = _many_weights()
    estimator = NoisyGradient(Backpropagation(), ConstantNoise(0.02))
    measure = GradientAlignment(8)
    now, later = moment(task, split, 1, estimator=estimator), moment(task, split, 2, estimator=estimator)
    assert measure(now) == measure(now)
    assert measure(now) != measure(later)


@pytest.mark.parametrize(
    ("sizes", "words"), [((0, 2), "batch_size must be ≥ 1, got 0"), ((4, 0), "batches must be ≥ 1, got 0")]
)
def test_impossible_alignments_are_named(sizes, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        GradientAlignment(*sizes)
    with pytest.raises(ValueError, match=f"^{words}$"):
        EstimatorAlignment([Backpropagation()], *sizes)


def test_an_alignment_of_more_than_there_is_is_named():
    with pytest.raises(ValueError, match="batch_size must be at most the 8 training examples, got 9"):
        _align(Backpropagation(), linear_task(), ones_and_zeros(), batch_size=9)
