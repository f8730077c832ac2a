"""One epoch of mnist_convnet with batch size 512: noise, over-the-air aggregation, and the plain gradient."""

from __future__ import annotations

from collections.abc import Callable

import keras

from benchmarks.baseline import LEARNING_RATE
from common import training
from common.data import Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimator
from common.estimators.noise.noisy_gradient import ConstantNoise, NoisyGradient
from common.estimators.noise.over_the_air import OverTheAir
from common.estimators.noise.sign_sketch import SignSketch
from common.tasks import networks
from common.tasks import task as tasks

BATCH = 512  # divisible by the 16 devices
DEVICES = 16


def plain(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch on exact gradients."""
    return _loop(data, Backpropagation())


def noisy(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch with noise on all coordinates."""
    return _loop(data, NoisyGradient(Backpropagation(), ConstantNoise(1.0)))


def noisy_in_a_sketch(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch with noise in a fixed random subspace of 1,000 dimensions."""
    return _loop(data, NoisyGradient(Backpropagation(), ConstantNoise(1.0), sketch=SignSketch(1_000)))


def over_the_air(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch with devices that share a channel."""
    return _loop(data, OverTheAir(Backpropagation(), DEVICES, channel_noise=1.0))


def _loop(data: Split, estimator: GradientEstimator) -> Callable[[], object]:
    whole = len(data) - len(data) % BATCH  # the last, smaller batch need not be divisible by the devices
    data = Split(data.x[:whole], data.y[:whole])
    task = tasks.classification(networks.build("mnist_convnet", (28, 28, 1), 10, seed=0))
    return training.one_epoch(task, estimator, keras.optimizers.SGD(LEARNING_RATE), data, batch_size=BATCH, seed=0)
