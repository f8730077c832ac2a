"""Evolution strategies on the weights beside networks that are perturbed by hand, one by one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from evolution_cases import NETWORKS, batch, linear, member_outputs, perturbations, step_seed, task

from common.estimators.backpropagation import Backpropagation
from common.estimators.evolution import parameter_evolution
from common.estimators.evolution.parameter_evolution import ParameterEvolution
from common.tasks import task as tasks

BATCH = 8


def _built(network_task, population=8, sigma=0.3, **options):
    estimator = ParameterEvolution(population, sigma, **options)
    estimator.build(network_task)
    return estimator


def _fitnesses_by_hand(estimator, x, y, seed):
    """Mean loss or accuracy of each member on its data, (2, pairs), by running the network once for each member."""
    noise = perturbations(_unshaped(estimator), seed)
    per_example = estimator.task.per_example_loss
    sign_of_fitness = -1.0
    if estimator.fitness == "accuracy":
        per_example, sign_of_fitness = estimator.task.per_example_metric, 1.0
    fitnesses = np.zeros((2, estimator.pairs))
    for k in range(estimator.pairs):
        examples = len(x) // estimator.pairs
        own = slice(k * examples, (k + 1) * examples) if estimator.own_data else slice(None)
        for row, sign in enumerate((1, -1)):
            outputs = member_outputs(estimator, noise, k, sign, x[own])
            fitnesses[row, k] = sign_of_fitness * np.mean(per_example(y[own], tf.constant(outputs)))
    return fitnesses


def _unshaped(estimator):
    """The same members, without shaping and weight decay: its update_from is linear in the fitnesses."""
    options = {"rank": estimator.rank, "directions": estimator.directions}
    return _built(estimator.task, estimator.population, estimator.sigma, shaping="none", **options)


def _as_vector(parts):
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)


@pytest.mark.parametrize(
    ("population", "options"),
    [
        (16, {}),  # an example a pair
        (8, {"rank": 2}),
        (8, {"rank": None}),
        (8, {"own_data": False}),
        (4, {"own_data": False, "rank": 2, "directions": "signs"}),
        (4, {"own_data": False, "rank": None}),
    ],
)
@pytest.mark.parametrize("make", NETWORKS.values(), ids=list(NETWORKS))
def test_each_member_is_the_network_with_perturbed_weights(make, population, options):
    estimator = _built(task(make), population, **options)
    x, y = batch(estimator.task, BATCH)
    evaluation = estimator.evaluate(x, y, step_seed(1, 2))
    expected = _fitnesses_by_hand(estimator, x, y, step_seed(1, 2))
    np.testing.assert_allclose(evaluation.fitnesses, expected, atol=1e-5)
    assert float(evaluation.loss) == pytest.approx(-expected.mean(), abs=1e-5)


@pytest.mark.parametrize("own_data", [True, False])
def test_outputs_are_means_over_the_members_that_saw_the_example(own_data):
    estimator = _built(task(NETWORKS["dense"]), own_data=own_data)
    x, y = batch(estimator.task, BATCH)
    noise = perturbations(_unshaped(estimator), step_seed())
    runs = np.array([[member_outputs(estimator, noise, k, s, x) for s in (1, -1)] for k in range(4)]).mean(1)
    expected = np.concatenate([runs[k, 2 * k : 2 * k + 2] for k in range(4)]) if own_data else runs.mean(0)
    np.testing.assert_allclose(estimator.evaluate(x, y, step_seed()).outputs, expected, atol=1e-5)


def test_accuracy_as_the_fitness():
    estimator = _built(task(NETWORKS["strided"]), own_data=False, fitness="accuracy")
    x, y = batch(estimator.task, 20)
    evaluation = estimator.evaluate(x, y, step_seed())
    np.testing.assert_allclose(evaluation.fitnesses, _fitnesses_by_hand(estimator, x, y, step_seed()), atol=1e-6)
    assert float(evaluation.loss) > 0


def _regression(estimator_options, inputs=5, outputs=1):
    """A linear network with squared error: a quadratic, where antithetic differences are exact for any sigma."""
    rng = np.random.default_rng(1)
    network_task = tasks.regression(linear(inputs, outputs))
    network_task.network.set_weights([rng.normal(size=weight.shape) for weight in network_task.network.get_weights()])
    x = tf.constant(rng.normal(size=(BATCH, inputs)), tf.float32)
    y = tf.constant(rng.normal(size=(BATCH, outputs)), tf.float32)
    return _built(network_task, shaping="none", **estimator_options), x, y


@pytest.mark.parametrize(
    ("rank", "directions", "own_data"),
    [(1, "gaussian", True), (1, "signs", True), (2, "gaussian", False), (None, "gaussian", True)],
)
def test_on_a_quadratic_the_mean_estimate_is_the_gradient(rank, directions, own_data):
    options = {"population": 16, "rank": rank, "directions": directions, "own_data": own_data}
    estimator, x, y = _regression(options, outputs=2)
    exact = Backpropagation()
    exact.build(estimator.task)
    expected = _as_vector(exact.estimate(x, y, step_seed()).gradients)
    run = tf.function(estimator.estimate)
    samples = np.array([_as_vector(run(x, y, step_seed(step=i)).gradients) for i in range(500)])
    deviations = (samples.mean(0) - expected) / (samples.std(0, ddof=1) / np.sqrt(len(samples)))
    assert np.abs(deviations).max() < 4.5
    assert (
        np.abs(samples.mean(0) - expected).max() < 0.25 * np.abs(expected).max()
    )  # the errors are small enough to tell


@pytest.mark.parametrize("name", ["dense", "two convolutions"])
def test_the_mean_of_drawn_examples_is_the_gradient_too(name):
    """For so small a sigma, the smoothed loss' gradient is the loss' own far below the standard errors."""
    network_task = task(NETWORKS[name], training_mode=False)
    estimator = _built(network_task, population=128, sigma=0.01, rank=None, shaping="none", keep=0.5)
    x, y = (tf.repeat(part, 16, 0) for part in batch(network_task, BATCH))
    exact = Backpropagation()
    exact.build(network_task)
    expected = _as_vector(exact.estimate(x, y, step_seed()).gradients)
    run = tf.function(estimator.estimate)
    samples = np.array([_as_vector(run(x, y, step_seed(step=i)).gradients) for i in range(200)])
    errors = samples.std(0, ddof=1) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(0) - expected) <= 4.5 * errors)
    assert samples.mean(0) @ expected == pytest.approx(expected @ expected, rel=0.3)  # small enough to tell


def test_with_drawn_examples_loss_and_outputs_are_those_of_the_network_as_it_is():
    estimator = _built(task(linear), population=4, shaping="none", keep=0.25)
    x, y = batch(estimator.task, BATCH)
    estimate = tf.function(estimator.estimate)(x, y, step_seed())
    np.testing.assert_allclose(estimate.outputs, estimator.task.predictions(x), atol=1e-5)
    assert float(estimate.loss) == pytest.approx(float(estimator.task.loss(y, estimate.outputs)), abs=1e-5)


@pytest.mark.parametrize(("directions", "factor"), [("gaussian", (5 + 2) * (3 + 2)), ("signs", 5 * 3)])
def test_mean_square_of_a_rank_one_estimate(directions, factor):
    """One pair, ĝ = a bᵀ (aᵀ G b): E‖ĝ‖² = (in + 2)(out + 2) ‖G‖² for Gaussian factors, in · out ‖G‖² for signs."""
    network_task = tasks.regression(linear(5, 3, use_bias=False))
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 5)), tf.float32)
    y = tf.zeros([1, 3])
    exact = Backpropagation()
    exact.build(network_task)
    expected = factor * np.sum(np.square(exact.estimate(x, y, step_seed()).gradients[0]))
    pairs = 20_000
    estimator = _built(network_task, 2 * pairs, shaping="none", own_data=False, directions=directions)
    plus, minus = estimator.evaluate(x, y, step_seed()).fitnesses.numpy()
    codes = estimator._codes(step_seed(), pairs)[0]
    factors = estimator._looked_up([[code[0] for code in codes]])[0]
    noise = tf.matmul(factors.left, factors.right, transpose_a=True).numpy()
    squares = np.square((plus - minus) / (2 * estimator.sigma)) * np.sum(np.square(noise), (1, 2))
    assert abs(squares.mean() - expected) < 4 * squares.std() / np.sqrt(pairs)


def test_ranks_see_nothing_but_the_order():
    estimator = _built(task(linear), own_data=False)
    fitnesses = tf.constant(np.random.default_rng(0).normal(size=(2, 4)), tf.float32)
    expected = estimator.update_from(step_seed(), fitnesses)
    for transformed in (tf.exp(3.0 * fitnesses), fitnesses**3, fitnesses - 100.0):
        for a, b in zip(estimator.update_from(step_seed(), transformed), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert _as_vector(expected).any()


def test_ranks_by_hand_and_equals_share_theirs():
    estimator = _built(task(linear), population=4, sigma=0.5, own_data=False)
    noise = perturbations(_unshaped(estimator), step_seed())
    # Ranks 3, 0 of the first pair, and 1.5 twice: their difference is (3 - 0)/3 and 0.
    update = estimator.update_from(step_seed(), tf.constant([[0.9, 0.4], [0.1, 0.4]]))
    for part, directions in zip(update, noise, strict=True):
        np.testing.assert_allclose(part, -directions[0] / (2 * 0.5 * 2), atol=1e-6)


@pytest.mark.parametrize("shaping", ["ranks", "standardised", "none"])
def test_equal_fitnesses_give_no_direction(shaping):
    estimator = _built(task(linear), own_data=False, shaping=shaping)
    assert not _as_vector(estimator.update_from(step_seed(), tf.fill([2, 4], 0.7))).any()


def test_standardised_fitnesses_by_hand():
    estimator = _built(task(linear), own_data=False, shaping="standardised")
    fitnesses = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    expected = _unshaped(estimator).update_from(step_seed(), tf.constant(fitnesses / fitnesses.std()))
    update = estimator.update_from(step_seed(), tf.constant(7.0 * fitnesses + 3.0))
    np.testing.assert_allclose(_as_vector(update), _as_vector(expected), atol=1e-5)


@pytest.mark.parametrize("rank", [1, None])
@pytest.mark.parametrize("own_data", [True, False])
def test_nothing_is_differentiated(monkeypatch, own_data, rank):
    def refuse(*_, **__):
        raise AssertionError("a gradient was asked for")

    estimator = _built(task(NETWORKS["strided"]), own_data=own_data, rank=rank)
    for name in ("GradientTape", "gradients", "custom_gradient"):
        monkeypatch.setattr(tf, name, refuse)
    monkeypatch.setattr(tf.autodiff, "ForwardAccumulator", refuse)
    gradients = tf.function(estimator.estimate)(*batch(estimator.task, BATCH), step_seed()).gradients
    assert all(np.any(part) for part in gradients)


@pytest.mark.parametrize(
    ("rank", "chunk", "shaping"),
    [(1, None, "ranks"), (1, 2, "standardised"), (2, None, "ranks"), (2, 2, "none"), (None, None, "ranks")],
)
@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_names_and_fitnesses_rebuild_the_update_bit_by_bit(rank, chunk, shaping, keep):
    """On another network of that shape, whose weights are others: they are not needed."""
    options = {"rank": rank, "chunk": chunk, "shaping": "none" if keep < 1 else shaping, "keep": keep}
    estimator, elsewhere = _built(task(NETWORKS["strided"]), **options), _built(_other_weights(), **options)
    x, y = batch(estimator.task, BATCH)
    fitnesses = tf.function(estimator.evaluate)(x, y, step_seed(3, 9)).fitnesses
    expected = tf.function(estimator.estimate)(x, y, step_seed(3, 9)).gradients
    rebuilt = tf.function(elsewhere.update_from)(step_seed(3, 9), tf.constant(fitnesses.numpy()))
    for a, b in zip(rebuilt, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def _other_weights():
    network_task = task(NETWORKS["strided"])
    network_task.network.set_weights([weight + 1.0 for weight in network_task.network.get_weights()])
    return network_task


@pytest.mark.parametrize("rank", [1, 2, None])
def test_a_member_is_named_by_run_step_and_place_alone(rank):
    """Neither the chunks nor the size of the population change a perturbation; run, step and place do."""
    network_task = task(NETWORKS["strided"])
    expected = perturbations(_unshaped(_built(network_task, 8, rank=rank)), step_seed(1, 2))
    for population, chunk in ((8, 1), (8, 2), (16, None), (6, None)):
        estimator = _built(network_task, population, shaping="none", rank=rank, chunk=chunk)
        perturbed = perturbations(estimator, step_seed(1, 2))
        both = min(4, population // 2)
        for a, b in zip(perturbed, expected, strict=True):
            np.testing.assert_allclose(a[:both], b[:both], rtol=1e-6)
    flats = [np.concatenate([np.ravel(part[k]) for part in expected]) for k in range(4)]
    for other in (step_seed(1, 3), step_seed(2, 2)):
        noise = perturbations(_unshaped(_built(network_task, 8, rank=rank)), other)
        flats += [np.concatenate([np.ravel(part[k]) for part in noise]) for k in range(4)]
    assert np.abs(np.corrcoef(flats) - np.eye(len(flats))).max() < 0.5


@pytest.mark.parametrize("own_data", [True, False])
def test_chunks_change_rounding_only(own_data):
    network_task = task(NETWORKS["strided"])
    x, y = batch(network_task, BATCH)
    whole = tf.function(_built(network_task, own_data=own_data, chunk=4).estimate)(x, y, step_seed())
    chunked = tf.function(_built(network_task, own_data=own_data, chunk=1).estimate)(x, y, step_seed())
    for a, b in zip(tf.nest.flatten(chunked), tf.nest.flatten(whole), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("chunk", [2, 4])
def test_xla_compiles_one_chunk_and_several(chunk):
    """What a GPU gets by default. It draws other random numbers."""
    estimator = _built(task(linear), own_data=False, chunk=chunk)
    gradients = tf.function(estimator.estimate, jit_compile=True)(*batch(estimator.task, BATCH), step_seed()).gradients
    assert all(np.any(part) and np.all(np.isfinite(part)) for part in gradients)


def test_chunks_bound_the_memory(monkeypatch):
    monkeypatch.setattr(parameter_evolution, "CHUNK_BYTES", 1)
    estimator = _built(task(linear))
    chunks = []
    monkeypatch.setattr(estimator, "_evaluated", _counting(estimator._evaluated, chunks))
    estimator.evaluate(*batch(estimator.task, BATCH), step_seed())
    assert set(chunks) == {1}


def _counting(function, chunks):
    def counted(x, y, directions):
        chunks.append(directions[0].pairs)
        return function(x, y, directions)

    return counted


def test_weight_decay_adds_the_weights():
    plain, decayed = (_built(task(linear), weight_decay=value) for value in (0.0, 0.1))
    x, y = batch(plain.task, BATCH)
    without, with_decay = (
        _as_vector(estimator.estimate(x, y, step_seed()).gradients) for estimator in (plain, decayed)
    )
    np.testing.assert_allclose(with_decay - without, 0.1 * _as_vector(plain.task.network.get_weights()), atol=1e-6)


def test_cost_counts_forward_passes_as_thirds_of_a_gradient():
    own, shared = ParameterEvolution(64, 0.1), ParameterEvolution(64, 0.1, own_data=False)
    assert own.cost(320) == pytest.approx(320 * 2 / 3)
    assert shared.cost(320) == pytest.approx(320 * 64 / 3)
    assert own.evaluations_per_step(320) == 640
    drawn = ParameterEvolution(64, 0.1, shaping="none", keep=0.25)
    assert drawn.cost(320) == pytest.approx((320 + 2 * 80) / 3)
    assert drawn.evaluations_per_step(320) == 160
    assert shared.evaluations_per_step(320) == 64 * 320


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((7, 0.1), {}, r"population must be even and ≥ 2 \(pairs\), got 7"),
        ((0, 0.1), {}, "population must be even and ≥ 2"),
        ((8, 0.0), {}, "sigma must be > 0 and finite, got 0.0"),
        ((8, -1.0), {}, "sigma must be > 0"),
        ((8, 0.1), {"rank": 0}, "rank must be ≥ 1, or None for full rank, got 0"),
        ((8, 0.1), {"weight_decay": -1.0}, "weight_decay must be ≥ 0"),
        ((8, 0.1), {"chunk": 3}, "chunk must be a divisor of the 4 pairs, or None, got 3"),
        ((8, 0.1), {"fitness": "acuracy"}, r"fitness must be one of .*got 'acuracy'; did you mean 'accuracy'\?"),
        ((8, 0.1), {"shaping": "rank"}, r"shaping must be one of .*did you mean 'ranks'\?"),
        ((8, 0.1), {"keep": 0.5}, "keep must be 1 unless own_data is True and shaping is 'none', got 0.5"),
        ((8, 0.1), {"keep": 0.0}, "keep must be > 0 and ≤ 1, got 0.0"),
        ((8, 0.1), {"directions": "sign"}, r"directions must be one of .*did you mean 'signs'\?"),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ParameterEvolution(*arguments, **options)


def test_a_rank_above_the_smallest_side_is_refused():
    with pytest.raises(ValueError, match="rank must be at most 3, the smallest side of any kernel, got 4"):
        _built(task(linear), rank=4)


def test_a_batch_that_the_pairs_do_not_divide_is_refused():
    estimator = _built(task(linear), population=10)
    with pytest.raises(ValueError, match=r"pairs must divide the batch of 8 examples, got population 10; the nearest "):
        estimator.estimate(*batch(estimator.task, BATCH), step_seed())


def test_accuracy_of_a_regression_is_refused():
    with pytest.raises(ValueError, match="fitness must be \"loss\" where the task's metric is 'mean_squared_error'"):
        _built(tasks.regression(linear()), fitness="accuracy")


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(2, 2, dilation_rate=2),
        keras.layers.Conv2D(2, 2, groups=2),
        keras.layers.Conv2D(2, 2, dtype="mixed_bfloat16"),
        keras.layers.Conv2D(2, 2, trainable=False),
        keras.layers.Conv2DTranspose(2, 2),
    ],
)
def test_unknown_layers_are_refused(layer):
    network = keras.Sequential([keras.Input((6, 6, 2)), layer, keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=f"weights are perturbed in Dense and Conv2D layers .*{type(layer).__name__}"):
        _built(tasks.classification(network))


def test_a_network_that_is_not_sequential_is_refused():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    with pytest.raises(ValueError, match=r"must be a keras\.Sequential, got Functional"):
        _built(tasks.classification(network))
