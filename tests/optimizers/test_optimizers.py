"""What every optimizer must keep, whatever its formula: run over the table in optimizer_cases.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_cases import OPTIMIZERS

from common import training
from common.data import Dataset, Split
from common.estimators.backpropagation import Backpropagation
from common.tasks import networks as models
from common.tasks import task as tasks


def _split(examples, seed):
    x = np.random.default_rng(seed).normal(size=(examples, 3)).astype(np.float32)
    return Split(x, (x[:, :1] * x[:, 1:2]).astype(np.float32))


DATASET = Dataset("products", "regression", _split(40, 0), _split(8, 1), _split(8, 2), None, "abc", "made here")


def _train(optimizer, epochs, folder=None):
    task = tasks.regression(models.build("mlp", (3,), 1, seed=0, hidden=(5,)))
    options = {"epochs": epochs, "batch_size": 16, "seed": 3, "checkpoint_dir": folder, "record_every": 10}
    history = training.train(task, Backpropagation(), optimizer, DATASET, **options)
    return [weight.numpy() for weight in task.weights], history


@pytest.fixture(params=OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def case(request):
    return request.param


@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.05}], ids=["free", "clipped"])
@pytest.mark.parametrize("name", [name for name, case in OPTIMIZERS.items() if case.keras])
def test_equals_keras_own_after_100_steps(name, options):
    case = OPTIMIZERS[name]
    ours, _ = _train(case.make(0.003, **options), 34)  # 102 steps
    theirs, _ = _train(case.keras(0.003, **options), 34)
    start = models.build("mlp", (3,), 1, seed=0, hidden=(5,)).trainable_variables
    for a, b, before in zip(ours, theirs, start, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert np.abs(a - before.numpy()).max() > 1e-3  # they went somewhere


def _minimize(optimizer, loss, variable, steps):
    optimizer.build([variable])

    @tf.function(jit_compile=False, autograph=False)
    def run():
        def step(i):
            with tf.GradientTape() as tape:
                value = loss(tf.convert_to_tensor(variable))
            optimizer.apply(tape.gradient(value, [variable.value]), [variable])
            return (i + 1,)

        tf.while_loop(lambda i: i < steps, step, (tf.constant(0),), parallel_iterations=1)

    run()
    return variable.numpy()


def _decaying(rate, steps):
    """A rate that ends at zero: sign-like steps (Adam's, Muon's) would circle the minimum at a fixed one."""
    return keras.optimizers.schedules.CosineDecay(rate, steps)


def test_reaches_the_minimum_of_a_parabola(case):
    target = np.array([[1.0, -2.0], [0.5, 3.0], [0.0, -1.0]])
    curvature = np.array([[1.0, 10.0], [2.0, 5.0], [1.0, 1.0]])
    variable = keras.Variable(np.zeros((3, 2)), dtype="float32")
    minimum = _minimize(
        case.make(_decaying(case.parabola, 2_000)),
        lambda w: 0.5 * tf.reduce_sum(curvature * tf.square(w - target)),
        variable,
        2_000,
    )
    np.testing.assert_allclose(minimum, target, atol=0.01)


def test_reaches_the_minimum_of_rosenbrocks_valley(case):
    variable = keras.Variable([[-1.2], [1.0]], dtype="float32")
    minimum = _minimize(
        case.make(_decaying(case.rosenbrock, 20_000)),
        lambda w: (1 - w[0, 0]) ** 2 + 100 * (w[1, 0] - w[0, 0] ** 2) ** 2,
        variable,
        20_000,
    )
    np.testing.assert_allclose(minimum, [[1.0], [1.0]], atol=0.02)


def test_saved_and_loaded_mid_run_it_goes_on_bit_identically(case, tmp_path):
    whole, history = _train(case.make(0.01), 20)
    _train(case.make(0.01), 10, tmp_path)
    resumed, again = _train(case.make(0.01), 20, tmp_path)
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [record["train_loss"] for record in again.epochs] == [record["train_loss"] for record in history.epochs]


def test_a_keras_model_saves_it_and_fits_on(case, tmp_path):
    model = models.build("mlp", (3,), 1, seed=0, hidden=(5,))
    model.compile(optimizer=case.make(0.01), loss="mse", jit_compile=False)
    data = {"x": DATASET.train.x, "y": DATASET.train.y, "shuffle": False, "verbose": 0}
    model.fit(**data)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    for trained in (model, loaded):
        trained.fit(**data)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rate", [0.25, keras.optimizers.schedules.CosineDecay(0.1, 100)], ids=["number", "schedule"])
def test_config_makes_the_same_optimizer(case, rate):
    optimizer = case.make(rate, clipnorm=2.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


def test_a_sparse_gradient_counts_as_the_dense_one(case):
    rows = tf.constant([[1.0, 2.0], [3.0, 4.0], [0.5, 0.5]])
    sparse = tf.IndexedSlices(rows, tf.constant([2, 0, 2]), tf.constant([4, 2]))  # row 2 twice
    variables = [keras.Variable(np.ones((4, 2)), dtype="float32") for _ in range(2)]
    for variable, gradient in zip(variables, (sparse, tf.convert_to_tensor(sparse)), strict=True):
        optimizer = case.make(0.1)
        for _ in range(2):
            optimizer.apply([gradient], [variable])
    np.testing.assert_array_equal(variables[0].numpy(), variables[1].numpy())


def test_fits_a_model_with_an_embedding(case):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Embedding(6, 4), keras.layers.Flatten()])
    model.add(keras.layers.Dense(1))
    model.compile(optimizer=case.make(0.01), loss="mse", jit_compile=False)
    x = np.random.default_rng(0).integers(0, 6, (32, 2))
    losses = model.fit(x, x.sum(1, keepdims=True) / 5, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_a_whole_number_and_a_schedule_are_learning_rates(case):
    assert case.make(1).get_config()["learning_rate"] == 1.0
    assert case.make(np.float32(0.5)).get_config()["learning_rate"] == 0.5
    optimizer = case.make(keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5))
    variable = keras.Variable([1.0])
    for _ in range(2):
        optimizer.apply([tf.constant([1.0])], [variable])
    assert float(optimizer.learning_rate) == pytest.approx(0.025)


@pytest.mark.parametrize("wrong", [-0.1, "0.1", "fast", float("nan"), float("inf"), True, None])
def test_any_other_learning_rate_is_refused(case, wrong):
    with pytest.raises(ValueError, match=r"^learning_rate must be a number ≥ 0 or a keras.*Schedule, got ") as error:
        case.make(wrong)
    assert repr(wrong) in str(error.value)


def test_an_unknown_argument_is_named_with_the_nearest(case):
    with pytest.raises(ValueError, match=r"has no argument 'clip_norm'; did you mean 'clipnorm'\?"):
        case.make(0.1, clip_norm=2.0)
    with pytest.raises(ValueError, match="clipnorm must be a number above 0, got -1"):
        case.make(0.1, clipnorm=-1)


@pytest.mark.parametrize(
    ("name", "argument", "wrong", "words"),
    [
        ("momentum", "momentum", 1.0, "momentum must be a number ≥ 0 and below 1, got 1.0"),
        ("rmsprop", "rho", -0.1, "rho must be"),
        ("rmsprop", "epsilon", 0, "epsilon must be a number above 0, got 0"),
        ("adam", "beta_1", "0.9", "beta_1 must be a number ≥ 0 and below 1, got '0.9'"),
        ("adam", "beta_2", 2, "beta_2 must be"),
        ("adamw", "weight_decay", -1, "weight_decay must be a number ≥ 0, got -1"),
        ("muon", "momentum", None, "momentum must be"),
    ],
)
def test_a_wrong_constant_is_refused(name, argument, wrong, words):
    from optimizer_cases import Adam, AdamW, Momentum, Muon, RMSprop

    optimizers = {"momentum": Momentum, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW, "muon": Muon}
    with pytest.raises(ValueError, match=words):
        optimizers[name](0.1, **{argument: wrong})


def test_the_step_sizes_of_adam_are_what_its_mean_is_multiplied_by():
    adam = OPTIMIZERS["adam"].make(0.1)
    variable = keras.Variable([3.0, 3.0])
    adam.apply([tf.constant([4.0, 0.5])], [variable])
    before = variable.numpy().copy()
    adam.apply([tf.constant([1.0, 0.5])], [variable])
    (sizes,) = adam.effective_step_sizes()
    np.testing.assert_allclose(before - variable.numpy(), sizes.numpy() * adam._m[0].numpy(), rtol=1e-4)
