"""An epoch and an evaluation of the networks with pooling, with batch size 128: our layers and others."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks.baseline import BATCH, LEARNING_RATE, has_pytorch
from common import training
from common.data import Split
from common.estimators import Backpropagation
from common.tasks import networks
from common.tasks import task as tasks
from common.training.epoch import EVALUATION_BATCH

FIT, STANDARD, OURS = "Keras fit, no XLA", "our loop, Keras' layers", "our loop, layers of our own"
PYTORCH, CHANNELS_LAST = "PyTorch, eager", "PyTorch, eager, channels last"
EVALUATED = "{}: evaluation"
AT_MOST = {"mnist_convnet": 0.65, "lenet5": 0.6, "leaky_convnet": None}  # largest ratio to an epoch of Keras' fit

Maker = Callable[[Split], Callable[[], object]]


def makers(network: str) -> dict[str, Maker]:
    """Return makers by name: each takes data and returns a function that trains an epoch or evaluates the data.

    PyTorch has a maker if it is installed.

    Args:
        network: one of `AT_MOST`.
    """
    ours = {STANDARD: True, OURS: False}
    by_name = {FIT: lambda data: _fit(network, data)}
    by_name |= {
        name: lambda data, standard=standard: _epoch(network, standard, data) for name, standard in ours.items()
    }
    by_name |= {EVALUATED.format(FIT): lambda data: _keras_evaluation(network, data)}
    by_name |= {
        EVALUATED.format(name): lambda data, standard=standard: _evaluation(network, standard, data)
        for name, standard in ours.items()
    }
    if has_pytorch():
        for name, last in {PYTORCH: False, CHANNELS_LAST: True}.items():
            by_name[name] = lambda data, last=last: _pytorch_epoch(network, last, data)
            by_name[EVALUATED.format(name)] = lambda data, last=last: _pytorch_evaluation(network, last, data)
    return by_name


def comparisons(network: str) -> list[tuple[str, str, float | None]]:
    """Return (candidate, reference, largest ratio), epochs first."""
    epochs = [(OURS, FIT, AT_MOST[network]), (STANDARD, FIT, None), (OURS, STANDARD, None)]
    epochs += [(PYTORCH, FIT, None), (CHANNELS_LAST, FIT, None)]
    return epochs + [
        (EVALUATED.format(candidate), EVALUATED.format(reference), None) for candidate, reference, _ in epochs
    ]


def _network(name: str, standard: bool) -> keras.Sequential:
    return networks.build(name, (28, 28, 1), 10, seed=0, standard_layers=standard)


def _epoch(name: str, standard: bool, data: Split) -> Callable[[], object]:
    task, optimizer = tasks.classification(_network(name, standard)), keras.optimizers.SGD(LEARNING_RATE)
    return training.one_epoch(task, Backpropagation(), optimizer, data, batch_size=BATCH, seed=0)


def _evaluation(name: str, standard: bool, data: Split) -> Callable[[], object]:
    return training.Evaluation(tasks.classification(_network(name, standard)), data)


def _compiled(name: str) -> keras.Sequential:
    network = _network(name, True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(LEARNING_RATE)
    network.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], jit_compile=False)
    return network


def _fit(name: str, data: Split) -> Callable[[], object]:
    network = _compiled(name)
    pipeline = tf.data.Dataset.from_tensor_slices((data.x, data.y)).shuffle(len(data)).batch(BATCH)
    pipeline = pipeline.prefetch(tf.data.AUTOTUNE)
    return lambda: network.fit(pipeline, epochs=1, shuffle=False, verbose=0)


def _keras_evaluation(name: str, data: Split) -> Callable[[], object]:
    network = _compiled(name)
    return lambda: network.evaluate(data.x, data.y, batch_size=EVALUATION_BATCH, verbose=0)


def _pytorch_network(name: str):
    from torch import nn

    def pooled(channels: int, filters: int, size: int, *activation) -> list[nn.Module]:
        return [nn.Conv2d(channels, filters, size), *activation, nn.MaxPool2d(2)]

    def leaky() -> nn.Module:
        return nn.LeakyReLU(0.01)

    bodies = {
        "mnist_convnet": lambda: [
            *[*pooled(1, 32, 3, nn.ReLU()), *pooled(32, 64, 3, nn.ReLU())],
            *[nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10)],
        ],
        "lenet5": lambda: [
            *[nn.ZeroPad2d(2), *pooled(1, 6, 5, nn.ReLU()), *pooled(6, 16, 5, nn.ReLU()), nn.Flatten()],
            *[nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)],
        ],
        "leaky_convnet": lambda: [
            *[*pooled(1, 32, 5), leaky(), *pooled(32, 64, 5), leaky(), nn.MaxPool2d(2), nn.Flatten()],
            *[nn.Linear(256, 128), leaky(), nn.Linear(128, 10)],
        ],
    }
    return nn.Sequential(*bodies[name]())


def _pytorch_network(name: str, channels_last: bool, data: Split):
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = _pytorch_network(name).to(memory_format=layout)
    x = torch.from_numpy(np.moveaxis(data.x, 3, 1).copy()).contiguous(memory_format=layout)
    return torch, network, x, torch.from_numpy(data.y.astype(np.int64))


def _pytorch_epoch(name: str, channels_last: bool, data: Split) -> Callable[[], object]:
    torch, network, x, y = _pytorch_network(name, channels_last, data)
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE)

    def epoch() -> None:
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimizer.step()

    return epoch


def _pytorch_evaluation(name: str, channels_last: bool, data: Split) -> Callable[[], object]:
    torch, network, x, y = _pytorch_network(name, channels_last, data)
    network.eval()

    def evaluate() -> tuple[float, float]:
        loss = right = 0.0
        with torch.inference_mode():
            for one_x, one_y in zip(x.split(EVALUATION_BATCH), y.split(EVALUATION_BATCH), strict=True):
                outputs = network(one_x)
                loss += float(torch.nn.functional.cross_entropy(outputs, one_y, reduction="sum"))
                right += float((outputs.argmax(1) == one_y).sum())
        return loss / len(x), right / len(x)

    return evaluate
