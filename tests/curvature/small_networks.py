"""A small network with every kind of layer, and its loss and matrices written anew in float64."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from common.tasks import task as tasks

CLASSES, EXAMPLES = 3, 6


def small_task(seed=0):
    """Convolution, pooling, leaky ReLU, softplus: 111 parameters on 8×8 images."""
    keras.utils.set_random_seed(seed)
    body = [layers.Conv2D(2, 3), layers.MaxPooling2D(2), layers.LeakyReLU(negative_slope=0.01), layers.Flatten()]
    body += [layers.Dense(4, activation="softplus"), layers.Dense(CLASSES)]
    task = tasks.classification(keras.Sequential([keras.Input((8, 8, 1)), *body]))
    for weight in task.weights:  # away from zero biases
        weight.assign_add(keras.random.normal(weight.shape, stddev=0.3, seed=seed))
    return task


def small_batch(examples=EXAMPLES, seed=0):
    """Images and labels as tensors."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, 8, 8, 1)).astype(np.float32)
    return tf.constant(x), tf.constant(rng.integers(0, CLASSES, examples).astype(np.int32))


def flat_weights(task):
    """All weights as one float64 vector."""
    return np.concatenate([np.ravel(weight.numpy()) for weight in task.weights]).astype(np.float64)


def outputs64(vector, x):
    """The network's logits in float64, from a vector of 111 weights."""
    kernel, bias, dense, dense_bias, last, last_bias = tf.split(vector, [18, 2, 72, 4, 12, 3])
    kernel = tf.reshape(kernel, [3, 3, 2])
    x = tf.cast(x[..., 0], tf.float64)
    shifted = [x[:, i : i + 6, j : j + 6, None] * kernel[i, j] for i in range(3) for j in range(3)]
    convolved = tf.reshape(tf.add_n(shifted) + bias, [-1, 3, 2, 3, 2, 2])
    pooled = tf.reduce_max(convolved, [2, 4])
    hidden = tf.where(pooled > 0, pooled, 0.01 * pooled)
    hidden = tf.reshape(hidden, [-1, 18]) @ tf.reshape(dense, [18, 4]) + dense_bias
    return tf.math.log(1 + tf.exp(hidden)) @ tf.reshape(last, [4, CLASSES]) + last_bias


@functools.cache
def _jacobian_of(function, examples):
    """Trace the Jacobian of a function of (weights, x, y)."""

    def jacobian(at, x, y):
        with tf.GradientTape() as tape:
            tape.watch(at)
            outputs = function(at, x, y)
        return tape.jacobian(outputs, at, experimental_use_pfor=False)

    shapes = tf.TensorSpec([examples, 8, 8, 1]), tf.TensorSpec([examples], tf.int32)
    return tf.function(jacobian, autograph=False).get_concrete_function(tf.TensorSpec([111], tf.float64), *shapes)


def _gradient64(vector, x, y):
    with tf.GradientTape() as tape:
        tape.watch(vector)
        logits = outputs64(vector, x)
        right = tf.gather(logits, tf.cast(y, tf.int64), axis=1, batch_dims=1)
        loss = tf.reduce_mean(tf.reduce_logsumexp(logits, 1) - right)
    return tape.gradient(loss, vector)


def _outputs_of(vector, x, _y):
    return outputs64(vector, x)


def hessian64(vector, x, y):
    """The explicit Hessian of the mean cross-entropy, (111, 111) float64."""
    return _jacobian_of(_gradient64, len(x))(tf.constant(vector), x, y).numpy()


def gauss_newton64(vector, x):
    """The explicit Gauss-Newton matrix of the mean cross-entropy, (111, 111) float64."""
    labels = tf.zeros([len(x)], tf.int32)
    jacobians = _jacobian_of(_outputs_of, len(x))(tf.constant(vector), x, labels).numpy()
    p = tf.nn.softmax(outputs64(tf.constant(vector), x)).numpy()
    return sum(j.T @ (np.diag(q) - np.outer(q, q)) @ j for j, q in zip(jacobians, p, strict=True)) / len(x)


def normalised_task(training_mode=True):
    """Batch norm and dropout, 8×8 images in."""
    body = [layers.Flatten(), layers.Dense(6, use_bias=False), layers.BatchNormalization(name="norm_1"), layers.ReLU()]
    body += [layers.Dropout(0.3, seed=0), layers.Dense(CLASSES)]
    keras.utils.set_random_seed(0)
    return tasks.classification(keras.Sequential([keras.Input((8, 8, 1)), *body]), training_mode=training_mode)
