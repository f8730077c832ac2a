import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.data import Split
from common.diagnostics import alignment
from common.estimators.backpropagation import Backpropagation
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.estimators.estimator import GradientEstimate, GradientEstimator
from common.estimators.evolution.logit_evolution import LogitEvolution
from common.estimators.evolution.logit_gradient import Likelihood, SmoothedAccuracy
from common.estimators.noise.noisy_gradient import AnnealedNoise, ConstantNoise, NoisyGradient
from common.tasks import networks as models
from common.tasks import task as tasks


def _linear_task():
    """One weight, squared error: the gradient of one example is 2 (w x - y) x, known without TensorFlow."""
    task = tasks.regression(models.build("mlp", (1,), 1, seed=0, hidden=()))
    task.weights[0].assign([[0.5]])
    task.weights[1].assign([0.0])
    return task


def test_noise_scale_recovers_a_known_gradient_and_variance():
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 0.3, (200_000, 1)).astype(np.float32)
    y = (0.2 * x + rng.normal(0, 0.5, x.shape)).astype(np.float32)
    residual = 0.5 * x - y
    gradients = np.concatenate([2 * residual * x, 2 * residual], axis=1).astype(np.float64)
    norm, variance = np.sum(gradients.mean(0) ** 2), gradients.var(0).sum()
    measured = alignment.GradientNoiseScale(4, 64, large_batches=3_000)(_linear_task(), Split(x, y), 0, 1)
    assert measured["gradient_norm_squared"] == pytest.approx(norm, rel=0.05)
    assert measured["gradient_variance"] == pytest.approx(variance, rel=0.05)
    assert measured["noise_scale"] == pytest.approx(variance / norm, rel=0.08)


def test_noise_scale_is_seeded_and_moves_with_the_epoch():
    rng = np.random.default_rng(0)
    split = Split(rng.random((512, 1), dtype=np.float32), rng.random((512, 1), dtype=np.float32))
    scale, task = alignment.GradientNoiseScale(4, 64, 2), _linear_task()
    assert scale(task, split, 0, 1) == scale(task, split, 0, 1)
    assert scale(task, split, 0, 1) != scale(task, split, 0, 2)


def test_noise_scale_is_not_a_number_where_the_noise_hides_the_gradient():
    scale = alignment.GradientNoiseScale(4, 64)
    assert math.isnan(scale._solve(small_norm=16.0, large_norm=0.5)["noise_scale"])  # 64 · 0.5 < 4 · 16


@pytest.mark.parametrize("sizes", [(0, 64), (64, 64), (64, 100), (64, 32)])
def test_impossible_batch_sizes_are_named(sizes):
    with pytest.raises(
        ValueError, match=f"large must be a multiple of small .* got small {sizes[0]}, large {sizes[1]}"
    ):
        alignment.GradientNoiseScale(*sizes)


def test_too_few_examples_are_named():
    split = Split(np.zeros((32, 1), np.float32), np.zeros((32, 1), np.float32))
    with pytest.raises(ValueError, match="large must be at most the 32 training examples, got 64"):
        alignment.GradientNoiseScale(4, 64)(_linear_task(), split, 0, 1)


def test_cosine_by_hand():
    first = [tf.constant([1.0, 0.0]), tf.constant([[2.0]])]
    second = [tf.constant([2.0, 1.0]), tf.constant([[2.0]])]
    assert float(alignment.cosine(first, second)) == pytest.approx(6 / math.sqrt(5 * 9))
    assert math.isnan(float(alignment.cosine(first, [tf.zeros(2), tf.zeros((1, 1))])))


class _Fixed(GradientEstimator):
    """One direction, whatever the batch."""

    def __init__(self, *gradients):
        super().__init__()
        self._gradients = gradients

    def estimate(self, x, y, seed):
        outputs = self.task.outputs(x, seed)
        pairs = zip(self._gradients, self.task.weights, strict=True)
        return GradientEstimate(self.task.loss(y, outputs), outputs, [tf.fill(w.shape, value) for value, w in pairs])

    cost = 1.0


def _align(estimator, task, split, batch_size, batches=2, epoch=1):
    estimator.build(task)
    return alignment.GradientAlignment(estimator, batch_size, batches)(task, split, 0, epoch)


def _ones_and_zeros():
    """With the weights of `_linear_task` every example's gradient is 2 (0.5 · 1 - 0) (1, 1) = (1, 1)."""
    return Split(np.ones((8, 1), np.float32), np.zeros((8, 1), np.float32))


def test_alignment_by_hand():
    measured = _align(_Fixed(1.0, 3.0), _linear_task(), _ones_and_zeros(), batch_size=4)  # the error is (0, 2)
    assert measured["gradient_norm"] == pytest.approx(math.sqrt(2))
    assert measured["signal_to_noise"] == pytest.approx(2 / 4)
    assert measured["cosine"] == pytest.approx((1 + 3) / math.sqrt(2 * 10))


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
    measured = _align(_Fixed(math.nan, 0.0), _linear_task(), _ones_and_zeros(), batch_size=4)
    assert math.isnan(measured["signal_to_noise"])
    assert math.isnan(measured["cosine"])


class _Learns(Backpropagation):
    """State of both kinds: TensorFlow's variables, and those of a Keras network and its optimizer."""

    def build(self, task):
        super().build(task)
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
    estimator, task, split = wrap(learns), _linear_task(), _ones_and_zeros()
    estimator.build(task)
    estimator.estimate(tf.constant(split.x), tf.constant(split.y), tf.constant([0, 0], tf.int64))
    before = learns.state()
    alignment.GradientAlignment(estimator, 4)(task, split, 0, 1)
    for a, b in zip(learns.state(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_alignment_is_seeded_and_moves_with_the_epoch():
    task, split, _ = _many_weights()
    estimator = NoisyGradient(Backpropagation(), ConstantNoise(0.02))
    estimator.build(task)
    measure = alignment.GradientAlignment(estimator, 8)
    assert measure(task, split, 0, 1) == measure(task, split, 0, 1)
    assert measure(task, split, 0, 1) != measure(task, split, 0, 2)


@pytest.mark.parametrize(
    ("sizes", "words"), [((0, 2), "batch_size must be ≥ 1, got 0"), ((4, 0), "batches must be ≥ 1, got 0")]
)
def test_impossible_alignments_are_named(sizes, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        alignment.GradientAlignment(Backpropagation(), *sizes)


def test_an_alignment_of_more_than_there_is_is_named():
    with pytest.raises(ValueError, match="batch_size must be at most the 8 training examples, got 9"):
        _align(Backpropagation(), _linear_task(), _ones_and_zeros(), batch_size=9)


def _boundaries(mixing, steps):
    """Two boundaries of a network with batch norm, after some steps of training on half of the examples."""
    rng = np.random.default_rng(0)
    split = Split(rng.normal(size=(64, 5)).astype(np.float32), rng.integers(0, 3, 64).astype(np.int32))
    task = tasks.classification(models.build("normalised_mlp", (5,), 3, seed=0, hidden=(8, 8)))
    how = {"hidden_layers": 1, "width": 16, "optimizer": keras.optimizers.Adam(0.01)}
    estimator = SyntheticGradients(mixing=mixing, **how)
    estimator.build(task)
    estimate = tf.function(estimator.estimate)
    for step in range(steps):
        estimate(tf.constant(split.x[:32]), tf.constant(split.y[:32]), tf.constant([0, step], tf.int64))
    return alignment.BoundaryAlignment(estimator, 32), task, split, estimator


def test_boundary_alignment_grows_as_predictors_learn_and_teaches_them_nothing():
    measure, task, split, estimator = _boundaries(1.0, 100)
    everything = [task.network, *(predictor.network for predictor in estimator._predictors)]
    before = [variable.numpy() for network in everything for variable in network.variables]
    measured = measure(task, split, 0, 1)
    assert list(measured) == ["cosine_boundary_1", "cosine_boundary_2"]
    assert all(0.5 < value < 1 for value in measured.values())
    assert measured == measure(task, split, 0, 1) != measure(task, split, 0, 2)
    after = [variable.numpy() for network in everything for variable in network.variables]
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_boundary_alignment_of_untrained_predictors_is_undefined():
    measure, task, split, _ = _boundaries(0.0, 0)
    assert all(math.isnan(value) for value in measure(task, split, 0, 1).values())


def test_an_impossible_boundary_alignment_is_named():
    with pytest.raises(ValueError, match="batch_size must be ≥ 1, got 0"):
        alignment.BoundaryAlignment(SyntheticGradients(), 0)


def _constant_logits(margin):
    """A network whose logits are (margin, 0) whatever it sees."""
    task = tasks.classification(models.build("mlp", (1,), 2, seed=0, hidden=()))
    task.weights[0].assign([[0.0, 0.0]])
    task.weights[1].assign([margin, 0.0])
    return task


def _logit_alignment(objective, samples, margin, examples=400, repeats=40):
    split = Split(np.zeros((examples, 1), np.float32), np.zeros(examples, np.int32))
    estimator = LogitEvolution(objective, 1.0, samples)
    return alignment.LogitAlignment(estimator, examples, repeats)(_constant_logits(margin), split, 0, 1)


def test_logit_alignment_of_the_smoothed_accuracy_is_that_of_a_coin():
    """At equal logits F is a coin that leaves the length of the noise as it was: E‖Fε‖² = 2/2, and g is (±1/(2√π))."""
    measured = _logit_alignment(SmoothedAccuracy(), 50, 0.0)
    squared = 2 * (1 / (2 * math.sqrt(math.pi))) ** 2
    ratio = (1 - squared) / 50 / squared
    assert measured["logit_variance"] == pytest.approx(ratio, rel=0.03)
    assert measured["logit_bias"] < 4 * math.sqrt(ratio / (400 * 40))
    assert measured["logit_cosine"] == pytest.approx(1 / math.sqrt(1 + ratio), rel=0.02)


def test_logit_alignment_sees_the_share_of_examples_without_a_right_sample():
    right = 0.0786496  # Φ(-2 / √2)
    measured = _logit_alignment(Likelihood(), 10, -2.0)
    assert measured["logit_bias"] == pytest.approx((1 - right) ** 10, abs=0.03)


def test_logit_alignment_improves_with_samples_and_is_seeded():
    few, many = (_logit_alignment(Likelihood(), samples, 0.5, 50, 5) for samples in (4, 100))
    assert few["logit_cosine"] < many["logit_cosine"] <= 1
    assert few["logit_variance"] > many["logit_variance"]
    assert many == _logit_alignment(Likelihood(), 100, 0.5, 50, 5)


@pytest.mark.parametrize(
    ("sizes", "words"), [((0, 2), "examples must be ≥ 1, got 0"), ((4, 1), "repeats must be ≥ 2, got 1")]
)
def test_impossible_logit_alignments_are_named(sizes, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        alignment.LogitAlignment(LogitEvolution(Likelihood(), 1.0), *sizes)
