import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from common.estimators.decoupled import network_modules
from common.tasks import networks as models
from common.tasks import task as tasks


def _names(task, boundaries=None):
    return [[layer.name for layer in module.layers] for module in network_modules.split(task, boundaries)]


def _mlp(hidden=(5, 6)):
    return tasks.classification(models.build("mlp", (4,), 3, seed=0, hidden=hidden))


def test_every_block_is_a_module():
    assert _names(_mlp()) == [["flatten_1", "dense_1"], ["dense_2"], ["dense_3"]]


def test_maps_are_flattened_in_the_module_above():
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0))
    expected = [["seen_pixels_1", "conv_1"], ["conv_2"], ["flatten_1", "dropout_1", "dense_1"]]
    assert _names(task) == expected
    assert [module.output_shape for module in network_modules.split(task, None)] == [(4, 4, 32), (1, 1, 64), (4,)]


def test_batch_norm_stays_with_its_layer():
    body = [layers.Dense(5), layers.BatchNormalization(), layers.ReLU(), layers.Dense(3)]
    modules = network_modules.split(tasks.classification(keras.Sequential([keras.Input((4,)), *body])), None)
    assert [len(module.layers) for module in modules] == [3, 1]
    assert [len(module.weights) for module in modules] == [4, 2]


def test_boundaries_by_name_in_any_order():
    assert _names(_mlp((5, 6, 7)), ["dense_3", "dense_1"]) == [
        ["flatten_1", "dense_1"],
        ["dense_2", "dense_3"],
        ["dense_4"],
    ]


def test_modules_have_the_network_s_weights_in_its_order():
    task = _mlp()
    weights = [weight for module in network_modules.split(task, None) for weight in module.weights]
    assert [id(weight) for weight in weights] == [id(weight) for weight in task.weights]


def test_products():
    dense = network_modules.split(_mlp(), None)
    assert [module.products for module in dense] == [4 * 5, 5 * 6, 6 * 3]
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0))
    convolutions = [module.products for module in network_modules.split(task, None)]
    assert convolutions == [9 * 32 * 8 * 8, 9 * 32 * 64 * 2 * 2, 64 * 4]  # of what is seen


def test_backward_is_the_gradient_inside_the_module_and_no_further():
    module = network_modules.split(_mlp(), None)[1]
    entering, gradient = tf.ones([2, 5]), tf.random.stateless_normal([2, 6], [0, 0])
    with tf.GradientTape() as outside:
        outside.watch(entering)
        done = module.forward(entering)
        total = tf.reduce_sum(done.leaving * gradient)
    weights, below = done.backward(gradient, below=True)
    kernel, bias = (weight.numpy() for weight in module.weights)
    active = gradient.numpy() * (np.ones([2, 5]) @ kernel + bias > 0)
    np.testing.assert_allclose(weights[0], np.ones([5, 2]) @ active, rtol=1e-5)
    np.testing.assert_allclose(weights[1], active.sum(0), rtol=1e-5)
    np.testing.assert_allclose(below, active @ kernel.T, rtol=1e-5)
    assert outside.gradient(total, entering) is None


@pytest.mark.parametrize(
    ("boundaries", "words"),
    [
        (["dense_12"], "got 'dense_12'; did you mean 'dense_2'"),
        (["dense_3"], "boundaries must be names of layers before the last"),
        (["dense_1", "dense_1"], "boundaries must be each layer once"),
        ([], "boundaries must be at least one"),
        (["flatten_1"], "every module has trainable weights .that of 'flatten_1' has none"),
    ],
)
def test_impossible_boundaries_are_named(boundaries, words):
    with pytest.raises(ValueError, match=words):
        network_modules.split(_mlp(), boundaries)


def test_a_network_of_one_block_has_nothing_to_decouple():
    with pytest.raises(ValueError, match=r"boundaries must be at least one \(a network of one block has none\)"):
        network_modules.split(_mlp(()), None)


def test_a_network_that_is_not_sequential_is_refused():
    inputs = keras.Input((4,))
    task = tasks.classification(keras.Model(inputs, layers.Dense(3)(layers.Dense(2)(inputs))))
    with pytest.raises(ValueError, match=r"must be a keras\.Sequential to be cut into modules, got Functional"):
        network_modules.split(task, None)
