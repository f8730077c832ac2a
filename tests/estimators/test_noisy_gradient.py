"""Noise around any estimator, beside formulas worked by hand and in numpy."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimator
from common.estimators.noise.noisy_gradient import AnnealedNoise, ConstantNoise, NoisyGradient, RelativeNoise
from common.estimators.noise.sign_sketch import SignSketch
from common.tasks import networks as models
from common.tasks import task as tasks


class RunningMean(GradientEstimator):
    """Keeps state, as predicted gradients do: the running mean of another estimator's."""

    def __init__(self, teacher):
        super().__init__()
        self.teacher = teacher

    def build(self, task, run=UNKNOWN_RUN):
        super().build(task, run)
        self.mean = [tf.Variable(tf.zeros(weight.shape)) for weight in task.weights]

    def estimate(self, x, y, seed):
        estimate = self.teacher.estimate(x, y, seed)
        for mean, part in zip(self.mean, estimate.gradients, strict=True):
            mean.assign(0.9 * mean + 0.1 * part)
        return estimate._replace(gradients=[tf.identity(mean) for mean in self.mean])

    def cost(self, batch_size):
        return self.teacher.cost(batch_size)


class Preconditioned(GradientEstimator):
    """Stretches another estimator's gradients, as a Newton direction does."""

    def __init__(self, source):
        super().__init__()
        self.source = source

    def estimate(self, x, y, seed):
        estimate = self.source.estimate(x, y, seed)
        return estimate._replace(gradients=[part / (1 + i) for i, part in enumerate(estimate.gradients)])

    def cost(self, batch_size):
        return 2.0 * self.source.cost(batch_size)


def _data(examples=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(examples, 5)).astype(np.float32), rng.integers(0, 5, examples).astype(np.int32)


def _task():
    """Its two kernels have one shape, and so have its two biases."""
    return tasks.classification(models.build("mlp", (5,), 5, seed=0, hidden=(5,)))


def _built(estimator):
    estimator.build(_task())
    return estimator


def _noisy(level=0.5, inner=None, **options):
    level = ConstantNoise(level) if isinstance(level, int | float) else level
    return NoisyGradient(inner or Backpropagation(), level, **options)


def _gradients(estimator, run=0, step=0):
    """The list of gradients on one fixed batch."""
    x, y = _data()
    estimate = estimator.estimate(tf.constant(x), tf.constant(y), tf.constant([run, step], tf.int64))
    return [part.numpy().astype(np.float64) for part in estimate.gradients]


def _as_vector(gradients):
    return np.concatenate([np.ravel(part) for part in gradients])


def _samples(estimator, seeds):
    """The gradients for each (run, step): one array (seeds, size) a variable."""
    x, y = map(tf.constant, _data())
    estimate = tf.function(lambda seed: estimator.estimate(x, y, seed).gradients)
    gradients = [estimate(tf.constant(seed, tf.int64)) for seed in seeds]
    return [
        np.stack([np.ravel(part) for part in variable]).astype(np.float64) for variable in zip(*gradients, strict=True)
    ]


def _noise(estimator, seeds, signal=None):
    """What was added to `signal`, else to the exact gradient: one array (seeds, size) a variable."""
    signal = _gradients(_built(Backpropagation())) if signal is None else signal
    return [sample - np.ravel(part) for sample, part in zip(_samples(estimator, seeds), signal, strict=True)]


def _assert_white(noise, sigma):
    """Mean zero and standard deviation sigma, each within four of its own standard errors."""
    assert abs(noise.mean()) < 4 * sigma / math.sqrt(noise.size)
    assert noise.std() == pytest.approx(sigma, rel=4 / math.sqrt(2 * noise.size))


def _assert_uncorrelated(first, second):
    assert abs(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]) < 4 / math.sqrt(np.size(first))


RUNS = [(run, 0) for run in range(300)]
STEPS = [(0, step) for step in range(300)]


@pytest.mark.parametrize("seeds", [RUNS, STEPS], ids=["runs", "steps"])
def test_constant_noise_is_white_in_every_variable(seeds):
    noise = _noise(_built(_noisy(0.5)), seeds)
    for part in noise:
        _assert_white(part, 0.5)
        _assert_uncorrelated(part[1:], part[:-1])  # from one seed to the next
    _assert_uncorrelated(noise[0], noise[2])
    _assert_uncorrelated(noise[1], noise[3])
    values = np.concatenate([np.ravel(part) for part in noise])
    assert np.mean(np.abs(values) < 0.5) == pytest.approx(math.erf(math.sqrt(0.5)), abs=0.02)  # Gaussian: 68 %


# √(0.3 / (1 + t)^0.55) with a pocket calculator: 1001^0.55 = 44.693.
ANNEALED = [(0, 0.547723), (1, 0.452665), (1000, 0.0819297)]


@pytest.mark.parametrize(("step", "sigma"), ANNEALED)
def test_annealed_noise_has_the_root_of_the_formula_as_its_standard_deviation(step, sigma):
    level = AnnealedNoise(0.3, 0.55)
    assert float(level.standard_deviation(tf.constant(step, tf.int64), [])) == pytest.approx(sigma, rel=1e-5)
    for part in _noise(_built(_noisy(level)), [(run, step) for run in range(300)]):
        _assert_white(part, sigma)


@pytest.mark.parametrize("step", [0, 1, 1000, 2**40])
@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_a_look_at_a_negative_step_has_the_level_that_training_has_reached(step, dtype):
    level, step = AnnealedNoise(0.3, 0.55), min(step, dtype.max - 1)
    looked, trained = (level.standard_deviation(tf.constant(t, dtype), []) for t in (-1 - step, step))
    assert 0 < float(looked) == float(trained) < 1


@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_relative_noise_has_the_promised_ratio_to_what_is_transmitted(clip_norm):
    signal = _gradients(_built(_noisy(0.0, clip_norm=clip_norm)))
    noise = np.concatenate(_noise(_built(_noisy(RelativeNoise(4.0), clip_norm=clip_norm)), RUNS, signal), axis=1)
    ratio = np.sum(_as_vector(signal) ** 2) / np.mean(np.sum(noise**2, 1))
    assert ratio == pytest.approx(4.0, rel=4 * math.sqrt(2 / noise.size))


def test_clipping_is_that_of_the_global_norm():
    exact = _gradients(_built(Backpropagation()))
    norm = np.linalg.norm(_as_vector(exact))
    for clip_norm in (norm / 10, norm * 10):
        clipped = _gradients(_built(_noisy(0.0, clip_norm=clip_norm)))
        np.testing.assert_allclose(_as_vector(clipped), _as_vector(exact) * min(1.0, clip_norm / norm), rtol=1e-5)


def test_clipping_comes_before_the_noise_and_does_not_touch_it():
    clipped = _gradients(_built(_noisy(0.0, clip_norm=0.01)))
    noisy = _gradients(_built(_noisy(100.0, clip_norm=0.01)))
    assert np.linalg.norm(_as_vector(noisy)) > 500.0
    unclipped = _as_vector(_gradients(_built(_noisy(100.0)))) - _as_vector(_gradients(_built(Backpropagation())))
    np.testing.assert_allclose(_as_vector(noisy) - _as_vector(clipped), unclipped, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("level", [ConstantNoise(0.0), AnnealedNoise(0.0), RelativeNoise(math.inf)])
def test_no_noise_is_exactly_the_wrapped_estimator(level):
    first, second = _gradients(_built(_noisy(level))), _gradients(_built(Backpropagation()))
    np.testing.assert_array_equal(_as_vector(first), _as_vector(second))


def test_no_noise_trains_exactly_as_the_wrapped_estimator():
    np.testing.assert_array_equal(_train(_noisy(0.0))[0], _train(Backpropagation())[0])


def test_loss_and_outputs_stay_untouched():
    x, y = map(tf.constant, _data())
    first, second = (
        _built(estimator).estimate(x, y, tf.constant([0, 0], tf.int64)) for estimator in (_noisy(), Backpropagation())
    )
    np.testing.assert_array_equal(first.loss, second.loss)
    np.testing.assert_array_equal(first.outputs, second.outputs)


def test_the_noise_is_a_function_of_seed_and_step():
    first, again, step, run = (
        _as_vector(_gradients(_built(_noisy()), *seed)) for seed in [(1, 2), (1, 2), (1, 3), (2, 2)]
    )
    np.testing.assert_array_equal(first, again)
    assert np.all(first != step)
    assert np.all(first != run)


@pytest.mark.parametrize("between", [lambda inner: inner, Preconditioned, RunningMean])
def test_nested_noises_are_independent(between):
    """Whatever lies between them, and whatever it calls what it wraps."""
    outer = _built(_noisy(0.5, between(_noisy(0.5))))
    middle, inner = _built(between(_noisy(0.5))), _built(_noisy(0.5))
    outer_noise, inner_noise = [], []
    for run in range(40):
        outer_noise.append(_as_vector(_gradients(outer, run)) - _as_vector(_gradients(middle, run)))
        inner_noise.append(_as_vector(_gradients(inner, run)) - _as_vector(_gradients(_built(Backpropagation()))))
    _assert_white(np.array(outer_noise), 0.5)
    _assert_uncorrelated(outer_noise, inner_noise)


def test_noise_around_an_estimator_with_state_leaves_the_state_alone():
    noisy, alone = _built(_noisy(0.5, RunningMean(Backpropagation()))), _built(RunningMean(Backpropagation()))
    added = [_as_vector(_gradients(noisy, 0, step)) - _as_vector(_gradients(alone, 0, step)) for step in range(40)]
    _assert_white(np.array(added), 0.5)
    np.testing.assert_array_equal(_as_vector(noisy.inner.mean), _as_vector(alone.mean))


def test_noise_around_a_preconditioned_direction_is_not_preconditioned_and_within_it_is():
    direction = _gradients(_built(Preconditioned(Backpropagation())))
    around = _noise(_built(_noisy(0.5, Preconditioned(Backpropagation()))), RUNS, direction)
    within = _noise(_built(Preconditioned(_noisy(0.5))), RUNS, direction)
    for index in range(4):
        _assert_white(around[index], 0.5)
        _assert_white(within[index], 0.5 / (1 + index))


def test_it_costs_what_it_wraps():
    assert _noisy().cost(24) == 24.0
    assert _noisy(0.5, Preconditioned(Backpropagation())).cost(24) == 48.0


@pytest.mark.parametrize("redraw_every", [None, 1])
def test_in_a_sketch_the_noise_enters_behind_it(redraw_every):
    """The received d numbers, read off S ĝ = S Sᵀ(S g + n), are the sketch and noise of standard deviation sigma."""
    sketch = SignSketch(6, redraw_every)
    estimator, exact = _built(_noisy(0.5, sketch=sketch)), _as_vector(_gradients(_built(Backpropagation())))
    noise, signal = [], []
    for step in range(100):
        drawn = sketch.draw(60, tf.constant([0, step], tf.int64))
        sizes = np.bincount(drawn.buckets, minlength=6)
        received = drawn.apply(tf.constant(_as_vector(_gradients(estimator, 0, step)), tf.float32)).numpy() / sizes
        signal.append(drawn.apply(tf.constant(exact, tf.float32)).numpy())
        noise.append(received - signal[-1])
    _assert_white(np.array(noise), 0.5)


def test_without_noise_as_many_dimensions_as_parameters_change_nothing():
    first = _gradients(_built(_noisy(0.0, sketch=SignSketch(60))))
    np.testing.assert_array_equal(_as_vector(first), _as_vector(_gradients(_built(Backpropagation()))))


def _train(estimator, epochs=2, **options):
    """The weights after training, as one vector, and the history; 42 examples in batches of 16 leave a remainder."""
    dataset = Dataset("noise", "classification", *[Split(*_data(count, count)) for count in (42, 8, 9)], 5, "", "here")
    task, optimizer = _task(), keras.optimizers.SGD(0.05, momentum=0.9)
    history = training.train(task, estimator, optimizer, dataset, epochs=epochs, batch_size=16, seed=5, **options)
    return _as_vector(task.weights), history


RESUMED = {
    "constant": _noisy,
    "annealed": lambda: _noisy(AnnealedNoise(0.3)),
    "sketch": lambda: _noisy(sketch=SignSketch(7, redraw_every=2)),
    "state": lambda: _noisy(inner=RunningMean(_noisy())),
}


@pytest.mark.parametrize("make", RESUMED.values(), ids=list(RESUMED))
def test_resuming_is_bit_identical(make, tmp_path):
    whole, _ = _train(make())
    _train(make(), epochs=1, checkpoint_dir=tmp_path)
    resumed, history = _train(make(), checkpoint_dir=tmp_path)
    assert history.status == "finished"
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize("sketch", [None, SignSketch(7, redraw_every=2)], ids=["all", "sketch"])
def test_xla_trains(sketch):
    """What a GPU gets by default."""
    _, history = _train(_noisy(0.1, clip_norm=1.0, sketch=sketch), epochs=1, jit_compile=True)
    assert history.status == "finished"


DIFFERENT = [
    _noisy(),
    _noisy(0.4),
    _noisy(AnnealedNoise(0.5)),
    _noisy(AnnealedNoise(0.5, 1.0)),
    _noisy(RelativeNoise(0.5)),
    _noisy(clip_norm=1.0),
    _noisy(sketch=SignSketch(7)),
    _noisy(sketch=SignSketch(7, 2)),
    _noisy(inner=_noisy()),
    _noisy(inner=Preconditioned(Backpropagation())),
]


def test_the_text_tells_every_difference():
    assert len({repr(estimator) for estimator in DIFFERENT}) == len(DIFFERENT)


def test_a_checkpoint_of_another_sigma_is_refused(tmp_path):
    _train(_noisy(0.5), epochs=1, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=r"estimator.*ConstantNoise\(0.5\).*ConstantNoise\(0.4\)"):
        _train(_noisy(0.4), epochs=1, checkpoint_dir=tmp_path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConstantNoise(-1), "sigma must be ≥ 0 and finite, got -1"),
        (lambda: ConstantNoise(math.nan), "sigma must be ≥ 0 and finite, got nan"),
        (lambda: AnnealedNoise(-0.1), "eta must be ≥ 0 and finite, got -0.1"),
        (lambda: AnnealedNoise(1.0, -1), "gamma must be ≥ 0 and finite, got -1"),
        (lambda: RelativeNoise(0), "signal_to_noise must be > 0, got 0"),
        (lambda: RelativeNoise(-2.0), "signal_to_noise must be > 0, got -2.0"),
        (lambda: _noisy(clip_norm=0), "clip_norm must be > 0 and finite, or None for no clipping, got 0"),
        (lambda: _noisy(clip_norm=math.inf), "clip_norm must be > 0 and finite, or None for no clipping, got inf"),
        (lambda: _built(_noisy(sketch=SignSketch(61))), "dimensions must be at most the network's 60 .*, got 61"),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        make()
