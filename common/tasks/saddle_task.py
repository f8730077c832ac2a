"""The loss of `common.tasks.saddle` as a task with two weights, trained by the project's own loop and estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.checks import require
from common.data.load import Dataset, Split
from common.settings import Configured
from common.tasks.saddle import Saddle
from common.tasks.task import Task


class SaddleSurface(Configured):
    """Two weights on the surface of `Saddle`, in place of a network; the data are `examples()`.

    Args:
        mu: μ > 0, the size of the saddle's negative curvature.
        start: (u, v), the initial weights for every seed.

    Raises:
        ValueError: μ is not positive, or `start` is not two numbers.
    """

    def __init__(self, mu: float, start: Sequence[float] = (1.0, 0.01)):
        require(mu > 0, "mu", "> 0", mu)
        require(len(start) == 2, "start", "two numbers, u and v", start)
        self.mu, self.start = mu, start

    def task(self, dataset: Dataset, seed: int) -> Task:  # noqa: ARG002 - what a run calls, with any network
        """Return the task of `task_at`, which depends neither on the data nor on the seed."""
        return task_at(Saddle(self.mu), self.start)


class Position(Configured):
    """A diagnostic for `train`: the two weights as `u` and `v`; also called before the first step."""

    at_start = True

    def __init__(self):
        pass

    def __call__(self, moment: Any) -> dict[str, float]:
        """Return `u` and `v` at a `training.Moment`, which no task may import."""
        u, v = moment.task.weights[0].numpy()[:, 0]
        return {"u": float(u), "v": float(v)}


def task_at(saddle: Saddle, start: Sequence[float]) -> Task:
    """Return a network with two weights at `start`, (u, v), whose mean loss over `examples` is L.

    The network is linear without a bias. One of the two examples depends only on u, the other only on v; the label
    tells which:

        loss(0, z) = z²        loss(1, z) = (μ/2) (1 - z²)²
    """
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    network.set_weights([np.array(start, np.float32)[:, None]])

    def loss(y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        z = outputs[:, 0]
        return tf.where(tf.cast(y, tf.int32) == 0, z**2, saddle.mu / 2 * (1 - z**2) ** 2)

    return Task(network, loss, loss, metric_name="mean_squared_error")


def examples() -> Dataset:
    """Return the two examples as all three splits, since there is nothing to generalise to."""
    split = Split(np.eye(2, dtype=np.float32), np.arange(2, dtype=np.int32))
    return Dataset("saddle", "classification", split, split, split, 2, "", "made here")
