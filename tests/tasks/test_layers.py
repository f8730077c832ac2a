"""The faster layers are the standard ones: outputs, ties, derivatives of both orders and modes, weights of a run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Split
from common.estimators import Backpropagation, ParameterEvolution
from common.tasks import layers, networks
from common.tasks import task as tasks

# Every way of convolving: (channels, kernel, height, width); odd sizes are pooled with a row or column left over.
CASES = {
    "one channel": (1, 3, 12, 12),
    "one channel, odd": (1, (3, 2), 9, 11),
    "one channel, even kernel": (1, 4, 10, 9),
    "few channels": (3, 5, 12, 10),
    "few channels, odd": (6, (3, 5), 9, 11),
    "few channels, even kernel": (2, 2, 9, 8),
    "many channels": (8, 3, 8, 8),
    "many channels, odd": (9, 3, 9, 7),
}
CONVNETS = ("mnist_convnet", "lenet5", "leaky_convnet")


def _compiled(jit_compile):
    return lambda function: tf.function(function, autograph=False, jit_compile=jit_compile)


EXECUTIONS = {"eager": lambda function: function, "graph": _compiled(False), "XLA": _compiled(True)}


def _images(shape, seed=0):
    """Normal numbers, rounded so that many windows hold equal ones."""
    return tf.constant(np.round(2 * np.random.default_rng(seed).normal(size=shape)) / 2, tf.float32)


def _normal(shape, seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def _pair(case, precision="float32"):
    """The standard layers and ours, with the same weights, and images for them."""
    channels, kernel, height, width = CASES[case]
    options = {"activation": "relu", "bias_initializer": keras.initializers.RandomNormal(seed=1), "dtype": precision}
    conv = keras.layers.Conv2D(5, kernel, kernel_initializer=keras.initializers.GlorotUniform(seed=0), **options)
    own = layers.PooledConv2D(5, kernel, kernel_initializer=keras.initializers.GlorotUniform(seed=0), **options)
    shape = keras.Input((height, width, channels))
    standard = keras.Sequential([shape, conv, keras.layers.MaxPooling2D(2, dtype=precision)])
    return standard, keras.Sequential([shape, own]), _images((4, height, width, channels))


def _gradients(network, x):
    """Outputs, and gradients at weights and input of a sum that is not symmetric."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = network(x)
    sources = [*(weight.value for weight in network.trainable_variables), x]
    along = tf.cast(_normal(outputs.shape[1:]), outputs.dtype) * tf.ones_like(outputs)
    return [outputs, *tape.gradient(outputs, sources, output_gradients=along)]


def _assert_close(actual, expected, tolerance=1e-6):
    for value, other in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        scale = max(1.0, float(tf.reduce_max(tf.abs(tf.cast(other, tf.float32)))))
        np.testing.assert_allclose(
            tf.cast(value, tf.float32), tf.cast(other, tf.float32), atol=tolerance * scale, rtol=0
        )


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(3, 4, 6, 5), (3, 5, 7, 2), (2, 9, 8, 1), (1, 2, 2, 3), (2, 2, 3, 1)])
def test_pooling_is_tensorflow_s_to_the_last_bit(shape, dtype, execution):
    images = tf.cast(_images(shape), dtype)

    def of(pool):
        def gradient():
            with tf.GradientTape() as tape:
                tape.watch(images)
                pooled = pool(images)
            along = tf.cast(_normal([shape[0], shape[1] // 2, shape[2] // 2, shape[3]]), dtype)
            return pooled, tape.gradient(pooled, images, output_gradients=along)

        return EXECUTIONS[execution](gradient)()

    for actual, expected in zip(of(layers.max_pool), of(lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID")), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_of_equals_the_first_in_the_window_gets_the_gradient():
    images = tf.reshape(tf.constant([[0.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]), [1, 2, 4, 1])
    with tf.GradientTape() as tape:
        tape.watch(images)
        pooled = layers.max_pool(images)
    gradient = tape.gradient(pooled, images)
    np.testing.assert_array_equal(gradient[0, ..., 0], [[0, 1, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("case", CASES)
def test_a_pooled_convolution_is_the_standard_layers(case, execution):
    standard, own, x = _pair(case)
    assert own.output_shape == standard.output_shape
    _assert_close(EXECUTIONS[execution](lambda: _gradients(own, x))(), _gradients(standard, x))


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("case", CASES)
def test_ties_are_broken_as_by_the_standard_layers(case, execution):
    """Of small whole numbers every sum is exact in any order, and most windows hold equals with different patches."""
    standard, own, x = _pair(case)
    for network in (standard, own):
        network.set_weights([np.sign(np.round(_normal(weight.shape))) for weight in network.weights])
    x = tf.round(x)
    for actual, expected in zip(EXECUTIONS[execution](lambda: _whole(own, x))(), _whole(standard, x), strict=True):
        np.testing.assert_array_equal(actual, expected)


def _whole(network, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = network(x)
    sources = [*(weight.value for weight in network.trainable_variables), x]
    return [outputs, *tape.gradient(outputs, sources, output_gradients=tf.round(3 * _normal(outputs.shape)))]


@pytest.mark.parametrize("case", CASES)
def test_in_bfloat16_outputs_and_gradients_are_as_near_as_its_digits(case):
    standard, own, x = _pair(case, "mixed_bfloat16")
    assert own(x).dtype == tf.bfloat16
    exact = _gradients(_pair(case)[0], x)
    _assert_close(_gradients(own, x)[0], exact[0], 0.02)
    assert [part.dtype for part in _gradients(own, x)] == [part.dtype for part in _gradients(standard, x)]


def _losses(network, x):
    return tf.reduce_sum(tf.square(network(x)) * tf.sin(network(x)))


def _derivatives(network, x, mode):
    """Directional derivatives of a curved loss at weights and images, along fixed directions."""
    at = [*(weight.value for weight in network.trainable_variables), x]
    along = [_normal(part.shape, seed) for seed, part in enumerate(at)]
    accumulator = tf.autodiff.ForwardAccumulator(at, along)
    if mode == "forward":
        with accumulator:
            loss = _losses(network, x)
        return accumulator.jvp(loss)
    if mode == "forward over reverse":
        with accumulator:
            gradients = _gradient(network, x, at)
        return accumulator.jvp(gradients)
    with tf.GradientTape() as tape:
        tape.watch(at)
        if mode == "reverse over reverse":
            return tape.gradient(_gradient(network, x, at), at, output_gradients=along)
        with accumulator:
            loss = _losses(network, x)
        slope = accumulator.jvp(loss)
    return tape.gradient(slope, at)


def _gradient(network, x, at):
    with tf.GradientTape() as tape:
        tape.watch(at)
        loss = _losses(network, x)
    return tape.gradient(loss, at)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("mode", ["forward", "forward over reverse", "reverse over forward", "reverse over reverse"])
@pytest.mark.parametrize("case", ["one channel, odd", "few channels, odd", "many channels, odd"])
def test_derivatives_of_both_orders_and_modes(case, mode, execution):
    standard, own, x = _pair(case)
    expected = _compiled(False)(lambda: _derivatives(standard, x, mode))()
    _assert_close(
        EXECUTIONS[execution](lambda: _derivatives(own, x, mode))(), expected, 1e-5
    )  # products of many roundings


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_each_example_in_one_batch(case):
    standard, own, x = _pair(case)

    def each(network, mapped):
        return mapped(lambda example: tuple(_gradients(network, example[None])), x)

    expected = each(standard, lambda function, x: tf.map_fn(function, x, fn_output_signature=(tf.float32,) * 4))
    _assert_close(each(own, tf.vectorized_map), expected)


@pytest.mark.parametrize("case", CASES)
def test_in_a_loop_and_for_batches_of_any_size(case):
    standard, own, x = _pair(case)
    channels, _, height, width = CASES[case]

    @tf.function(input_signature=[tf.TensorSpec([None, height, width, channels])], autograph=False)
    def repeated(x):
        totals = [tf.zeros(weight.shape) for weight in own.trainable_variables]

        def add(i, *sums):
            return i + 1, *(a + b for a, b in zip(sums, _gradients(own, x)[1:-1], strict=True))

        return tf.while_loop(lambda i, *_: i < 3, add, (0, *totals))[1:]

    for size in (4, 1):
        expected = [3 * part for part in _gradients(standard, x[:size])[1:-1]]
        _assert_close(repeated(x[:size]), expected)


def test_without_bias_and_without_activation():
    kernel = {"kernel_initializer": keras.initializers.GlorotUniform(seed=0), "use_bias": False}
    conv, own = keras.layers.Conv2D(4, 3, **kernel), layers.PooledConv2D(4, 3, **kernel)
    x = _images((2, 8, 8, 1))
    _assert_close(own(x), tf.nn.max_pool2d(conv(x), 2, 2, "VALID"))
    assert float(tf.reduce_min(own(x))) < 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "tanh"}, "activation must be None or 'relu', got 'tanh'"),
        ({"padding": "same"}, "without padding, strides, dilation and groups, channels last, got {'padding': 'same'}"),
        ({"strides": 2}, "without padding, strides"),
        ({"dilation_rate": 2}, "without padding, strides"),
        ({"groups": 2}, "without padding, strides"),
        ({"data_format": "channels_first"}, "channels last"),
    ],
)
def test_what_would_not_commute_or_is_not_known_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        layers.PooledConv2D(4, 3, **options)


@pytest.mark.parametrize(("size", "seen"), [(28, 26), (12, 10), (10, 10), (11, 10), (30, 30), (32, 30)])
def test_pixels_that_no_window_sees_are_left_out(size, seen):
    layer = layers.SeenPixels((3, 3))
    assert layer(tf.zeros([1, size, size + 4, 1])).shape[1] == seen
    assert layer.compute_output_shape((None, size, size + 4, 1)) == (None, seen, seen + 4, 1)


@pytest.mark.parametrize("name", CONVNETS)
def test_a_network_starts_with_the_standard_layers_weights(name):
    standard, own = (
        networks.build(name, (28, 28, 1), 10, seed=3, standard_layers=standard_layers)
        for standard_layers in (True, False)
    )
    for weight, other in zip(own.weights, standard.weights, strict=True):
        assert weight.path == other.path
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize("name", CONVNETS)
def test_a_saved_network_is_loaded_with_its_layers(name, tmp_path):
    network = networks.build(name, (28, 28, 1), 10, seed=0)
    networks.save(network, tmp_path / "network.keras")
    loaded = networks.load(tmp_path / "network.keras")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in network.layers]
    assert loaded.layers[0].get_config() == network.layers[0].get_config()
    x = _images((3, 28, 28, 1))
    np.testing.assert_array_equal(loaded(x), network(x))


def _digits(examples):
    """Images with flat parts, as those that networks are trained on have."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(examples, 7, 7)), 0).repeat(4, 1).repeat(4, 2)[..., None]
    return Split(x.astype(np.float32), rng.integers(0, 10, examples).astype(np.int32))


def _trained(network, data):
    task = tasks.classification(network)
    training.one_epoch(task, Backpropagation(), keras.optimizers.SGD(0.01), data, batch_size=16, seed=0)()
    return [weight.numpy() for weight in task.weights]


@pytest.mark.parametrize("name", CONVNETS)
def test_an_epoch_s_weights_and_the_evaluation_differ_by_rounding(name):
    data = _digits(100)
    standard, own = (
        networks.build(name, (28, 28, 1), 10, seed=0, standard_layers=standard_layers)
        for standard_layers in (True, False)
    )
    _assert_close(_trained(own, data), _trained(standard, data))
    actual, expected = (training.evaluate(tasks.classification(network), data) for network in (own, standard))
    assert actual == pytest.approx(expected, rel=1e-6)


def test_an_epoch_with_pooling_of_our_own_has_the_same_weights_to_the_last_bit():
    def network(pool):
        kernels = [keras.initializers.GlorotUniform(seed=seed) for seed in range(3)]
        body = [keras.layers.Conv2D(8, 3, activation="relu", kernel_initializer=kernels[0]), pool()]
        body += [keras.layers.Conv2D(8, 3, activation="relu", kernel_initializer=kernels[1]), pool()]
        body += [keras.layers.Flatten(), keras.layers.Dense(10, kernel_initializer=kernels[2])]
        return keras.Sequential([keras.Input((28, 28, 1)), *body])

    actual, expected = (_trained(network(pool), _digits(100)) for pool in (layers.MaxPool2D, keras.layers.MaxPooling2D))
    for value, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("name", CONVNETS)
def test_a_population_is_perturbed_as_with_the_standard_layers(name):
    data = _digits(8)

    def gradients(standard):
        task = tasks.classification(networks.build(name, (28, 28, 1), 10, seed=0, standard_layers=standard))
        estimator = ParameterEvolution(4, 0.02, own_data=False)
        estimator.build(task)
        return estimator.estimate(tf.constant(data.x), tf.constant(data.y), tf.constant([0, 1], tf.int64)).gradients

    _assert_close(gradients(False), gradients(True), 1e-5)  # differences of losses, over 2σ
