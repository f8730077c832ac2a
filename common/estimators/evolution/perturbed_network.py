"""A population of perturbed copies of one network, evaluated together.

Pair k's two members have the weights W + σ E_k and W - σ E_k (see `perturbations`). A layer's outputs are

    z_k± = h_k± W ± σ h_k± E_k

so that one product with W serves all members, and each member adds only thin products. Up to the first layer with
weights, both members of a pair see the same h, which is computed once. If all pairs see the same examples, it is
computed once for all members.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from common.estimators.evolution.perturbations import Directions, KernelShape
from common.tasks.layers import PooledConv2D
from common.tasks.task import Task

FEW_CHANNELS = 4  # measured: below it, patches are gathered in another way
KNOWN = "Dense and Conv2D layers (float32, trainable, neither dilated nor grouped, channels last)"


class PerturbedNetwork:
    """A sequential network with perturbed Dense and Conv2D layers; layers without weights are unchanged.

    Dropout is off, since it would add another source of noise to the fitness.

    Raises:
        ValueError: the network is not sequential, or a layer with weights is neither Dense nor Conv2D.
    """

    def __init__(self, task: Task):
        network = task.network
        if not isinstance(network, keras.Sequential):
            raise ValueError(f"the network must be a keras.Sequential, got {type(network).__name__}")
        self._layers = [_PerturbedLayer(layer) if layer.weights else layer for layer in network.layers]
        self._perturbed = [layer for layer in self._layers if isinstance(layer, _PerturbedLayer)]

    @property
    def shapes(self) -> list[KernelShape]:
        """Shapes of the perturbed kernels, in the order of the layers."""
        return [layer.shape for layer in self._perturbed]

    @property
    def positions(self) -> list[int]:
        """Applications of each kernel per example: the output pixels of a convolution, 1 for a dense layer."""
        return [layer.positions for layer in self._perturbed]

    def floats_per_example(self, shared: bool) -> int:
        """The largest number of floats that one pair holds at once for one example, over all layers."""
        first, *others = self._perturbed
        # What enters the first layer is the same for both signs, and for all pairs if `shared`.
        entering = [0 if shared else first.entering, *(2 * layer.entering for layer in others)]
        return max(more + 2 * layer.leaving for more, layer in zip(entering, self._perturbed, strict=True))

    def outputs(self, x: tf.Tensor, directions: Sequence[Directions], sigma: float, shared: bool) -> list[tf.Tensor]:
        """Run both members of every pair.

        Args:
            x: (examples, *input_shape), seen by all pairs, if `shared`; else (pairs × examples, *input_shape), pair by
                pair.
            directions: one entry for each of `shapes`.
            sigma: σ.
            shared: whether all pairs see the same examples.

        Returns:
            The outputs under W + σ E and under W - σ E, (pairs × examples, outputs) each, pair by pair.
        """
        states, remaining = [x], iter(directions)
        for layer in self._layers:
            if isinstance(layer, _PerturbedLayer):
                states, shared = layer(states, next(remaining), sigma, shared), False
            else:
                states = [layer(state, training=False) for state in states]
        return states

    def along(self, x: tf.Tensor) -> Iterator[tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]]:
        """Run the unperturbed network on (examples, *input_shape), and stop at each perturbed layer.

        Yields:
            The layer's input, (examples, positions, fan_in); its output before the activation, (examples, positions,
            out); and a function that runs the rest of the network, from (rows, positions, out) to (rows, outputs).
        """
        state = x
        for number, layer in enumerate(self._layers):
            if isinstance(layer, _PerturbedLayer):
                inputs, before = layer.before_activation(state)
                yield inputs, before, partial(self._finished, number)
                state = layer.finished(before)
            else:
                state = layer(state, training=False)

    def _finished(self, number: int, before_activation: tf.Tensor) -> tf.Tensor:
        """Run the rest of the network, from within one of its layers."""
        state = self._layers[number].finished(before_activation)
        for layer in self._layers[number + 1 :]:
            state = (layer.unperturbed if isinstance(layer, _PerturbedLayer) else layer)(state, training=False)
        return state

    def gradients(self, sums: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
        """Reshape and order each layer's (fan_in, out) and (out,) as the network's weights."""
        parts = [part for layer_sums in sums for part in layer_sums]
        weights = [weight for layer in self._perturbed for weight in layer.weights]
        return [tf.reshape(part, weight.shape) for part, weight in zip(parts, weights, strict=True)]


class _PerturbedLayer:
    """A Dense or Conv2D layer as a product of patches with a matrix; a dense layer has one patch, its input."""

    def __init__(self, layer: keras.layers.Layer):
        _require_known(layer)
        self.unperturbed = layer
        self.weights = [layer.kernel, layer.bias] if layer.use_bias else [layer.kernel]
        *ins, out = layer.kernel.shape
        self.shape = KernelShape(math.prod(ins), out, layer.use_bias)
        self._patches = _Patches(layer) if isinstance(layer, keras.layers.Conv2D) else None
        self.positions = math.prod(self._patches.size) if self._patches else 1
        self.entering, self.leaving = self.positions * self.shape.fan_in, self.positions * out  # numbers an example

    def __call__(self, states: list[tf.Tensor], directions: Directions, sigma: float, shared: bool) -> list[tf.Tensor]:
        """Map one state, the same for both signs, or two states to two, (pairs × examples, *features) each."""
        parts = [self._parts(state, directions, sigma, shared) for state in states]
        (plus, plus_response), (minus, minus_response) = parts[0], parts[-1]
        return [self.finished(plus + plus_response), self.finished(minus - minus_response)]

    def before_activation(self, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return h, (examples, positions, fan_in), and h W + b, (examples, positions, out), for one state."""
        inputs = self._inputs(state)
        shape = [-1, self.positions, self.shape.fan_in]
        return tf.reshape(inputs, shape), tf.reshape(self._common(inputs), [-1, self.positions, self.shape.out])

    def _parts(self, state: tf.Tensor, directions: Directions, sigma: float, shared: bool) -> tuple[tf.Tensor, ...]:
        """Return h W + b, (pairs or 1, q, out), and σ (h E_k + e_k), (pairs, q, out)."""
        inputs = self._inputs(state)
        common = self._common(inputs)
        if shared:
            return common[None], directions.response(inputs, sigma, True)
        response = directions.response(tf.reshape(inputs, [directions.pairs, -1, self.shape.fan_in]), sigma, False)
        return tf.reshape(common, response.shape), response

    def _inputs(self, state: tf.Tensor) -> tf.Tensor:
        """Map (examples, *features) to (examples × positions, fan_in)."""
        return tf.reshape(self._patches(state) if self._patches else state, [-1, self.shape.fan_in])

    def _common(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return h W + b, (rows, out), given h, (rows, fan_in)."""
        product = tf.matmul(inputs, tf.reshape(self.unperturbed.kernel, [self.shape.fan_in, self.shape.out]))
        return tf.nn.bias_add(product, self.unperturbed.bias) if self.unperturbed.use_bias else product

    def finished(self, outputs: tf.Tensor) -> tf.Tensor:
        """Apply the layer's pooling, if any, and its activation, examples first."""
        size = self._patches.size if self._patches else ()
        outputs = tf.reshape(outputs, [-1, *size, self.shape.out])
        pooled = isinstance(self.unperturbed, PooledConv2D)
        return self.unperturbed.finish(outputs) if pooled else self.unperturbed.activation(outputs)


class _Patches:
    """A cutter of images into patches: (images, height, width, channels) to (images × positions, fan_in).

    It is one gather of pixels, which is several times as fast as `tf.image.extract_patches` on CPUs.
    """

    def __init__(self, layer: keras.layers.Conv2D):
        height, width, channels = layer.input.shape[1:]
        self._channels = channels
        rows, before_rows = _windows(height, layer.kernel_size[0], layer.strides[0], layer.padding)
        columns, before_columns = _windows(width, layer.kernel_size[1], layer.strides[1], layer.padding)
        self.size = (len(rows), len(columns))
        self._padding = before_rows, before_columns
        self._indices = rows[:, None, :, None] * (width + sum(before_columns)) + columns[None, :, None, :]
        self._pixels = (height + sum(before_rows)) * (width + sum(before_columns))

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        padded = images
        if any(map(any, self._padding)):
            padded = tf.pad(images, [(0, 0), *self._padding, (0, 0)])
        indices = tf.constant(self._indices.ravel(), tf.int32)
        if self._channels < FEW_CHANNELS:
            # Single numbers are slow to gather: whole rows of a transpose, one for each pixel and channel, are not.
            channels = tf.range(self._channels)
            indices = tf.reshape(indices[:, None] * self._channels + channels, [-1])
            rows = tf.transpose(tf.reshape(padded, [-1, self._pixels * self._channels]))
            return tf.transpose(tf.gather(rows, indices))
        return tf.gather(tf.reshape(padded, [-1, self._pixels, self._channels]), indices, axis=1)


def _windows(length: int, size: int, stride: int, padding: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Return which pixels each window along one axis sees, (windows, size), and the zeros before and after."""
    missing = 0
    if padding == "same":
        missing = max((-(-length // stride) - 1) * stride + size - length, 0)
    before = missing // 2, missing - missing // 2
    starts = np.arange(0, length + missing - size + 1, stride)
    return starts[:, None] + np.arange(size), before


def _require_known(layer: keras.layers.Layer) -> None:
    known = type(layer) in (keras.layers.Dense, keras.layers.Conv2D, PooledConv2D)
    plain = known and layer.trainable and layer.compute_dtype == "float32"
    if plain and isinstance(layer, keras.layers.Conv2D):
        plain = layer.groups == 1 and set(layer.dilation_rate) == {1} and layer.data_format == "channels_last"
    if not plain:
        raise ValueError(f"weights are perturbed in {KNOWN}, got layer {layer.name!r}, a {type(layer).__name__}")
