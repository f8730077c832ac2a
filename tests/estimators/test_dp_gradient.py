"""DP-SGD: single examples' gradients beside backpropagation on one example, clipping, noise, sampling, refusals."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.data import Split
from common.estimators import Backpropagation, DPGradient, RunContext
from common.estimators.noise import privacy
from common.estimators.noise.per_example_gradients import PerExampleGradients
from common.tasks import networks as models
from common.tasks import task as tasks

SEED = tf.constant([0, 3], tf.int64)


def _layers(*layers, shape=(9, 8, 2)):
    return tasks.classification(keras.Sequential([keras.Input(shape), *layers]))


def _padded():
    """Convolutions with all that the project's networks do not use; the last one's lengths are by ghost norms."""
    return _layers(
        keras.layers.Conv2D(3, (3, 2), strides=(2, 1), padding="same", activation="tanh"),
        keras.layers.Conv2D(4, (3, 3), use_bias=False),
        keras.layers.Conv2D(60, 2, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(4, use_bias=False),
    )


def _partly_frozen():
    task = _layers(keras.layers.Dense(5, activation="relu"), keras.layers.Dense(4), shape=(6,))
    task.network.layers[0].trainable = False
    return task


TASKS = {
    "mlp": lambda: tasks.classification(models.build("mlp", (7,), 4, seed=0, hidden=(8, 5))),
    "convnet with dropout": lambda: tasks.classification(models.build("mnist_convnet", (14, 14, 1), 4, seed=0)),
    "Keras' own layers": lambda: tasks.classification(
        models.build("mnist_convnet", (14, 14, 1), 4, seed=0, standard_layers=True), training_mode=False
    ),
    "channels": lambda: tasks.classification(models.build("lenet5", (28, 28, 1), 4, seed=0)),
    "padding and strides": _padded,
    "partly frozen": _partly_frozen,
    "regression": lambda: tasks.regression(models.build("mlp", (7,), 1, seed=0, hidden=(6,))),
}


@pytest.fixture(params=TASKS.values(), ids=list(TASKS))
def task(request):
    return request.param()


def _batch(task, examples=6):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(examples, *task.network.input_shape[1:])), tf.float32)
    if task.metric_name == "accuracy":
        return x, tf.constant(rng.integers(0, 4, examples), tf.int32)
    return x, tf.constant(rng.normal(size=(examples, 1)), tf.float32)


def _built(task, *arguments, run=None, **options):
    estimator = DPGradient(*arguments, **options)
    estimator.build(task, run or RunContext())
    return estimator


def _exact(task, x, y):
    estimator = Backpropagation()
    estimator.build(task)
    return estimator.estimate(x, y, SEED)


def _single(task, x, y):
    """Gradients one by one: the batch is one example, repeated as often, so that dropout's mask has its shape."""
    rows = []
    for i in range(len(x)):
        with tf.GradientTape() as tape:
            loss = task.per_example_loss(y, task.outputs(x, SEED))[i]
        gradients = tape.gradient(loss, task.weights)
        rows.append(np.concatenate([np.ravel(part) for part in gradients]))
    return np.array(rows, np.float64)


def _whole(gradients):
    return np.concatenate([np.ravel(part) for part in gradients])


def test_without_clipping_and_noise_it_is_the_gradient(task):
    batch = _batch(task)
    estimate, expected = _built(task, math.inf, 0.0).estimate(*batch, SEED), _exact(task, *batch)
    for a, b in zip(tf.nest.flatten(estimate), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_gradients_of_single_examples_are_those_of_one_by_one(task):
    batch = _batch(task)
    expected, gradients = _single(task, *batch), PerExampleGradients(task, *batch, SEED)
    np.testing.assert_allclose(gradients.squared_norms(), np.sum(expected**2, 1), rtol=1e-4)
    for i, row in enumerate(expected):
        np.testing.assert_allclose(_whole(gradients.weighted_sum(tf.one_hot(i, 6))), row, rtol=1e-4, atol=1e-6)


def test_each_example_is_clipped_to_the_norm(task):
    batch = _batch(task)
    rows = _single(task, *batch)
    lengths = np.linalg.norm(rows, axis=1)
    clip_norm = float(np.median(lengths))
    expected = np.mean(rows * np.minimum(1, clip_norm / lengths)[:, None], 0)
    mean = _whole(_built(task, clip_norm, 0.0).estimate(*batch, SEED).gradients)
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-6)


def test_no_example_moves_the_sum_by_more_than_the_norm():
    task = TASKS["mlp"]()
    x, y = _batch(task)
    x *= tf.constant([1e4, 1e2, 1.0, 1e-2, 0.0, 1.0])[:, None]  # of very different lengths
    for clip_norm in (0.1, 1.0):
        estimator = _built(task, clip_norm, 0.0)
        whole = 6 * _whole(estimator.estimate(x, y, SEED).gradients)
        for i in range(6):
            rest = [tf.concat([part[:i], part[i + 1 :]], 0) for part in (x, y)]
            moved = np.linalg.norm(whole - 5 * _whole(estimator.estimate(*rest, SEED).gradients))
            assert moved <= clip_norm * (1 + 1e-4)


def test_noise_has_the_deviation_of_the_multiplier_and_the_norm():
    task = tasks.classification(models.build("mlp", (40,), 4, seed=0, hidden=(50,)))
    batch = _batch(task)
    quiet, noisy = (_built(task, 0.5, sigma).estimate(*batch, SEED) for sigma in (0.0, 3.0))
    noise = 6 * (_whole(noisy.gradients) - _whole(quiet.gradients))
    assert np.std(noise) == pytest.approx(3.0 * 0.5, rel=4 / np.sqrt(2 * len(noise)))
    assert abs(np.mean(noise)) < 4 * 1.5 / np.sqrt(len(noise))
    other = _built(task, 0.5, 3.0).estimate(*batch, tf.constant([0, 4], tf.int64))
    assert np.corrcoef(_whole(other.gradients), _whole(noisy.gradients))[0, 1] < 0.5


def _poisson(task, *arguments, examples=200, batch_size=20):
    split = Split(*(part.numpy() for part in _batch(task, examples)))
    run = RunContext(batch_size=batch_size, steps_per_epoch=10, steps=30, split=split)
    return _built(task, *arguments, run=run, poisson=True), split


def test_a_poisson_sample_holds_each_example_with_the_same_probability():
    estimator, _ = _poisson(TASKS["mlp"](), 1.0, 0.0)
    counts, sizes = np.zeros(200), []
    for step in range(400):
        chosen, weights = estimator._sample(tf.constant([0, step], tf.int64))
        assert len(np.unique(chosen)) == len(chosen)
        counts[chosen.numpy()] += weights
        sizes.append(float(np.sum(weights)))
    deviation = math.sqrt(400 * 0.1 * 0.9)
    assert np.max(np.abs(counts - 40)) < 4.5 * deviation
    assert np.mean(sizes) == pytest.approx(20, abs=4 * math.sqrt(18 / 400))
    assert np.var(sizes) == pytest.approx(18, rel=0.3)  # of a binomial distribution; a batch of fixed size has none
    assert max(sizes) < len(chosen) < 60


def test_the_gradient_of_a_poisson_sample_is_its_clipped_sum_over_the_expected_size():
    task = TASKS["mlp"]()
    estimator, split = _poisson(task, 0.3, 0.0)
    chosen, weights = estimator._sample(SEED)
    rows = _single(task, *(tf.gather(part, chosen) for part in (split.x, split.y)))
    factors = weights.numpy() * np.minimum(1, 0.3 / np.linalg.norm(rows, axis=1))
    x, y = (tf.constant(part[:20]) for part in (split.x, split.y))
    estimate = estimator.estimate(x, y, SEED)
    np.testing.assert_allclose(_whole(estimate.gradients), factors @ rows / 20, rtol=1e-4, atol=1e-6)
    expected = _exact(task, x, y)
    np.testing.assert_allclose(estimate.loss, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(estimate.outputs, expected.outputs, atol=1e-6)


def test_epsilon_is_the_accountant_s():
    task = TASKS["mlp"]()
    estimator, split = _poisson(task, 1.0, 1.1)
    assert estimator.epsilon(20, 30) == privacy.epsilon(0.1, 1.1, 30, 1e-5)
    shuffled = _built(task, 1.0, 1.1, delta=1e-3, run=RunContext(split=split))
    assert shuffled.epsilon(50, 30) == privacy.epsilon(0.25, 1.1, 30, 1e-3)
    assert _built(task, 1.0, 1.1).epsilon(50, 30) == math.inf  # of how many examples is not known
    assert _built(task, 1.0, 0.0, run=RunContext(split=split)).epsilon(50, 30) == math.inf


def test_cost_by_hand():
    """Dense layers need no products beyond backpropagation's; of a convolution, the kept gradients are added up."""
    assert _built(TASKS["mlp"](), 1.0, 1.0).cost(10) == 10
    estimator, _ = _poisson(TASKS["mlp"](), 1.0, 1.0)
    forward = 7 * 8 + 8 * 5 + 5 * 4
    places = len(estimator._sample(SEED)[0])
    assert estimator.cost(20) == pytest.approx(places + 20 * forward / (3 * forward - 7 * 8))
    task = _padded()
    first, second, third = 5 * 8 * (3 * 2 * 2 * 3), 3 * 6 * (3 * 3 * 3 * 4), 1 * 3 * (2 * 2 * 4 * 60)
    gradient = 3 * (first + second + third + 3 * 60 * 4) - first
    extra = 12 * 3 + 27 * 4 + 3 * 3 * (16 + 60)
    assert _built(task, 1.0, 1.0).cost(10) == pytest.approx(10 * (gradient + extra) / gradient)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: DPGradient(0.0, 1.0), "clip_norm must be > 0, got 0.0"),
    (lambda: DPGradient(1.0, -1.0), "noise_multiplier must be ≥ 0 and finite, got -1.0"),
    (lambda: DPGradient(math.inf, 1.0), "clip_norm must be finite where there is noise"),
    (lambda: DPGradient(1.0, 1.0, delta=1), r"delta must be in \(0, 1\), got 1"),
    (lambda: _built(tasks.classification(models.build("normalised_mlp", (6,), 4, seed=0, hidden=(5,))), 1.0, 1.0),
     "in batch norm .layer 'norm_1'. it depends on all of the batch"),
    (lambda: _built(tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(5,), precision="mixed_bfloat16")),
                    1.0, 1.0), "takes a network in float32, and layer '.*' is in mixed_bfloat16"),
    (lambda: _built(_layers(keras.layers.DepthwiseConv2D(2, name="deep"), keras.layers.Flatten()), 1.0, 1.0),
     "layer 'deep' is a DepthwiseConv2D"),
    (lambda: _built(TASKS["mlp"](), 1.0, 1.0, poisson=True), "poisson must be False in a run whose training examples"),
])  # fmt: skip
def test_what_it_cannot_do_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
