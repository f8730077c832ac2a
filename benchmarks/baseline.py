"""One epoch of mnist_convnet with batch size 128: our loop, Keras' fit, other precisions and PyTorch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from common import training
from common.data import Split
from common.estimators.backpropagation import Backpropagation
from common.tasks import networks
from common.tasks import task as tasks

BATCH = 128
LEARNING_RATE = 0.01


def images(examples: int) -> Split:
    """Return random pixels and labels in MNIST's shape: the time of an epoch does not depend on their values."""
    rng = np.random.default_rng(0)
    x = rng.random((examples, 28, 28, 1), dtype=np.float32)
    return Split(x, rng.integers(0, 10, examples).astype(np.int32))


def has_pytorch() -> bool:
    """Return whether PyTorch is installed; it is not a dependency of this project."""
    return importlib.util.find_spec("torch") is not None


def our_loop(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch in our loop."""
    return _our_loop(data, "float32")


def our_loop_bfloat16(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch in our loop, in mixed_bfloat16."""
    return _our_loop(data, "mixed_bfloat16")


def keras_fit(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch in `fit`, with data from tf.data and without XLA."""
    return _keras_fit(data, jit_compile=False)


def keras_fit_as_it_comes(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch in `fit` with Keras' default, which uses XLA."""
    return _keras_fit(data, jit_compile="auto")


def _network(precision: str = "float32", standard_layers: bool = False) -> keras.Sequential:
    options = {"precision": precision, "standard_layers": standard_layers}
    return networks.build("mnist_convnet", (28, 28, 1), 10, seed=0, **options)


def _our_loop(data: Split, precision: str) -> Callable[[], object]:
    task = tasks.classification(_network(precision))
    estimator, optimizer = Backpropagation(), keras.optimizers.SGD(LEARNING_RATE)
    return training.one_epoch(task, estimator, optimizer, data, batch_size=BATCH, seed=0)


def _keras_fit(data: Split, jit_compile: bool | str) -> Callable[[], object]:
    network = _network(standard_layers=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(LEARNING_RATE)
    network.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], jit_compile=jit_compile)
    pipeline = tf.data.Dataset.from_tensor_slices((data.x, data.y)).shuffle(len(data)).batch(BATCH)
    pipeline = pipeline.prefetch(tf.data.AUTOTUNE)
    return lambda: network.fit(pipeline, epochs=1, shuffle=False, verbose=0)


def pytorch(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch of the same network in an eager PyTorch loop."""
    import torch
    from torch import nn

    network = nn.Sequential(
        *[nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10)],
    )
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE)
    x = torch.from_numpy(np.moveaxis(data.x, 3, 1).copy())
    y = torch.from_numpy(data.y.astype(np.int64))

    def epoch() -> None:
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimizer.step()

    return epoch
