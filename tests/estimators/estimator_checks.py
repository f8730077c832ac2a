"""What the tests of several estimators share: a batch, and a check of those with state."""

import keras
import numpy as np
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.tasks import networks as models
from common.tasks import task as tasks


def random_batch(task, examples):
    """Return inputs between 0 and 1 and labels for a classifier, the same ones each time."""
    rng = np.random.default_rng(0)
    x = rng.random((examples, *task.network.input_shape[1:]), dtype=np.float32)
    return tf.constant(x), tf.constant(rng.integers(0, task.network.output_shape[-1], examples), tf.int32)


def assert_resumes_bit_identically(make, folder, wrap=lambda optimizer: optimizer):
    """Train two epochs at once, and one and then the other with everything made anew; compare all state."""
    whole = _train(make, wrap, None, [2])
    resumed = _train(make, wrap, folder, [1, 2])
    assert len(whole) == len(resumed) > 20
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def _train(make, wrap, folder, ends):
    rng = np.random.default_rng(0)
    split = Split(rng.random((40, 6), dtype=np.float32), rng.integers(0, 4, 40).astype(np.int32))
    dataset = Dataset("noise", "classification", split, Split(split.x[:0], split.y[:0]), split, 4, "abc", "made here")
    for epochs in ends:
        task = tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(5,)))
        estimator, optimizer = make(), wrap(keras.optimizers.Adam(0.01))
        options = {"epochs": epochs, "batch_size": 20, "seed": 0, "checkpoint_dir": folder}
        assert training.train(task, estimator, optimizer, dataset, **options).status == "finished"
    parts = [*tf.train.TrackableView(estimator).descendants(), *tf.train.TrackableView(optimizer).descendants()]
    state = [part for part in parts if isinstance(part, tf.Variable | keras.Variable)]
    return [tf.convert_to_tensor(part).numpy() for part in state]
