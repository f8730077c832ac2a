"""The networks, by name. All outputs are logits (or predictions): no network ends in a softmax.

`build` is the only way in: it seeds every initializer from one integer, so that a network is a function of its
arguments and of nothing global, and it sets the precision of every layer.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
from keras import layers

from common.atomic import replacing
from common.checks import is_whole, require, require_count, require_one_of
from common.data.load import Dataset
from common.settings import Configured
from common.tasks.layers import CHANNELS_LAST, MaxPool2D, PooledConv2D, SeenPixels
from common.tasks.task import Task, classification, regression

PRECISIONS = ("float32", "mixed_bfloat16")

__all__ = ["NETWORKS", "OF_HIDDEN_LAYERS", "PRECISIONS", "Network", "build", "hash_seed", "load", "load_task", "save"]


def __dir__() -> list[str]:
    return __all__


def build(
    name: str,
    input_shape: Sequence[int],
    outputs: int,
    *,
    seed: int,
    precision: str = "float32",
    hidden: Sequence[int] | None = None,
    standard_layers: bool = False,
) -> keras.Sequential:
    """Build one of `NETWORKS`, with Glorot-uniform kernels and zero biases drawn from `seed`.

    Args:
        name: "mnist_convnet", "lenet5", "leaky_convnet", "tiny_convnet", "normalised_convnet_3",
            "normalised_convnet_4", "mlp" or "normalised_mlp".
        input_shape: shape of one example, (height, width, channels) in pixels or (features,).
        outputs: number of classes or of predicted values, ≥ 1.
        seed: any integer; the same seed gives the same initial weights.
        precision: "float32", or "mixed_bfloat16" (variables float32, arithmetic bfloat16, logits cast by the task).
        hidden: for "mlp" and "normalised_mlp" only, the units of each hidden layer.
        standard_layers: take Keras' convolutions and pooling instead of the faster ones of `common.layers`: the same
            initial weights and the same function, to compare with.

    Returns:
        A built `keras.Sequential` whose call maps (batch, *input_shape) to (batch, outputs).

    Raises:
        ValueError: unknown name or precision, an input that the network cannot take, `hidden` where it means nothing.
    """
    require_one_of("network", name, sorted(NETWORKS))
    require_one_of("precision", precision, PRECISIONS)
    shaped = isinstance(input_shape, list | tuple) and len(input_shape) > 0
    require(shaped, "input_shape", "that of one example, such as (28, 28, 1)", input_shape)
    require_count("outputs", outputs)
    require(is_whole(seed), "seed", "a whole number", seed)
    for units in hidden or ():
        require_count("the units of a hidden layer", units)
    if name not in OF_HIDDEN_LAYERS and len(input_shape) != 3:
        raise ValueError(
            f"network {name!r} takes images (height, width, channels), got input shape {tuple(input_shape)}"
        )
    if (hidden is not None) != (name in OF_HIDDEN_LAYERS):
        allowed = " and ".join(map(repr, OF_HIDDEN_LAYERS))
        raise ValueError(f"hidden gives the layer sizes of {allowed} and of nothing else, got {hidden!r} for {name!r}")
    make = _Layers(seed, precision, standard_layers)
    body = NETWORKS[name](make) if hidden is None else NETWORKS[name](make, hidden)
    return keras.Sequential([keras.Input(tuple(input_shape)), *body, make.dense(outputs)], name=name)


class Network(Configured):
    """A network and its task as a setting: what a run trains.

    Args:
        name: see `build`.
        hidden: for "mlp" and "normalised_mlp", the units of each hidden layer; empty for every other network.
        precision: see `build`.
        dropout: whether training calls the network with `training=True`, so that dropout is active, as Keras' `fit`
            does.

    Raises:
        ValueError: unknown name or precision, wrong hidden layers; by `task`, an input that the network cannot take.

    Example:
        >>> from common.data import load
        >>> task = Network("mlp", [5]).task(load("digits"), seed=0)
        >>> task.parameter_count  # (28² + 1) 5 + (5 + 1) 10
        3985
    """

    def __init__(self, name: str, hidden: Sequence[int] = (), *, precision: str = "float32", dropout: bool = True):
        require_one_of("network", name, sorted(NETWORKS))
        require_one_of("precision", precision, PRECISIONS)
        listed = isinstance(hidden, list | tuple) and all(is_whole(units) and units > 0 for units in hidden)
        require(listed, "hidden", "a list of units of each hidden layer, such as [64, 32]", hidden)
        allowed = f"empty for {name!r}: {' and '.join(map(repr, OF_HIDDEN_LAYERS))} have hidden layers to choose"
        require(not hidden or name in OF_HIDDEN_LAYERS, "hidden", allowed, hidden)
        require(isinstance(dropout, bool), "dropout", "True or False", dropout)
        self.name, self.hidden, self.precision, self.dropout = name, tuple(hidden), precision, dropout

    def task(self, dataset: Dataset, seed: int) -> Task:
        """Build the network for a data set, with initial weights of this seed, and return its task; see `build`."""
        require(isinstance(dataset, Dataset), "dataset", "a Dataset, such as load('digits')", dataset)
        hidden = self.hidden if self.name in OF_HIDDEN_LAYERS else None
        shape, outputs = dataset.train.x.shape[1:], dataset.classes or 1
        network = build(self.name, shape, outputs, seed=seed, precision=self.precision, hidden=hidden)
        make = classification if dataset.classes else regression
        return make(network, training_mode=self.dropout)


def save(network: keras.Model, path: str | Path) -> None:
    """Save architecture and weights to a `.keras` file, atomically; the optimizer is not part of a network."""
    optimizer, network.optimizer = getattr(network, "optimizer", None), None
    try:
        with replacing(path) as temporary:
            network.save(temporary)
    finally:
        network.optimizer = optimizer


def load(path: str | Path) -> keras.Model:
    """Load a network that `save` wrote, ready to be evaluated or trained on.

    Raises:
        FileNotFoundError: no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no network file {str(path)!r}: a notebook run with weights_file set writes one")
    return keras.saving.load_model(path, compile=False)


def load_task(path: str | Path) -> Task:
    """Load a classifier that `save` wrote as a task, without dropout; see `load`."""
    return classification(load(path), training_mode=False)


class _Layers:
    """Layer constructors that share one precision and hand each layer a seed of its own."""

    def __init__(self, seed: int, precision: str, standard: bool):
        self._seeds: Iterator[int] = (hash_seed(seed, index) for index in itertools.count())
        self._counts: Counter[str] = Counter()
        self._dtype, self._standard = precision, standard

    def conv(
        self, filters: int, size: int, activation: str | None = None, *, strides: int = 1, use_bias: bool = True
    ) -> layers.Layer:
        options = {"strides": strides, "activation": activation, "use_bias": use_bias, "data_format": CHANNELS_LAST}
        return layers.Conv2D(filters, size, **options, **self._initializer("conv"))

    def pooled_conv(self, filters: int, size: int, activation: str | None = None) -> list[layers.Layer]:
        """Convolution, then max pooling in 2×2 windows: one layer, or Keras' two."""
        if self._standard:
            return [self.conv(filters, size, activation), self.pool()]
        return [PooledConv2D(filters, size, activation=activation, **self._initializer("conv"))]

    def seen_pixels(self, *kernels: int) -> list[layers.Layer]:
        """Put before pooled convolutions with these kernels what they see of an image; Keras' see it all."""
        return [] if self._standard else [SeenPixels(kernels, **self._options("seen_pixels"))]

    def dense(self, units: int, activation: str | None = None, *, use_bias: bool = True) -> layers.Layer:
        return layers.Dense(units, activation=activation, use_bias=use_bias, **self._initializer("dense"))

    def normalised(self, linear: layers.Layer) -> list[layers.Layer]:
        """Put batch norm and ReLU behind a linear layer without a bias: a block of arXiv 1608.05343's networks."""
        # Averages over the last ten batches or so: a few epochs of a small data set are only some hundreds.
        norm = layers.BatchNormalization(momentum=0.9, **self._options("norm"))
        return [linear, norm, layers.ReLU(**self._options("relu"))]

    def pool(self) -> layers.Layer:
        if not self._standard:
            return MaxPool2D(**self._options("pool"))
        return layers.MaxPooling2D(data_format=CHANNELS_LAST, **self._options("pool"))

    def mean_pool(self) -> layers.Layer:
        return layers.AveragePooling2D(2, data_format=CHANNELS_LAST, **self._options("mean_pool"))

    def standardise(self, mean: float, deviation: float) -> layers.Layer:
        return layers.Rescaling(1 / deviation, -mean / deviation, **self._options("standardise"))

    def leaky_relu(self) -> layers.Layer:
        return layers.LeakyReLU(negative_slope=0.01, **self._options("leaky_relu"))

    def dropout(self, rate: float) -> layers.Layer:
        return layers.Dropout(rate, seed=next(self._seeds), **self._options("dropout"))

    def flatten(self) -> layers.Layer:
        return layers.Flatten(data_format=CHANNELS_LAST, **self._options("flatten"))

    def zero_padding(self, pixels: int) -> layers.Layer:
        return layers.ZeroPadding2D(pixels, data_format=CHANNELS_LAST, **self._options("zero_padding"))

    def _options(self, kind: str) -> dict:
        # Keras' own names count on from network to network; a checkpoint and a plot need the same name every time.
        self._counts[kind] += 1
        return {"name": f"{kind}_{self._counts[kind]}", "dtype": self._dtype}

    def _initializer(self, kind: str) -> dict:
        return self._options(kind) | {"kernel_initializer": keras.initializers.GlorotUniform(seed=next(self._seeds))}


def hash_seed(seed: int, index: int) -> int:
    """Derive the seed of the `index`-th layer: distinct, reproducible, below 2³¹ as Keras wants it."""
    return (int(seed) * 1_000_003 + index * 7_919 + 12_345) % 2_147_483_647


def _mnist_convnet(make: _Layers) -> list[layers.Layer]:
    """34,826 parameters on 28×28×1 and 10 classes: the network of Keras' own MNIST example."""
    return [
        *make.seen_pixels(3, 3),
        *make.pooled_conv(32, 3, "relu"),
        *make.pooled_conv(64, 3, "relu"),
        make.flatten(),
        make.dropout(0.5),
    ]


def _lenet5(make: _Layers) -> list[layers.Layer]:
    """61,706 parameters on 28×28×1, zero-padded to 32×32 (LeCun et al. 1998), with ReLU and max pooling.

    The original's scaled tanh, trainable average pooling and partial connection table are replaced, as is usual today.
    """
    return [
        make.zero_padding(2),
        *make.pooled_conv(6, 5, "relu"),
        *make.pooled_conv(16, 5, "relu"),
        make.flatten(),
        make.dense(120, "relu"),
        make.dense(84, "relu"),
    ]


def _leaky_convnet(make: _Layers) -> list[layers.Layer]:
    """86,282 parameters on 28×28×1 and 10 classes: the network of the low-rank Hessian experiment."""
    first = [*make.pooled_conv(32, 5), make.leaky_relu()]
    second = [*make.pooled_conv(64, 5), make.leaky_relu(), make.pool()]
    return [*first, *second, make.flatten(), make.dense(128), make.leaky_relu()]


def _tiny_convnet(make: _Layers) -> list[layers.Layer]:
    """6,670 parameters on 28×28×1 and 10 classes: few directions to search, for evolution strategies on the weights.

    It sees images at half their resolution, standardised by MNIST's own mean and deviation (0.13 and 0.31), which are
    near those of the other sets of images.
    """
    convolutions = [make.conv(12, 4, "relu", strides=2), make.conv(24, 3, "relu")]
    return [make.mean_pool(), make.standardise(0.13, 0.31), *convolutions, make.flatten()]


def _mlp(make: _Layers, hidden: Sequence[int]) -> list[layers.Layer]:
    """Fully connected ReLU layers; images are flattened first."""
    return [make.flatten(), *(make.dense(units, "relu") for units in hidden)]


def _normalised_mlp(make: _Layers, hidden: Sequence[int]) -> list[layers.Layer]:
    """Fully connected blocks with batch norm and ReLU; images are flattened first."""
    return [make.flatten(), *itertools.chain(*(make.normalised(make.dense(units, use_bias=False)) for units in hidden))]


def _normalised_convnet_3(make: _Layers) -> list[layers.Layer]:
    """62,442 trainable parameters on 28×28×1 and 10 classes: two convolutional blocks and the last layer.

    Strides instead of pools: a quarter of the multiplications, and of the activations to be normalised.
    """
    first = make.normalised(make.conv(32, 5, strides=2, use_bias=False))
    return [*first, *make.normalised(make.conv(64, 5, strides=2, use_bias=False)), make.flatten()]


def _normalised_convnet_4(make: _Layers) -> list[layers.Layer]:
    """131,306 trainable parameters: one more convolutional block, of 128 channels."""
    *before, flatten = _normalised_convnet_3(make)
    return [*before, *make.normalised(make.conv(128, 3, use_bias=False)), flatten]


OF_HIDDEN_LAYERS = ("mlp", "normalised_mlp")
NETWORKS = {
    "mnist_convnet": _mnist_convnet,
    "lenet5": _lenet5,
    "leaky_convnet": _leaky_convnet,
    "tiny_convnet": _tiny_convnet,
    "normalised_convnet_3": _normalised_convnet_3,
    "normalised_convnet_4": _normalised_convnet_4,
    "mlp": _mlp,
    "normalised_mlp": _normalised_mlp,
}
