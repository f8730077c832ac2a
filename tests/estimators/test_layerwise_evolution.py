"""Evolution strategies that perturb a layer at a time, beside networks that are perturbed by hand, one by one."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from evolution_cases import NETWORKS, batch, linear, member_outputs, step_seed, task
from keras import layers

from common.estimators.backpropagation import Backpropagation
from common.estimators.evolution.layerwise_evolution import LayerwiseEvolution
from common.tasks import task as tasks

BATCH, CHUNK = 8, 4
COUNTS = (2, 3, 1)  # pairs of the first, second and third layer


def _built(network_task, pairs=None, sigma=0.3, chunk=CHUNK, **options):
    layers_with_weights = sum(bool(layer.weights) for layer in network_task.network.layers)
    estimator = LayerwiseEvolution(
        COUNTS[:layers_with_weights] if pairs is None else pairs, sigma, chunk=chunk, **options
    )
    estimator.build(network_task)
    return estimator


def _members(estimator, chunks=BATCH // CHUNK):
    """Name every pair: (layer, chunk, place in the chunk, k)."""
    sizes = [(range(chunks), range(estimator.chunk), range(count)) for count in estimator.pairs]
    return [(layer, *pair) for layer, ranges in enumerate(sizes) for pair in itertools.product(*ranges)]


def _perturbation(estimator, member, x, y, seed):
    """What the example of one pair sees added to each of the network's weights: update_from is linear in fitnesses."""
    layer, chunk, place, k = member
    chunks = len(x) // estimator.chunk
    fitnesses = [np.zeros((chunks, 2, estimator.chunk, count), np.float32) for count in estimator.pairs]
    fitnesses[layer][chunk, 1, place, k] = 2 * estimator.sigma * len(x) * estimator.pairs[layer]
    return [part.numpy() for part in estimator.update_from(x, y, seed, [tf.constant(array) for array in fitnesses])]


def _as_vector(parts):
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)


@pytest.mark.parametrize(
    ("name", "fitness", "visible"),
    [
        *((name, "loss", True) for name in NETWORKS),
        *((name, "accuracy", True) for name in ("dense", "strided")),
        *((name, "loss", False) for name in ("dense", "two convolutions")),
    ],
)
def test_each_member_is_the_network_with_one_layer_s_weights_perturbed(name, fitness, visible):
    estimator = _built(task(NETWORKS[name]), fitness=fitness, visible=visible)
    x, y = batch(estimator.task, BATCH)
    fitnesses = tf.function(estimator.evaluate)(x, y, step_seed(1, 2)).fitnesses
    network_layers = [layer for layer in estimator.task.network.layers if layer.weights]
    for layer, chunk, place, k in _members(estimator)[::5]:
        noise = _perturbation(estimator, (layer, chunk, place, k), x, y, step_seed(1, 2))
        of_layers = iter(noise)
        touched = [
            bool(np.any([next(of_layers).any() for _ in network_layer.weights])) for network_layer in network_layers
        ]
        assert touched == [number == layer for number in range(len(network_layers))]
        own = slice(chunk * CHUNK + place, chunk * CHUNK + place + 1)
        for row, sign in enumerate((1, -1)):
            outputs = tf.constant(member_outputs(estimator, [part[None] for part in noise], 0, sign, x[own]))
            expected = float(estimator.task.per_example_metric(y[own], outputs)[0])
            if fitness == "loss":
                expected = -float(estimator.task.per_example_loss(y[own], outputs)[0])
            # As near as what is added to the factored matrix allows.
            assert float(fitnesses[layer][chunk, row, place, k]) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize(("name", "keep"), [("dense", 1.0), ("padded, dense steps", 1.0), ("strided", 0.5)])
def test_loss_and_outputs_are_those_of_the_network_as_it_is(name, keep):
    estimator = _built(task(NETWORKS[name]), keep=keep)
    x, y = batch(estimator.task, BATCH)
    estimate = tf.function(estimator.estimate)(x, y, step_seed())
    expected = estimator.task.predictions(x)
    np.testing.assert_allclose(estimate.outputs, expected, atol=1e-5)
    assert float(estimate.loss) == pytest.approx(float(estimator.task.loss(y, expected)), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "keep", "visible"),
    [
        ("dense", 1.0, True),
        ("dense", 0.25, True),
        ("dense", 0.25, False),
        ("strided", 1.0, True),
        ("strided", 1.0, False),
        ("without bias", 1.0, True),
        ("two convolutions", 0.5, True),
    ],
)
def test_the_mean_estimate_is_the_gradient_of_every_layer(name, keep, visible):
    """For so small a sigma, the smoothed loss' gradient is the loss' own far below the standard errors."""
    estimator = _built(task(NETWORKS[name], training_mode=False), sigma=0.01, chunk=32, keep=keep, visible=visible)
    x, y = (tf.repeat(part, 16, 0) for part in batch(estimator.task, BATCH))  # few examples: their spread is noise
    exact = Backpropagation()
    exact.build(estimator.task)
    run = tf.function(estimator.estimate)
    estimates = [[part.numpy() for part in run(x, y, step_seed(step=i)).gradients] for i in range(100)]
    for parts, gradient in zip(zip(*estimates, strict=True), exact.estimate(x, y, step_seed()).gradients, strict=True):
        samples, expected = np.array(parts, np.float64), gradient.numpy()
        errors = samples.std(0, ddof=1) / np.sqrt(len(samples))
        assert np.all(np.abs(samples.mean(0) - expected) <= 4.5 * errors)  # both zero where an input never is
        assert np.linalg.norm(samples.mean(0) - expected) < 0.4 * np.linalg.norm(expected)  # small enough to tell


def test_the_error_is_that_of_the_layer_s_outputs_and_gradient():
    """One example, one pair, a dense layer of n outputs: E‖ĝ_l - g_l‖² = (n + 1)‖g_l‖², whatever enters it."""
    network_task = task(NETWORKS["dense"], training_mode=False)
    estimator = _built(network_task, pairs=(1, 1), sigma=0.01, chunk=1)
    x, y = batch(network_task, 1)
    exact = Backpropagation()
    exact.build(network_task)
    expected = [part.numpy() for part in exact.estimate(x, y, step_seed()).gradients]
    run = tf.function(estimator.estimate)
    estimates = [[part.numpy() for part in run(x, y, step_seed(step=i)).gradients] for i in range(1_000)]
    for first in (0, 2):  # kernel and bias
        gradient = _as_vector(expected[first : first + 2])
        squares = np.array(
            [np.sum((_as_vector(estimate[first : first + 2]) - gradient) ** 2) for estimate in estimates]
        )
        predicted = (expected[first + 1].size + 1) * np.sum(gradient**2)
        assert abs(squares.mean() - predicted) < 4 * squares.std() / np.sqrt(len(squares))


def test_whole_perturbations_are_noisier():
    """One example, one pair, a dense layer of D weights: E‖ĝ_l - g_l‖² = (D + 1)‖g_l‖², instead of (n + 1)‖g_l‖²."""
    network_task = task(NETWORKS["dense"], training_mode=False)
    estimator = _built(network_task, pairs=(1, 1), sigma=0.01, chunk=1, visible=False)
    x, y = batch(network_task, 1)
    exact = Backpropagation()
    exact.build(network_task)
    gradient = _as_vector(exact.estimate(x, y, step_seed()).gradients[2:4])
    run = tf.function(estimator.estimate)
    errors = [_as_vector(run(x, y, step_seed(step=i)).gradients[2:4]) - gradient for i in range(1_000)]
    squares = np.sum(np.square(errors), 1)
    predicted = (gradient.size + 1) * np.sum(gradient**2)
    assert abs(squares.mean() - predicted) < 4 * squares.std() / np.sqrt(len(squares))


def test_keeping_what_the_network_is_wrong_about_lowers_the_variance():
    """Of 64 examples 60 are learnt: 16 of these teach as much as all."""
    network_task = task(linear, training_mode=False)
    x, _ = batch(network_task, 64)
    x = 20.0 * x
    y = np.argmax(network_task.predictions(x), 1)
    y[:4] = (y[:4] + 1) % 3
    run = {}
    for keep, chunk in ((1.0, 64), (0.25, 16)):
        estimate = tf.function(_built(network_task, pairs=(1,), sigma=0.001, chunk=chunk, keep=keep).estimate)
        estimates = [_as_vector(estimate(x, tf.constant(y, tf.int32), step_seed(step=i)).gradients) for i in range(200)]
        run[keep] = np.sum(np.var(estimates, 0))
    assert run[0.25] < run[1.0]


def test_a_layer_s_estimate_does_not_depend_on_the_others_pairs():
    network_task = task(NETWORKS["strided"])
    x, y = batch(network_task, BATCH)
    few, many = (_built(network_task, pairs=pairs).estimate(x, y, step_seed()) for pairs in ((1, 3), (6, 3)))
    for number in (2, 3):
        np.testing.assert_allclose(few.gradients[number], many.gradients[number], atol=1e-6)
    assert not np.allclose(few.gradients[0], many.gradients[0])


def test_each_part_of_a_member_s_name_changes_its_perturbation():
    """Twice the same examples in two chunks: only the names differ."""
    estimator = _built(task(linear), pairs=(2,))
    x, y = (tf.repeat(part[:1], BATCH, 0) for part in batch(estimator.task, BATCH))
    perturbations = [
        _as_vector(_perturbation(estimator, member, x, y, step_seed(1, 2))) for member in _members(estimator)
    ]
    perturbations += [
        _as_vector(_perturbation(estimator, (0, 0, 0, 0), x, y, seed)) for seed in (step_seed(1, 3), step_seed(2, 2))
    ]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(perturbations, 2)]
    assert min(distances) > 0.05 * np.mean([np.linalg.norm(perturbation) for perturbation in perturbations])


@pytest.mark.parametrize(("keep", "visible"), [(1.0, True), (0.5, True), (0.5, False)])
def test_names_and_fitnesses_rebuild_the_update_bit_by_bit(keep, visible):
    estimator = _built(task(NETWORKS["strided"]), keep=keep, visible=visible)
    x, y = batch(estimator.task, BATCH)
    fitnesses = tf.function(estimator.evaluate)(x, y, step_seed(3, 9)).fitnesses
    expected = tf.function(estimator.estimate)(x, y, step_seed(3, 9)).gradients
    rebuilt = tf.function(estimator.update_from)(
        x, y, step_seed(3, 9), [tf.constant(of_layer.numpy()) for of_layer in fitnesses]
    )
    for a, b in zip(rebuilt, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.any(a)


@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_nothing_is_differentiated(monkeypatch, keep):
    def refuse(*_, **__):
        raise AssertionError("a gradient was asked for")

    estimator = _built(task(NETWORKS["strided"]), keep=keep)
    for name in ("GradientTape", "gradients", "custom_gradient"):
        monkeypatch.setattr(tf, name, refuse)
    monkeypatch.setattr(tf.autodiff, "ForwardAccumulator", refuse)
    gradients = tf.function(estimator.estimate)(*batch(estimator.task, BATCH), step_seed()).gradients
    assert all(np.any(part) for part in gradients)


def test_weight_decay_adds_the_weights():
    plain, decayed = (_built(task(linear), weight_decay=value) for value in (0.0, 0.1))
    x, y = batch(plain.task, BATCH)
    without, with_decay = (
        _as_vector(estimator.estimate(x, y, step_seed()).gradients) for estimator in (plain, decayed)
    )
    np.testing.assert_allclose(with_decay - without, 0.1 * _as_vector(plain.task.network.get_weights()), atol=1e-6)


def test_regression_learns_too():
    network_task = tasks.regression(linear(outputs=1))
    x, _ = batch(network_task, BATCH)
    y = tf.ones((BATCH, 1))
    gradients = _built(network_task, keep=0.5).estimate(x, y, step_seed()).gradients
    assert all(np.all(np.isfinite(part)) and np.any(part) for part in gradients)


def test_cost_from_multiplications_by_hand():
    body = [layers.Conv2D(2, 2, activation="relu"), layers.Flatten(), layers.Dense(3)]
    network_task = tasks.classification(keras.Sequential([keras.Input((4, 4, 1)), *body]))
    estimator = _built(network_task, pairs=(2, 5), keep=0.5)
    convolution, dense = 9 * 4 * 2, 18 * 3
    first = 2 * (9 * 5 * 2 + 5 * 2 + 2 * dense)  # nine positions see all of the five rows; both members' dense layer
    second = (1 * 19 + 1 / 6) + 5 * (3 + 3)  # one position: a length, and its factor of one number
    second += 1 / 2 * 3 + 19 * 3  # the weighted sum, divided by the factor, times what entered
    along = convolution + dense
    assert estimator.cost(320) == pytest.approx(320 * (along + 0.5 * (along + first + second)) / (3 * along))
    assert estimator.evaluations_per_step(320) == 2 * 160 * (2 + 5)

    whole = _built(network_task, pairs=(2, 5), keep=0.5, visible=False)
    second = 5 * (19 * 3 + 19 * 3)  # the response of all rows, and their weighted sum
    assert whole.cost(320) == pytest.approx(320 * (along + 0.5 * (along + first + second)) / (3 * along))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (((0,), 0.1), {}, r"pairs must be ≥ 1 each, got \[0\]"),
        (((1,), 0.0), {}, "sigma must be > 0 and finite, got 0.0"),
        (((1,), 0.1), {"chunk": 0}, "chunk must be ≥ 1, got 0"),
        (((1,), 0.1), {"keep": 0.0}, "keep must be > 0 and ≤ 1, got 0.0"),
        (((1,), 0.1), {"keep": 1.5}, "keep must be > 0 and ≤ 1, got 1.5"),
        (((1,), 0.1), {"weight_decay": -1.0}, "weight_decay must be ≥ 0"),
        (((1,), 0.1), {"fitness": "acuracy"}, r"fitness must be one of .*did you mean 'accuracy'\?"),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        LayerwiseEvolution(*arguments, **options)


def test_what_the_network_does_not_allow_is_refused():
    with pytest.raises(
        ValueError, match=r"pairs must be 2 numbers, one for each layer with weights, or one for all, got \[1\]"
    ):
        _built(task(NETWORKS["strided"]), pairs=(1,))
    with pytest.raises(ValueError, match="fitness must be \"loss\" where the task's metric is 'mean_squared_error'"):
        _built(tasks.regression(linear()), fitness="accuracy")


@pytest.mark.parametrize(("chunk", "keep", "kept", "nearest"), [(5, 1.0, 8, 4), (3, 0.5, 4, 2)])
def test_kept_examples_that_the_chunk_does_not_divide_are_refused(chunk, keep, kept, nearest):
    estimator = _built(task(linear), chunk=chunk, keep=keep)
    message = rf"chunk must divide the batch of {kept} examples, got {chunk}; the nearest .* is {nearest} "
    with pytest.raises(ValueError, match=message):
        estimator.estimate(*batch(estimator.task, BATCH), step_seed())
