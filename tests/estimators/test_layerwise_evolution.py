"""Evolution strategies that perturb a layer at a time, beside networks that are perturbed by hand, one by one."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from evolution_cases import NETWORKS, batch, linear, member_outputs, step_seed, task
from keras import layers

from common import tasks
from common.estimators.backpropagation import Backpropagation
from common.estimators.layerwise_evolution import LayerwiseEvolution

BATCH, SHARE = 8, 4
SHARES = BATCH // SHARE
COUNTS = (0, 3, 2)  # pairs of the first, second and third layer: an example each, fewer and more than the layers have


def _built(network_task, share=SHARE, pairs=None, sigma=0.3, **options):
    layers_with_weights = sum(bool(layer.weights) for layer in network_task.network.layers)
    estimator = LayerwiseEvolution(share, COUNTS[:layers_with_weights] if pairs is None else pairs, sigma, **options)
    estimator.build(network_task)
    return estimator


def _members(estimator, shares=SHARES):
    """Name every pair: (layer, share, k)."""
    counts = [count or estimator.share for count in estimator.pairs]
    return [(layer, *it) for layer, n in enumerate(counts) for it in itertools.product(range(shares), range(n))]


def _perturbation(estimator, member, seed, shares=SHARES):
    """What one pair adds to each of the network's weights: update_from is linear in the fitnesses."""
    counts = [count or estimator.share for count in estimator.pairs]
    fitnesses = [np.zeros((shares, 2, count), np.float32) for count in counts]
    layer, share, k = member
    fitnesses[layer][share, 1, k] = 2 * estimator.sigma * shares * counts[layer]
    return [part.numpy() for part in estimator.update_from(seed, [tf.constant(one) for one in fitnesses])]


def _flat(parts):
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in NETWORKS),
        ("dense", {"fitness": "accuracy"}),
        ("strided", {"rank": None}),
        ("padded", {"rank": 2, "directions": "signs"}),
    ],
)
def test_each_member_is_the_network_with_one_layer_s_weights_perturbed(name, options):
    estimator = _built(task(NETWORKS[name]), **options)
    x, y = batch(estimator.task, BATCH)
    found = tf.function(estimator.evaluate)(x, y, step_seed(1, 2)).fitnesses
    network_layers = [layer for layer in estimator.task.network.layers if layer.weights]
    accuracy = estimator.fitness == "accuracy"
    for layer, share, k in _members(estimator):
        noise = _perturbation(estimator, (layer, share, k), step_seed(1, 2))
        of_layers = iter(noise)
        touched = [bool(np.any([next(of_layers).any() for _ in one.weights])) for one in network_layers]
        assert touched == [number == layer for number in range(len(network_layers))]
        own = slice(share * SHARE, (share + 1) * SHARE)
        if not estimator.pairs[layer]:
            own = slice(share * SHARE + k, share * SHARE + k + 1)
        for row, sign in enumerate((1, -1)):
            outputs = tf.constant(member_outputs(estimator, [part[None] for part in noise], 0, sign, x[own]))
            of_example = estimator.task.per_example_metric if accuracy else estimator.task.per_example_loss
            expected = (1 if accuracy else -1) * np.mean(of_example(y[own], outputs))
            assert float(found[layer][share, row, k]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["dense", "padded, dense steps"])
def test_loss_and_outputs_are_those_of_the_network_as_it_is(name):
    estimator = _built(task(NETWORKS[name]))
    x, y = batch(estimator.task, BATCH)
    found = tf.function(estimator.estimate)(x, y, step_seed())
    expected = estimator.task.predictions(x)
    np.testing.assert_allclose(found.outputs, expected, atol=1e-5)
    assert float(found.loss) == pytest.approx(float(estimator.task.loss(y, expected)), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "pairs", "options"),
    [
        ("dense", (0, 64), {}),
        ("dense", (64, 0), {"directions": "signs"}),
        ("strided", (0, 64), {"rank": None}),
        ("two convolutions", (64, 0, 128), {}),
    ],
)
def test_the_mean_estimate_is_the_gradient_of_every_layer(name, pairs, options):
    """For so small a sigma, the smoothed loss' gradient is the loss' own far below the standard errors."""
    estimator = _built(task(NETWORKS[name], training_mode=False), share=64, pairs=pairs, sigma=0.01, **options)
    x, y = (tf.repeat(part, 16, 0) for part in batch(estimator.task, BATCH))  # few examples: their spread is noise
    exact = Backpropagation()
    exact.build(estimator.task)
    run = tf.function(estimator.estimate)
    draws = [[part.numpy() for part in run(x, y, step_seed(step=i)).gradients] for i in range(100)]
    for found, gradient in zip(zip(*draws, strict=True), exact.estimate(x, y, step_seed()).gradients, strict=True):
        found, expected = np.array(found, np.float64), gradient.numpy()
        errors = found.std(0, ddof=1) / np.sqrt(len(found))
        assert np.abs((found.mean(0) - expected) / errors).max() < 4.5
        assert np.linalg.norm(found.mean(0) - expected) < 0.4 * np.linalg.norm(expected)  # small enough to tell


def test_the_error_is_that_of_the_layer_s_own_size_and_gradient():
    """One example, one pair of signs of full rank: E‖ĝ_l - g_l‖² = (D_l - 1)‖g_l‖², whatever the others are."""
    network_task = task(NETWORKS["dense"], training_mode=False)
    estimator = _built(network_task, share=1, pairs=(1, 1), sigma=0.01, rank=None, directions="signs")
    x, y = batch(network_task, 1)
    exact = Backpropagation()
    exact.build(network_task)
    expected = [part.numpy() for part in exact.estimate(x, y, step_seed()).gradients]
    run = tf.function(estimator.estimate)
    draws = [[part.numpy() for part in run(x, y, step_seed(step=i)).gradients] for i in range(1_000)]
    for first in (0, 2):  # kernel and bias
        gradient = _flat(expected[first : first + 2])
        squares = np.array([np.sum((_flat(draw[first : first + 2]) - gradient) ** 2) for draw in draws])
        predicted = (len(gradient) - 1) * np.sum(gradient**2)
        assert abs(squares.mean() - predicted) < 4 * squares.std() / np.sqrt(len(squares))


def test_a_layer_s_estimate_does_not_depend_on_the_others_pairs():
    network_task = task(NETWORKS["strided"])
    x, y = batch(network_task, BATCH)
    few, many = (_built(network_task, pairs=pairs).estimate(x, y, step_seed()) for pairs in ((0, 3), (6, 3)))
    for number in (2, 3):
        np.testing.assert_allclose(few.gradients[number], many.gradients[number], atol=1e-6)
    assert not np.allclose(few.gradients[0], many.gradients[0])


def test_a_member_is_named_by_run_step_layer_share_and_place_alone():
    """Neither the number of pairs nor that of shares changes a perturbation; each part of the name does."""
    network_task = task(NETWORKS["strided"])
    estimator, more = _built(network_task, pairs=(3, 3)), _built(network_task, pairs=(7, 5))
    flats = []
    for member in itertools.product((0, 1), (0, 1), (0, 2)):
        expected = _perturbation(estimator, member, step_seed(1, 2))
        for other, shares in ((more, SHARES), (estimator, 5)):
            for a, b in zip(_perturbation(other, member, step_seed(1, 2), shares), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5)
        flats.append(_flat(expected))
    flats += [_flat(_perturbation(estimator, (0, 0, 0), seed)) for seed in (step_seed(1, 3), step_seed(2, 2))]
    assert np.abs(np.corrcoef(flats) - np.eye(len(flats))).max() < 0.6


@pytest.mark.parametrize("options", [{"rank": 2, "directions": "signs"}, {"rank": None}])
def test_names_and_fitnesses_rebuild_the_update_bit_by_bit(options):
    """On another network of that shape, whose weights are others: they are not needed."""
    here, there = task(NETWORKS["strided"]), task(NETWORKS["strided"])
    there.network.set_weights([weight + 1.0 for weight in there.network.get_weights()])
    estimator, elsewhere = _built(here, **options), _built(there, **options)
    x, y = batch(here, BATCH)
    fitnesses = tf.function(estimator.evaluate)(x, y, step_seed(3, 9)).fitnesses
    expected = tf.function(estimator.estimate)(x, y, step_seed(3, 9)).gradients
    rebuilt = tf.function(elsewhere.update_from)(step_seed(3, 9), [tf.constant(one.numpy()) for one in fitnesses])
    for a, b in zip(rebuilt, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.any(a)


@pytest.mark.parametrize("rank", [1, None])
def test_nothing_is_differentiated(monkeypatch, rank):
    def refuse(*_, **__):
        raise AssertionError("a gradient was asked for")

    estimator = _built(task(NETWORKS["strided"]), rank=rank)
    for name in ("GradientTape", "gradients", "custom_gradient"):
        monkeypatch.setattr(tf, name, refuse)
    monkeypatch.setattr(tf.autodiff, "ForwardAccumulator", refuse)
    gradients = tf.function(estimator.estimate)(*batch(estimator.task, BATCH), step_seed()).gradients
    assert all(np.any(part) for part in gradients)


def test_shares_of_a_batch_are_averaged():
    """Twice the same examples in two shares: fitnesses of both are alike, perturbations are not."""
    estimator = _built(task(NETWORKS["dense"]), pairs=(2, 2), sigma=1e-3)
    x, y = (tf.concat([part, part], 0) for part in batch(estimator.task, SHARE))
    for found in estimator.evaluate(x, y, step_seed()).fitnesses:
        np.testing.assert_allclose(found[0], found[1], atol=0.05)
        assert not np.array_equal(found[0], found[1])


def test_weight_decay_adds_the_weights():
    plain, decayed = (_built(task(linear), weight_decay=value) for value in (0.0, 0.1))
    x, y = batch(plain.task, BATCH)
    without, found = (_flat(one.estimate(x, y, step_seed()).gradients) for one in (plain, decayed))
    np.testing.assert_allclose(found - without, 0.1 * _flat(plain.task.network.get_weights()), atol=1e-6)


def test_none_is_a_pair_for_each_example():
    expected, found = (_built(task(linear), pairs=(own,)) for own in (0, None))
    assert found.settings == expected.settings
    x, y = batch(found.task, BATCH)
    first, second = (_flat(one.estimate(x, y, step_seed()).gradients) for one in (expected, found))
    np.testing.assert_array_equal(first, second)


def test_cost_from_multiplications_by_hand():
    body = [layers.Conv2D(2, 2, activation="relu"), layers.Flatten(), layers.Dense(3)]
    network_task = tasks.classification(keras.Sequential([keras.Input((4, 4, 1)), *body]))
    estimator = _built(network_task, pairs=(0, 5))
    convolution, dense = 9 * 4 * 2, 18 * 3
    own = 9 * (4 + 2) + 2 * dense  # the pair's response at nine positions, and the dense layer for both members
    late = 5 * (18 + 3)
    assert estimator.cost == pytest.approx((convolution + dense + own + late) / (3 * (convolution + dense)))
    assert estimator.evaluations_per_step(320) == 2 * 320 * (1 + 5)
    assert json.loads(json.dumps(estimator.settings)) == estimator.settings
    assert estimator.settings["pairs"] == [0, 5]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, (0,), 0.1), {}, "share must be ≥ 1, got 0"),
        ((4, (-1,), 0.1), {}, r"pairs must be ≥ 0 each \(0: a pair for each example\), got \[-1\]"),
        ((4, (0,), 0.0), {}, "sigma must be > 0 and finite, got 0.0"),
        ((4, (0,), 0.1), {"rank": 0}, "rank must be ≥ 1, or None for full rank, got 0"),
        ((4, (0,), 0.1), {"weight_decay": -1.0}, "weight_decay must be ≥ 0"),
        ((4, (0,), 0.1), {"fitness": "acuracy"}, r"fitness must be one of .*did you mean 'accuracy'\?"),
        ((4, (0,), 0.1), {"directions": "sign"}, r"directions must be one of .*did you mean 'signs'\?"),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        LayerwiseEvolution(*arguments, **options)


def test_what_the_network_does_not_allow_is_refused():
    with pytest.raises(ValueError, match=r"pairs must be 2 numbers, one for each layer with weights, got \[0\]"):
        _built(task(NETWORKS["strided"]), pairs=(0,))
    with pytest.raises(ValueError, match="rank must be at most 3, the smallest side of any kernel, got 4"):
        _built(task(linear), rank=4)
    with pytest.raises(ValueError, match="fitness must be \"loss\" where the task's metric is 'mean_squared_error'"):
        _built(tasks.regression(linear()), fitness="accuracy")


def test_a_batch_that_the_share_does_not_divide_is_refused():
    estimator = _built(task(linear), share=5)
    with pytest.raises(ValueError, match=r"share must divide the batch of 8 examples, got 5; the nearest .* is 4 "):
        estimator.estimate(*batch(estimator.task, BATCH), step_seed())
