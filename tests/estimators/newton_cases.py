"""Small networks and a quadratic of known, indefinite curvature, for the tests of Newton's methods."""

import keras
import numpy as np
import tensorflow as tf

from common.data import Dataset, Split
from common.tasks import networks as models
from common.tasks import task as tasks

CURVATURES = np.array([3.0, -2.0], np.float32)
PARAMETERS = 53


def data(examples, seed=0):
    """Six features and three classes, as arrays."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(examples, 6)).astype(np.float32), rng.integers(0, 3, examples).astype(np.int32)


def batch(examples=24):
    """The same as tensors."""
    return [tf.constant(part) for part in data(examples)]


def small_task():
    """6-5-3 with ReLU."""
    return tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))


def split_dataset():
    """48 training examples, and a few to evaluate on."""
    return Dataset("noise", "classification", *[Split(*data(count, count)) for count in (48, 8, 9)], 3, "", "here")


def saddle_task(at=(1.0, 0.1)):
    """Half of 3 u² - 2 v², in two weights (u, v) that stand at `at`; use with `saddle_batch`."""
    dense = keras.layers.Dense(1, use_bias=False)
    network = keras.Sequential([keras.Input((2,)), dense])
    network.set_weights([np.array(at, np.float32)[:, None]])

    def loss(y, outputs):
        return tf.cast(y, tf.float32) * tf.square(outputs[:, 0]) / 2.0

    return tasks.Task(network, loss, loss, metric_name="mean_squared_error")


def saddle_batch():
    """Two examples: one shows u, one v; the mean of their losses is the quadratic."""
    return tf.constant(np.sqrt(2) * np.eye(2, dtype=np.float32)), tf.constant(CURVATURES)


def seed(run=0, step=0):
    """(2,) int64."""
    return tf.constant([run, step], tf.int64)


def as_vector(gradients):
    """A list of tensors as one float64 vector."""
    return np.concatenate([np.ravel(part) for part in gradients]).astype(np.float64)
