"""Over-the-air aggregation beside devices that are asked one by one."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimator
from common.estimators.noise.over_the_air import OverTheAir
from common.tasks import networks as models
from common.tasks import task as tasks

BATCH = 24


def _data(examples=BATCH, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(examples, 6)).astype(np.float32), rng.integers(0, 3, examples).astype(np.int32)


def _batch():
    return [tf.constant(part) for part in _data()]


def _seed(run=0, step=0):
    return tf.constant([run, step], tf.int64)


def _task():
    return tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))


def _built(estimator, task=None):
    estimator.build(task or _task())
    return estimator


def _over_the_air(devices=4, channel_noise=0.0, inner=None, **options):
    return OverTheAir(inner or Backpropagation(), devices, channel_noise=channel_noise, **options)


def _as_vector(gradients):
    return np.concatenate([np.ravel(part) for part in gradients]).astype(np.float64)


def _device_gradients(task, x, y, devices, label_skewed=False, seed=None):
    """Each device's gradient, (devices, P), by a call of its own on its own share."""
    exact = _built(Backpropagation(), task)
    order = np.argsort(np.ravel(y), kind="stable") if label_skewed else np.arange(len(y))
    device_batches = [(tf.gather(x, chosen), tf.gather(y, chosen)) for chosen in np.split(order, devices)]
    return np.stack(
        [
            _as_vector(exact.estimate(*device_batch, _seed() if seed is None else seed).gradients)
            for device_batch in device_batches
        ]
    )


def _assert_close(estimate, expected):
    for a, b in zip(tf.nest.flatten(estimate), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("label_skewed", [False, True])
@pytest.mark.parametrize("devices", [1, 4, BATCH])
def test_without_noise_it_is_the_gradient_of_the_whole_batch(devices, label_skewed):
    """Loss and outputs too, the outputs in the order of the batch."""
    estimator = _built(_over_the_air(devices, label_skewed=label_skewed))
    expected = _built(Backpropagation(), estimator.task).estimate(*_batch(), _seed())
    _assert_close(estimator.estimate(*_batch(), _seed()), expected)


def test_without_noise_and_dropout_a_convnet_is_that_of_the_whole_batch_too():
    rng = np.random.default_rng(0)
    x, y = tf.constant(rng.random((BATCH, 12, 12, 1), dtype=np.float32)), tf.constant(rng.integers(0, 4, BATCH))
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0), training_mode=False)
    expected = _built(Backpropagation(), task).estimate(x, y, _seed())
    _assert_close(_built(_over_the_air(label_skewed=True), task).estimate(x, y, _seed()), expected)


def test_with_dropout_all_devices_share_one_mask():
    rng = np.random.default_rng(0)
    x, y = tf.constant(rng.random((BATCH, 12, 12, 1), dtype=np.float32)), tf.constant(rng.integers(0, 4, BATCH))
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0), training_mode=True)
    gradients = _built(_over_the_air(), task).estimate(x, y, _seed(2, 7)).gradients
    expected = _device_gradients(task, x, y, 4, seed=_seed(2, 7)).mean(0)
    np.testing.assert_allclose(_as_vector(gradients), expected, atol=1e-6)


def test_label_skewed_shares_of_a_regression():
    rng = np.random.default_rng(0)
    x, y = tf.constant(rng.random((BATCH, 6)), tf.float32), tf.constant(rng.random((BATCH, 1)), tf.float32)
    task = tasks.regression(models.build("mlp", (6,), 1, seed=0, hidden=(5,)))
    expected = _built(Backpropagation(), task).estimate(x, y, _seed())
    _assert_close(_built(_over_the_air(label_skewed=True), task).estimate(x, y, _seed()), expected)


@pytest.mark.parametrize("label_skewed", [False, True])
@pytest.mark.parametrize("power", [1.0, 7.0])
def test_the_loudest_device_transmits_at_exactly_the_allowed_power(monkeypatch, power, label_skewed):
    """With noise of ones, what the channel adds to the result tells the amplitude: z / (K √α)."""
    monkeypatch.setattr(tf.random, "stateless_normal", lambda shape, seed: tf.ones(shape))
    noisy = _built(_over_the_air(4, 0.5, power=power, label_skewed=label_skewed))
    silent = _built(_over_the_air(4, label_skewed=label_skewed), noisy.task)
    added = _as_vector(noisy.estimate(*_batch(), _seed()).gradients) - _as_vector(
        silent.estimate(*_batch(), _seed()).gradients
    )
    np.testing.assert_allclose(added, added.mean(), rtol=1e-3)  # one amplitude for all coordinates
    amplitude = 0.5 / (4 * added.mean())
    transmitted = amplitude * _device_gradients(noisy.task, *_batch(), 4, label_skewed)
    powers = np.mean(transmitted**2, axis=1)
    assert powers.max() == pytest.approx(power, rel=1e-4)
    assert powers.min() < 0.95 * power


@pytest.mark.parametrize(
    ("devices", "options"), [(4, {}), (12, {"power": 9.0}), (4, {"label_skewed": True, "channel_noise": 3.0})]
)
def test_the_noise_has_the_promised_standard_deviation(devices, options):
    options = {"channel_noise": 0.5} | options
    estimator = _built(_over_the_air(devices, **options))
    estimate = tf.function(lambda seed: estimator.estimate(*_batch(), seed).gradients)
    samples = np.stack([_as_vector(estimate(_seed(run, 3 * run))) for run in range(300)])
    task, skewed = estimator.task, options.get("label_skewed", False)
    loudest = np.linalg.norm(_device_gradients(task, *_batch(), devices, skewed), axis=1).max()
    power = task.parameter_count * options.get("power", 1.0)
    expected = options["channel_noise"] * loudest / (devices * math.sqrt(power))
    noise = (samples - _device_gradients(task, *_batch(), devices, skewed).mean(0)) / expected
    assert abs(noise.mean()) < 4 / math.sqrt(noise.size)
    assert noise.std() == pytest.approx(1.0, abs=4 / math.sqrt(2 * noise.size))
    between = np.corrcoef(noise, rowvar=False)[np.triu_indices(noise.shape[1], 1)]
    assert np.abs(between).max() < 6 / math.sqrt(len(noise))  # coordinates, within a variable and across them


def test_the_noise_is_a_function_of_seed_and_step():
    estimator = _built(_over_the_air(4, 1.0))
    estimate = tf.function(lambda seed: estimator.estimate(*_batch(), seed).gradients)
    first, again, step, run = (_as_vector(estimate(_seed(*seed))) for seed in [(1, 2), (1, 2), (1, 3), (2, 2)])
    np.testing.assert_array_equal(first, again)
    assert np.all(first != step)
    assert np.all(first != run)


class _Filled(GradientEstimator):
    """Every gradient's coordinates have one value."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def build(self, task, run=UNKNOWN_RUN):
        super().build(task, run)
        self._exact = Backpropagation()
        self._exact.build(task, run)

    def estimate(self, x, y, seed):
        estimate = self._exact.estimate(x, y, seed)
        return estimate._replace(gradients=[tf.zeros_like(part) + self.value for part in estimate.gradients])

    def cost(self, batch_size):
        return float(batch_size)


@pytest.mark.parametrize("channel_noise", [0.0, 1.0])
def test_gradients_of_zero_give_zero_and_no_nan(channel_noise):
    estimator = _built(_over_the_air(4, channel_noise, inner=_Filled(0.0)))
    np.testing.assert_allclose(_as_vector(estimator.estimate(*_batch(), _seed()).gradients), 0.0, atol=1e-20)


@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize("channel_noise", [0.0, 1.0])
def test_gradients_that_are_not_finite_stay_so(value, channel_noise):
    estimator = _built(_over_the_air(4, channel_noise, inner=_Filled(value)))
    assert not np.isfinite(_as_vector(estimator.estimate(*_batch(), _seed()).gradients)).any()


def test_it_costs_what_it_wraps():
    assert _over_the_air(16).cost(48) == 48.0


@pytest.mark.parametrize(("devices", "nearest"), [(20, 24), (11, 12), (7, 6), (100, 24)])
def test_devices_that_do_not_divide_the_batch_are_refused_with_the_nearest_number_that_does(devices, nearest):
    words = f"devices must divide the batch of 24 examples, got {devices}; the nearest that does is {nearest} "
    with pytest.raises(ValueError, match=words):
        _built(_over_the_air(devices)).estimate(*_batch(), _seed())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"devices": 0}, "devices must be ≥ 1, got 0"),
        ({"channel_noise": -1}, "channel_noise must be ≥ 0 and finite, got -1"),
        ({"channel_noise": math.nan}, "channel_noise must be ≥ 0 and finite, got nan"),
        ({"power": 0}, "power must be > 0 and finite, got 0"),
        ({"power": math.inf}, "power must be > 0 and finite, got inf"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        _over_the_air(**wrong)


def _train(epochs=2, **options):
    dataset = Dataset("noise", "classification", *[Split(*_data(count, count)) for count in (42, 8, 9)], 3, "", "here")
    task, optimizer = _task(), keras.optimizers.SGD(0.05, momentum=0.9)
    settings = {"batch_size": 16, "seed": 5, "drop_remainder": True} | options
    history = training.train(task, _over_the_air(4, 0.1), optimizer, dataset, epochs=epochs, **settings)
    return np.concatenate([np.ravel(weight) for weight in task.weights]), history


def test_a_smaller_last_batch_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"must divide the batch of 10 examples, got 4; .*drop_remainder=True"):
        _train(drop_remainder=False)


def test_resuming_is_bit_identical(tmp_path):
    whole, _ = _train()
    _train(epochs=1, checkpoint_dir=tmp_path)
    resumed, history = _train(checkpoint_dir=tmp_path)
    assert history.status == "finished"
    np.testing.assert_array_equal(resumed, whole)


def test_xla_trains():
    """What a GPU gets by default."""
    _, history = _train(epochs=1, jit_compile=True)
    assert history.status == "finished"
