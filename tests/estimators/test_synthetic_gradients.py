import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import assert_resumes_bit_identically

from common import training
from common.data import Dataset, Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.decoupled.gradient_predictors import FILTER, GradientPredictor, Prediction
from common.estimators.decoupled.last_module import LastModuleOnly
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.estimators.estimator import UNKNOWN_RUN, RunContext
from common.estimators.noise.noisy_gradient import ConstantNoise, NoisyGradient
from common.optimizers.lazy import Lazy
from common.optimizers.momentum import Momentum
from common.optimizers.schedules import LinearDecay
from common.tasks import networks as models
from common.tasks import task as tasks
from common.vectors import cosine

OPTIMIZERS = {
    "gradient descent": lambda: keras.optimizers.SGD(0.1),
    "our momentum": lambda: Momentum(0.05),
    "RMSprop": lambda: keras.optimizers.RMSprop(0.01),
    "Adam": lambda: keras.optimizers.Adam(0.01),
}
SEED = tf.constant([0, 0], tf.int64)


def _task(name="mlp", shape=(6,), hidden=(7, 8, 9), classes=4, **options):
    return tasks.classification(models.build(name, shape, classes, seed=0, hidden=hidden, **options))


def _convnet():
    return _task("mnist_convnet", (10, 10, 1), None)


def _batch(task, examples=12, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, *task.network.input_shape[1:])).astype(np.float32)
    return tf.constant(x), tf.constant(rng.integers(0, task.network.output_shape[-1], examples), tf.int32)


def _built(task, run=UNKNOWN_RUN, **options):
    estimator = SyntheticGradients(**options)
    estimator.build(task, run)
    return estimator


def _exact(task, x, y, seed=SEED):
    exact = Backpropagation()
    exact.build(task)
    return exact.estimate(x, y, seed)


def _assert_equal_gradients(gradients, expected):
    for a, b in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


class _Oracle(GradientPredictor):
    """Says the exact gradient: it runs the modules above for itself."""

    def __init__(self, task, above):
        tf.Module.__init__(self)
        self._task, self._above = task, above

    def predict(self, h, y):
        with tf.GradientTape() as tape:
            tape.watch(h)
            outputs = h
            for module in self._above:
                for layer in module.layers:
                    outputs = layer(outputs, training=True)
            loss = self._task.loss(y, outputs)
        return Prediction(h.shape[0] * tape.gradient(loss, h), tape)

    def learn(self, prediction, target):
        np.testing.assert_allclose(prediction.gradient, target, atol=1e-5)


def test_with_an_oracle_every_module_has_its_exact_gradient():
    task = _task()
    estimator = _built(task)
    estimator._predictors = [_Oracle(task, estimator._modules[number + 1 :]) for number in range(3)]
    x, y = _batch(task)
    estimate, expected = estimator.estimate(x, y, SEED), _exact(task, x, y)
    _assert_equal_gradients(estimate.gradients, expected.gradients)
    np.testing.assert_allclose(estimate.loss, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(estimate.outputs, expected.outputs, atol=1e-6)


@pytest.mark.parametrize("make", [_task, _convnet])
def test_all_true_gradient_is_backpropagation(make):
    task = make()
    estimator = _built(task, mixing=1.0)
    for step in range(2):
        x, y = _batch(task, seed=step)
        seed = tf.constant([0, step], tf.int64)  # the convnet's dropout mask is the same, too
        _assert_equal_gradients(estimator.estimate(x, y, seed).gradients, _exact(task, x, y, seed).gradients)


@pytest.mark.parametrize("cut", ["dense", "norm", "relu"])
def test_all_true_gradient_is_backpropagation_wherever_a_block_is_cut(cut):
    task = _task("normalised_mlp", hidden=(5, 6))
    x, y = _batch(task)
    estimator = _built(task, mixing=1.0, boundaries=[f"{cut}_1", f"{cut}_2"])
    _assert_equal_gradients(estimator.estimate(x, y, SEED).gradients, _exact(task, x, y).gradients)


@pytest.mark.parametrize("labels", [True, False])
def test_predictors_of_maps_under_a_bfloat16_network(labels):
    network = models.build("normalised_convnet_4", (28, 28, 1), 10, seed=0, precision="mixed_bfloat16")
    task, rng = tasks.classification(network), np.random.default_rng(0)
    x, y = tf.constant(rng.uniform(size=(4, 28, 28, 1)), tf.float32), tf.constant([0, 3, 9, 3])
    estimator = _built(task, labels=labels, hidden_layers=0)
    gradients = estimator.estimate(x, y, SEED).gradients
    assert {part.dtype for part in gradients} == {tf.float32}
    assert all(np.isfinite(part).all() for part in gradients)
    assert [tuple(part.shape[1:]) for part, _ in estimator.boundary_gradients(x, y, SEED)] == [
        (12, 12, 32),
        (4, 4, 64),
        (2, 2, 128),
    ]


def test_mixing_weighs_returns_as_td_lambda_does():
    """u_1 = (1-λ) ĝ_1 + λ J_2ᵀ u_2, u_2 = (1-λ) ĝ_2 + λ J_3ᵀ(∂L/∂h_3), with constants for ĝ."""
    task = _task(hidden=(5, 6))
    estimator = _built(task, mixing=0.3)
    for predictor, value in zip(estimator._predictors, (0.7, -0.4), strict=True):
        predictor.network.layers[-1].bias.assign(tf.fill([predictor.network.output_shape[-1]], value))
    x, y = _batch(task)
    gradients = estimator.estimate(x, y, SEED).gradients
    modules, h = estimator._modules, [x]
    with tf.GradientTape(persistent=True) as tape:
        for module in modules:
            h.append(module.layers[-1](module.layers[0](h[-1]) if len(module.layers) == 2 else h[-1]))
        loss = task.loss(y, h[3])
    true = [tape.gradient(loss, h[number]) for number in (1, 2)]
    u2 = 0.7 * tf.fill(h[2].shape, -0.4 / 12) + 0.3 * true[1]
    u1 = 0.7 * tf.fill(h[1].shape, 0.7 / 12) + 0.3 * tape.gradient(h[2], h[1], output_gradients=u2)
    expected = tape.gradient(h[1], modules[0].weights, output_gradients=u1)
    expected += tape.gradient(h[2], modules[1].weights, output_gradients=u2)
    _assert_equal_gradients(gradients[:4], expected)


@pytest.mark.parametrize("options", [{"hidden_layers": count} for count in (0, 1, 2)] + [{"labels": False}])
@pytest.mark.parametrize("make", [_task, _convnet])
def test_untrained_predictors_move_the_last_module_alone(make, options):
    task = make()
    x, y = _batch(task)
    gradients = _built(task, width=6, **options).estimate(x, y, SEED).gradients
    assert all(np.all(part == 0) for part in gradients[:-2])
    _assert_equal_gradients(gradients[-2:], _exact(task, x, y).gradients[-2:])


def test_training_a_predictor_leaves_this_step_s_gradients_unchanged():
    """With rate zero and with a rate that changes the predictors a lot, the same estimate."""
    gradients = []
    for rate in (0.0, 10.0):
        task = _task()
        estimator = _built(task, mixing=0.5, hidden_layers=1, width=5, optimizer=keras.optimizers.SGD(rate))
        x, y = _batch(task)
        gradients.append(estimator.estimate(x, y, SEED).gradients)
        moved = np.abs(estimator._predictors[0].network.layers[-1].bias.numpy()).max()
        assert (moved > 0) == (rate > 0)
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_predictor_learns_from_what_the_module_above_gives_below():
    """The first step of gradient descent, by hand: b ← 2 η mean_i t_i and W ← 2 η mean_i h_i t_iᵀ."""
    task = _task(hidden=(5,))
    estimator = _built(task, labels=False, hidden_layers=0, optimizer=keras.optimizers.SGD(0.1))
    x, y = _batch(task)
    estimator.estimate(x, y, SEED)
    h = tf.nn.relu(x @ task.weights[0] + task.weights[1])
    errors = tf.nn.softmax(h @ task.weights[2] + task.weights[3]) - tf.one_hot(y, 4)
    target = errors @ tf.transpose(tf.convert_to_tensor(task.weights[2]))
    kernel, bias = estimator._predictors[0].network.get_weights()
    np.testing.assert_allclose(bias, 0.2 * np.mean(target, 0), atol=1e-6)
    np.testing.assert_allclose(kernel, 0.2 * np.transpose(h) @ target.numpy() / 12, atol=1e-6)


def test_targets_below_the_topmost_are_made_of_synthetic_gradients():
    """By hand: with ĝ_2 = 0.5 everywhere, b_1 ← 2 η mean_i (∂h_2/∂h_1)ᵀ ĝ_2; with ĝ_2 = 0 predictor 1 stays at zero."""
    for constant in (0.0, 0.5):
        task = _task(hidden=(5, 6))
        estimator = _built(task, labels=False, hidden_layers=0, optimizer=keras.optimizers.SGD(0.1))
        first, second = (predictor.network.layers[-1].bias for predictor in estimator._predictors)
        second.assign(tf.fill([6], constant))
        x, y = _batch(task)
        estimator.estimate(x, y, SEED)
        h = tf.nn.relu(x @ task.weights[0] + task.weights[1])
        active = tf.cast(h @ task.weights[2] + task.weights[3] > 0, tf.float32)
        below = (constant * active) @ tf.transpose(tf.convert_to_tensor(task.weights[2]))
        np.testing.assert_allclose(first, 0.2 * np.mean(below, 0), atol=1e-6)
        assert np.abs(second.numpy() - constant).max() > 1e-3  # the topmost target is the exact one


@pytest.mark.parametrize(("labels", "expected"), [(True, 0), (False, 2)])
def test_hidden_layers_are_the_paper_s_unless_said_otherwise(labels, expected):
    layers = _built(_task(), labels=labels, width=6)._predictors[0].network.layers
    kinds = ["Dense", "BatchNormalization", "ReLU"] * expected + ["Dense"]
    assert [type(layer).__name__ for layer in layers] == kinds


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_its_gradients_and_rests_where_modules_do(name):
    task = _task(hidden=(5,))
    step = training.one_step(task, _built(task, update_probability=0.5), Lazy(OPTIMIZERS[name]()))
    step, (x, y) = tf.function(step), _batch(task, 32)
    losses = [float(step(x, y, tf.constant([0, number], tf.int64))) for number in range(40)]
    assert losses[-1] < losses[0]


def test_a_linear_predictor_of_a_linear_network_finds_the_analytic_gradient():
    """Targets linear in the activations: t = 2 (W h + b - A h) W, exactly what a linear predictor can say."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, use_bias=False), keras.layers.Dense(1)]
    task = tasks.regression(keras.Sequential([keras.Input((3,)), *layers]))
    estimator = _built(task, labels=False, hidden_layers=0, optimizer=keras.optimizers.Adam(0.03))
    estimate = tf.function(estimator.estimate)
    wanted = np.array([[0.5], [-1.0], [0.3]], np.float32)
    for step in range(600):
        x = tf.random.stateless_normal([64, 3], [step, 0])
        estimate(x, layers[0](x) @ wanted, SEED)
    kernel, bias = (weight.numpy() for weight in layers[1].weights)
    learned, offset = estimator._predictors[0].network.get_weights()
    np.testing.assert_allclose(learned, 2 * (kernel - wanted) @ kernel.T, atol=2e-3)
    np.testing.assert_allclose(offset, 2 * bias * kernel[:, 0], atol=2e-3)


@pytest.mark.parametrize(("step", "trains"), [(0, True), (1, False), (2, False), (3, True)])
def test_predictors_are_trained_every_k_th_step_only(step, trains):
    task = _task()
    estimator = _built(task, synth_step=3)
    tf.function(estimator.estimate)(*_batch(task), tf.constant([0, step], tf.int64))
    assert [int(predictor.optimizer.iterations) for predictor in estimator._predictors] == [int(trains)] * 3


def test_each_module_updates_with_its_probability_and_by_itself():
    task = _task(hidden=(5, 5))
    estimator = _built(task, update_probability=0.3, hidden_layers=1, width=4)
    for predictor in estimator._predictors:
        predictor.network.layers[-1].bias.assign(tf.ones([5]))
    estimate = tf.function(estimator.estimate)
    x, y = _batch(task)
    acted = []
    for step in range(200):
        gradients = estimate(x, y, tf.constant([0, step], tf.int64)).gradients
        acted.append([bool(np.any(gradients[2 * module])) for module in range(3)])
    frequencies = np.mean(acted, 0)
    np.testing.assert_allclose(frequencies, 0.3, atol=4 * np.sqrt(0.21 / 200))
    assert abs(np.corrcoef(np.transpose(acted))[0, 1]) < 0.3
    # A predictor is trained where the module above it has run, and nowhere else.
    trained = [int(predictor.optimizer.iterations) for predictor in estimator._predictors]
    assert trained == list(np.sum(acted, 0)[1:])


def test_a_resting_module_keeps_its_weights_under_adam():
    task = _task(hidden=(5, 5))
    estimator = _built(task, update_probability=0.5)
    step = tf.function(training.one_step(task, estimator, Lazy(keras.optimizers.Adam(0.01))))
    x, y = _batch(task)
    moved = []
    for number in range(20):
        before = [weight.numpy() for weight in task.weights]
        step(x, y, tf.constant([0, number], tf.int64))
        moved.append([not np.array_equal(a, b) for a, b in zip(before, task.weights, strict=True)])
    assert np.any(moved, 0).all()
    for kernel, bias in ((0, 1), (2, 3), (4, 5)):
        assert [changes[kernel] for changes in moved] == [changes[bias] for changes in moved]
        assert 2 < np.sum(moved, 0)[kernel] < 18


def test_predictors_see_the_label_or_do_not():
    task = _task()
    for labels in (True, False):
        estimator = _built(task, labels=labels, hidden_layers=0)
        predictor = estimator._predictors[0]
        kernel = predictor.network.layers[-1].kernel
        kernel.assign(tf.random.stateless_normal(kernel.shape, [0, 0]))
        h = tf.ones([2, 7])
        first, second = predictor.predict(h, tf.constant([0, 1])).gradient
        assert np.allclose(first, second) != labels
        assert kernel.shape[0] == 7 + 4 * labels


def test_predictors_that_see_the_label_alone_have_one_gradient_for_each_class():
    task = _task()
    estimator = _built(task, activations=False, hidden_layers=0, optimizer=keras.optimizers.SGD(0.5))
    x, y = _batch(task, examples=40)
    for step in range(60):
        estimator.estimate(x, y, tf.constant([0, step], tf.int64))
    predictor = estimator._predictors[-1]
    assert predictor.network.layers[-1].kernel.shape == (4, 9)
    gradient = predictor.predict(tf.random.stateless_normal([40, 9], [0, 0]), y).gradient.numpy()
    (module,) = estimator._modules[-1:]
    assert module.output_shape == (4,)
    for number in range(4):
        own = gradient[np.flatnonzero(y.numpy() == number)]
        np.testing.assert_array_equal(own, np.broadcast_to(own[:1], own.shape))
    # The best is the class' mean of the targets: those of the exact gradient at the topmost boundary.
    exact = estimator.boundary_gradients(x, y, SEED)[-1][0].numpy() * 40
    means = np.stack([exact[y.numpy() == number].mean(0) for number in y.numpy()])
    np.testing.assert_allclose(gradient, means, atol=1e-3)
    with pytest.raises(ValueError, match="activations must be True where predictors see no label, and behind feature"):
        _built(_convnet(), activations=False)


def test_rare_updates_of_backpropagation_are_its_gradient_or_zero():
    task = _task()
    estimator = _built(task, mixing=1.0, update_probability=0.5)
    x, y = _batch(task)
    expected, acted = _exact(task, x, y).gradients, []
    for step in range(12):
        gradients = estimator.estimate(x, y, tf.constant([0, step], tf.int64)).gradients
        acted.append([bool(np.any(part)) for part in gradients[::2]])
        _assert_equal_gradients(
            gradients, [g * float(np.any(part)) for g, part in zip(expected, gradients, strict=True)]
        )
    assert 0.2 < np.mean(acted) < 0.8


def test_predictors_of_maps_are_convolutions_and_a_map_for_each_class_and_feature():
    estimator = _built(_convnet(), hidden_layers=1, width=3)
    predictor = estimator._predictors[0]
    hidden, last = predictor.network.layers[0], predictor.network.layers[-1]
    assert hidden.kernel.shape == (FILTER, FILTER, 32, 3)
    assert last.kernel.shape == (FILTER, FILTER, 3, 32)
    rng = np.random.default_rng(0)
    h, maps = rng.normal(size=(2, 4, 4, 32)).astype(np.float32), rng.normal(size=(8, 4, 4, 32)).astype(np.float32)
    predictor.maps.layers[0].kernel.assign(maps.reshape([8, -1]))
    features = h.reshape(2, -1) @ predictor.summary.layers[-1].kernel.numpy()
    expected = np.tensordot(features, maps[:4], 1) + maps[4:][[1, 2]]
    np.testing.assert_allclose(predictor.predict(h, tf.constant([1, 2])).gradient, expected, rtol=1e-4, atol=1e-5)
    blind = _built(_convnet(), labels=False, hidden_layers=0)._predictors[0]
    assert blind.maps.layers[0].kernel.shape == (4, 4 * 4 * 32)
    assert blind.predict(h, tf.constant([1, 2])).gradient.shape == h.shape


def test_the_maps_of_classes_are_learned():
    estimator = _built(_convnet(), hidden_layers=0, optimizer=keras.optimizers.SGD(0.1))
    predictor, target = estimator._predictors[0], tf.ones([2, 4, 4, 32])
    predictor.learn(predictor.predict(tf.zeros([2, 4, 4, 32]), tf.constant([1, 1])), target)
    maps = predictor.maps.layers[0].kernel.numpy()
    np.testing.assert_allclose(maps[4 + 1], 0.2, rtol=1e-5)  # 2 × 0.1 × the error, which is the target
    assert not np.delete(maps, 4 + 1, axis=0).any()  # the features of a map of zeros are zero


def test_the_features_of_a_map_are_learned():
    """A target that depends on the mean of the whole map, which no convolution sees."""
    estimator = _built(_convnet(), labels=False, hidden_layers=0, optimizer=keras.optimizers.Adam(0.003))
    predictor, rng = estimator._predictors[0], np.random.default_rng(0)
    h = rng.normal(size=(256, 4, 4, 32)).astype(np.float32)
    target = tf.constant(np.broadcast_to(h.sum((1, 2, 3), keepdims=True), h.shape) / np.float32(h[0].size) ** 0.5)
    learn = tf.function(lambda: predictor.learn(predictor.predict(h, None), target))
    for _ in range(150):
        learn()
    error = tf.reduce_mean((predictor.predict(h, None).gradient - target) ** 2)
    assert error < 0.05 * tf.math.reduce_variance(target)


def test_a_resumed_run_is_bit_identical(tmp_path):
    """With a hidden layer and its batch norm, a schedule, and modules and predictors that rest."""
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 100))
    options = {"hidden_layers": 1, "width": 4, "synth_step": 2, "update_probability": 0.5, "optimizer": optimizer}
    assert_resumes_bit_identically(lambda: SyntheticGradients(**options), tmp_path, Lazy)


def test_a_resumed_run_with_predictors_of_maps_is_bit_identical(tmp_path):
    """Two epochs at once, and one after the other, of a network of feature maps."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 10, 10, 1)).astype(np.float32), rng.integers(0, 4, 24).astype(np.int32)
    split, weights = Split(x, y), []
    dataset = Dataset("made", "classification", split, split, split, 4, "", "made here")
    for epochs, folder in ((2, None), (1, tmp_path), (2, tmp_path)):
        task = _convnet()
        options = {"epochs": epochs, "batch_size": 8, "seed": 1, "checkpoint_dir": folder}
        training.train(task, SyntheticGradients(), keras.optimizers.Adam(0.01), dataset, **options)
        weights.append([weight.numpy() for weight in task.weights])
    for whole, resumed in zip(weights[0], weights[2], strict=True):
        np.testing.assert_array_equal(whole, resumed)


def test_bfloat16_networks_have_float32_gradients_near_backpropagation_s():
    task = _task("normalised_mlp", precision="mixed_bfloat16")
    x, y = _batch(task)
    gradients = _built(task, mixing=1.0).estimate(x, y, SEED).gradients
    assert {part.dtype for part in gradients} == {tf.float32}
    assert float(cosine(gradients, _exact(task, x, y).gradients)) > 0.99


def test_works_under_noise():
    task = _task()
    x, y = _batch(task)
    inner = SyntheticGradients(mixing=0.5)
    noisy = NoisyGradient(inner, ConstantNoise(1e-3))
    noisy.build(task)
    gradients = noisy.estimate(x, y, SEED).gradients
    clean = _built(task, mixing=0.5).estimate(x, y, SEED).gradients
    spread = np.std(np.concatenate([np.ravel(a - b) for a, b in zip(gradients, clean, strict=True)]))
    assert spread == pytest.approx(1e-3, rel=0.2)
    assert int(inner._predictors[0].optimizer.iterations) == 1


def test_batch_norm_in_the_network():
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dense(4)]
    task = tasks.classification(keras.Sequential([keras.Input((6,)), *layers]))
    x, y = _batch(task)
    gradients = _built(task, mixing=1.0).estimate(x, y, SEED).gradients
    assert float(layers[1].moving_mean[0]) != 0
    _assert_equal_gradients(gradients, _exact(task, x, y).gradients)


def test_boundary_gradients_compare_and_train_nothing():
    task = _task()
    estimator = _built(task)
    x, y = _batch(task)
    compared = estimator.boundary_gradients(x, y, SEED)
    assert [tuple(part.shape) for part, _ in compared] == [(12, 7), (12, 8), (12, 9)]
    with tf.GradientTape() as tape:
        h = tf.nn.relu(x @ task.weights[0] + task.weights[1])
        tape.watch(h)
        later = tf.nn.relu(h @ task.weights[2] + task.weights[3])
        later = tf.nn.relu(later @ task.weights[4] + task.weights[5])
        loss = task.loss(y, later @ task.weights[6] + task.weights[7])
    np.testing.assert_allclose(compared[0][0], tape.gradient(loss, h), atol=1e-7)
    assert all(np.all(synthetic == 0) for _, synthetic in compared)
    assert int(estimator._predictors[0].optimizer.iterations) == 0


def test_cost_counts_the_predictors_products():
    linear = _built(_task(hidden=(8, 8)), labels=False, hidden_layers=0)
    network = 2 * 6 * 8 + 3 * (8 * 8 + 8 * 4)  # nobody asks for the gradient at the input
    assert linear.cost(12) == pytest.approx(12 * (1 + 2 * 2 * 64 / network))
    deep = _built(_task(hidden=(8, 8)), hidden_layers=1, width=5)
    products = 2 * (8 + 4) * 5 + 3 * 5 * 8
    assert deep.cost(12) == pytest.approx(12 * (1 + 2 * products / network))
    maps = _built(_convnet(), hidden_layers=0)
    network = 2 * 9 * 32 * 64 + 3 * (9 * 32 * 64 * 4 + 64 * 4)
    convolutions, whole = 32 * 32 * 16 + 64 * 64, 4 * (4 * 4 * 32 + 64)
    assert maps.cost(1) == pytest.approx(1 + (2 * convolutions + 2 * whole + 3 * 2 * whole) / network)
    blind = _built(_convnet(), labels=False, hidden_layers=0)
    assert blind.cost(1) == pytest.approx(1 + (2 * convolutions + 2 * whole + 3 * whole) / network)


def test_no_backpropagation_is_the_last_module_s_gradient():
    task = _convnet()
    x, y = _batch(task)
    estimator = LastModuleOnly()
    estimator.build(task)
    gradients, expected = estimator.estimate(x, y, SEED).gradients, _exact(task, x, y).gradients
    assert all(np.all(part == 0) for part in gradients[:-2])
    _assert_equal_gradients(gradients[-2:], expected[-2:])
    network = 9 * 32 * 64 + 9 * 32 * 64 * 4 + 64 * 4
    assert estimator.cost(1) == pytest.approx((network + 64 * 4) / (3 * network - 9 * 32 * 64))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mixing": 1.5}, r"mixing must be in \[0, 1\], got 1.5"),
        ({"hidden_layers": 3}, "hidden_layers must be 0, 1 or 2, or None, got 3"),
        ({"width": 0}, "width must be ≥ 1, got 0"),
        ({"synth_step": 0}, "synth_step must be ≥ 1, got 0"),
        ({"update_probability": 0.0}, r"update_probability must be in \(0, 1\], got 0.0"),
        ({"update_probability": 0.5, "mixing": 0.1}, "mixing must be 0 or 1 where update_probability is below 1"),
        ({"labels": False, "activations": False}, "activations must be True where predictors see no label"),
    ],
)
def test_impossible_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        SyntheticGradients(**options)


def test_labels_where_there_are_none_are_refused():
    task = tasks.regression(models.build("mlp", (3,), 1, seed=0, hidden=(4,)))
    with pytest.raises(
        ValueError, match="labels=True needs a task with class labels, got one whose metric is 'mean_sq"
    ):
        _built(task)


@pytest.mark.parametrize("kind", [SyntheticGradients, LastModuleOnly])
def test_a_single_text_is_no_list_of_boundaries(kind):
    with pytest.raises(ValueError, match="boundaries must be a list of names of layers, got 'dense_1'"):
        kind(boundaries="dense_1")


def test_predictors_start_apart_from_the_network_and_from_one_another():
    task = _task(hidden=(6, 6))
    first, second = _built(task, hidden_layers=1, width=6, labels=False)._predictors
    kernels = [task.weights[2], *(predictor.network.layers[0].kernel for predictor in (first, second))]
    for a, b in itertools.combinations(kernels, 2):
        assert np.abs(a.numpy() - b.numpy()).max() > 0.1


def test_a_predictor_s_schedule_has_the_length_of_its_own_updates():
    """Forty steps, of which each module makes half and each predictor every fourth of these: five."""
    run = RunContext(steps=40, steps_per_epoch=10)
    optimizer = Momentum(LinearDecay(0.1))
    estimator = _built(_task(), run, update_probability=0.5, synth_step=4, optimizer=optimizer)
    own = [predictor.optimizer for predictor in estimator._predictors]
    assert len({id(each) for each in (*own, optimizer)}) == 4
    assert float(own[0]._learning_rate(tf.constant(1))) == pytest.approx(0.1 * 4 / 5)
    with pytest.raises(ValueError, match="relative to the length of a run"):
        optimizer._learning_rate(tf.constant(1))


def test_a_boundary_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="got 'densee_1'; did you mean 'dense_1'"):
        _built(_task(), boundaries=["densee_1"])
