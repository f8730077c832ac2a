"""The loss of `common.tasks.saddle` as a task with two weights, trained by the project's own loop and estimators."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from common.data.load import Dataset, Split
from common.tasks.saddle import Saddle
from common.tasks.task import Task


def task_at(saddle: Saddle, start: Sequence[float]) -> Task:
    """Return a network of two weights that stands at `start`, (u, v), and whose mean loss over `examples` is L.

    The network is linear without a bias. Of the two examples, one shows u alone and one v alone; the label says which:

        loss(0, z) = z²        loss(1, z) = (μ/2) (1 - z²)²
    """
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    network.set_weights([np.array(start, np.float32)[:, None]])

    def loss(y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        z = outputs[:, 0]
        return tf.where(tf.cast(y, tf.int32) == 0, z**2, saddle.mu / 2 * (1 - z**2) ** 2)

    return Task(network, loss, loss, metric_name="mean_squared_error")


def examples() -> Dataset:
    """Return the two examples as all three splits: there is nothing to generalise to."""
    split = Split(np.eye(2, dtype=np.float32), np.arange(2, dtype=np.int32))
    return Dataset("saddle", "classification", split, split, split, 2, "", "made here")


def place(task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
    """Return `u` and `v`, where the weights stand; a diagnostic for `train`."""
    u, v = task.weights[0].numpy()[:, 0]
    return {"u": float(u), "v": float(v)}
