"""Small sequential networks, and what a member of a population is, rebuilt by hand: W ± σ E_k."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from common.tasks import task as tasks


def linear(inputs=5, outputs=3, use_bias=True):
    return keras.Sequential([keras.Input((inputs,)), layers.Dense(outputs, use_bias=use_bias)])


def _convnet(padding, strides, *more):
    return keras.Sequential(
        [
            keras.Input((9, 8, 2)),
            layers.Rescaling(0.5),
            layers.Conv2D(4, (3, 2), strides=strides, padding=padding, activation="relu"),
            *more,
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


NETWORKS = {
    "dense": lambda: keras.Sequential(
        [keras.Input((3, 4)), layers.Flatten(), layers.Dense(6, "tanh"), layers.Dropout(0.5), layers.Dense(3)]
    ),
    "without bias": lambda: linear(use_bias=False),
    "strided": lambda: _convnet("valid", (2, 3)),
    "padded": lambda: _convnet("same", (2, 3)),
    "padded, dense steps": lambda: _convnet("same", 1, layers.MaxPooling2D(2), layers.LeakyReLU(0.1)),
    "two convolutions": lambda: _convnet(
        "valid", 1, layers.ZeroPadding2D(1), layers.Conv2D(5, 3, strides=2, padding="same"), layers.AveragePooling2D(2)
    ),
}


def task(make, **options):
    """A classification whose biases are not zero, so that a bias left out would be noticed."""
    network = make()
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.5, weight.shape) for weight in network.get_weights()])
    return tasks.classification(network, **options)


def batch(network_task, examples, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, *network_task.network.input_shape[1:])).astype(np.float32)
    return tf.constant(x), tf.constant(rng.integers(0, network_task.network.output_shape[-1], examples), tf.int32)


def step_seed(run=0, step=0):
    return tf.constant([run, step], tf.int64)


def perturbations(estimator, seed):
    """Every ε_k in full, one array (pairs, *shape) for each weight: update_from is linear in unshaped fitnesses."""
    columns = []
    for k in range(estimator.pairs):
        fitnesses = np.zeros((2, estimator.pairs), np.float32)
        fitnesses[1, k] = 2 * estimator.sigma * estimator.pairs
        columns.append([part.numpy() for part in estimator.update_from(seed, tf.constant(fitnesses))])
    return [np.stack(parts) for parts in zip(*columns, strict=True)]


def member_outputs(estimator, noise, k, sign, x):
    """Run the network itself with the weights of one member, and put its own weights back."""
    network = estimator.task.network
    before = network.get_weights()
    network.set_weights([w + sign * estimator.sigma * e[k] for w, e in zip(before, noise, strict=True)])
    try:
        return network(x, training=False).numpy()
    finally:
        network.set_weights(before)
