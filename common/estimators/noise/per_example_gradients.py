"""Norms and weighted sums of per-example gradients, from one forward and one backward pass.

Up to its activation, a layer is linear: z_i = A_i W + b for example i. A_i has L rows: one for a dense layer, the
patches of an image for a convolution. With G_i = ∂loss_i/∂z_i from one backward pass for all examples, the gradient of
one example is

    ∂loss_i/∂W = A_iᵀ G_i        ∂loss_i/∂b = 1ᵀ G_i

so that no part of the network runs twice. The squared norm of A_iᵀ G_i, d × o numbers, is computed in the cheapest way:

    dense            ‖a_i‖² ‖g_i‖²                              arXiv 1510.01799
    2 L² < d o       Σ (A_i A_iᵀ) ∘ (G_i G_iᵀ), ghost norms     arXiv 2009.03106, 2205.10683 (the rule)
    else             from A_iᵀ G_i itself, which is kept for the sum

The sum Σ_i c_i A_iᵀ G_i is one product of c_i-weighted rows. A second backward pass of a weighted loss, as in the
sources, gives the same (arXiv 2210.00038).
"""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from common.estimators.decoupled.network_modules import layer_products
from common.tasks.layers import PooledConv2D, max_pool
from common.tasks.task import Task


class PerExampleGradients:
    """Per-example gradients of one batch, without storing all of them.

    Args:
        task: a task that `require_known_layers` accepts.
        x: (batch, *input_shape) float32.
        y: labels or targets.
        seed: (2,) int64, (run seed, global step), for dropout.

    Attributes:
        losses: (batch,) float32.
        outputs: (batch, outputs) float32.
    """

    def __init__(self, task: Task, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor):
        task.seed_dropout(seed)
        passes, h = [], x
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for layer in task.network.layers:
                if layer.trainable_variables:
                    layer_pass = _pass_of(layer)(layer, h)
                    tape.watch(layer_pass.products)
                    passes.append(layer_pass)
                    h = layer_pass.finished()
                else:
                    h = layer(h, training=task.training_mode)
            self.outputs, self.losses = h, task.per_example_loss(y, h)
        signals = tape.gradient(self.losses, [layer_pass.products for layer_pass in passes])
        self._gradients = [layer_pass.gradients(g) for layer_pass, g in zip(passes, signals, strict=True)]

    def squared_norms(self) -> tf.Tensor:
        """Return the squared norm of each example's gradient, over all weights together: (batch,)."""
        return tf.add_n([part.squared_norms() for part in self._gradients])

    def weighted_sum(self, weights: tf.Tensor) -> list[tf.Tensor]:
        """Return Σ_i c_i ∂loss_i, one tensor for each of `task.weights`; c has shape (batch,)."""
        return [tensor for part in self._gradients for tensor in part.weighted_sum(weights)]


def require_known_layers(task: Task, owner: str) -> None:
    """Raise a ValueError for a network whose per-example gradients are not implemented.

    Args:
        task: its network must be sequential and in float32, with weights only in dense and convolutional layers.
        owner: the name of the caller, for the message.
    """
    network = task.network
    if task.batch_norms:
        raise ValueError(
            f"{owner} needs each example's own gradient, and in batch norm (layer {task.batch_norms[0]!r}) it depends "
            "on all of the batch: take a network without batch norm"
        )
    if not isinstance(network, keras.Sequential):
        raise ValueError(f"{owner} takes a keras.Sequential network, got {type(network).__name__}")
    for layer in network.layers:
        if layer.compute_dtype != "float32":
            raise ValueError(
                f"{owner} takes a network in float32, and layer {layer.name!r} is in {layer.dtype_policy.name}"
            )
        if layer.trainable_variables and _pass_of(layer) is None:
            raise ValueError(
                f"{owner} knows dense and convolutional layers (channels last, no groups, no dilation), and layer "
                f"{layer.name!r} is a {type(layer).__name__}"
            )


def extra_products(layer: keras.Layer) -> int:
    """Return the multiply-accumulates per example beyond backpropagation's, for the norm or for the sum."""
    if not hasattr(layer, "kernel"):
        return 0
    *inputs, outputs = layer.kernel.shape
    rows, columns = layer_products(layer) // math.prod(layer.kernel.shape), math.prod(inputs)
    if rows == 1:
        return 0
    if _ghost_is_cheaper(rows, columns, outputs):
        return rows * rows * (columns + outputs)
    return columns * outputs


class _DensePass:
    """A dense layer on a batch of vectors, (batch, d)."""

    def __init__(self, layer: keras.layers.Dense, entering: tf.Tensor):
        self._layer, self._entering = layer, entering
        self.products = tf.matmul(entering, tf.convert_to_tensor(layer.kernel))

    def finished(self) -> tf.Tensor:
        """Add the bias and apply the layer's activation."""
        return self._activated(self.products)

    def _activated(self, products: tf.Tensor) -> tf.Tensor:
        layer = self._layer
        return layer.activation(tf.nn.bias_add(products, layer.bias) if layer.use_bias else products)

    def gradients(self, signal: tf.Tensor) -> _RowsGradients:
        """Return the gradients of its weights, from the loss's gradient at `products`."""
        return _DenseGradients(self._layer, self._entering, signal)


class _ConvolutionPass(_DensePass):
    """A convolution on a batch of images, (batch, h, w, c), before the activation."""

    def __init__(self, layer: keras.layers.Conv2D, entering: tf.Tensor):
        self._layer, self._entering = layer, entering
        self.products = tf.nn.conv2d(entering, tf.convert_to_tensor(layer.kernel), layer.strides, layer.padding.upper())

    def gradients(self, signal: tf.Tensor) -> _RowsGradients:
        """Return the gradients of its weights, from patches of the images and the loss's gradient at `products`."""
        patches = _patches(self._entering, self._layer)
        rows, columns, filters = *patches.shape[1:], signal.shape[-1]
        cheaper = _RowsGradients if _ghost_is_cheaper(rows, columns, filters) else _KeptGradients
        return cheaper(self._layer, patches, tf.reshape(signal, [-1, rows, filters]))


class _PooledConvolutionPass(_ConvolutionPass):
    """A convolution that is pooled before its activation; positions outside of all windows are left out."""

    def __init__(self, layer: PooledConv2D, entering: tf.Tensor):
        (rows, columns), (height, width) = layer.positions, layer.kernel_size
        super().__init__(layer, entering[:, : rows // 2 * 2 + height - 1, : columns // 2 * 2 + width - 1])

    def finished(self) -> tf.Tensor:
        """Pool, then add the bias and apply the activation to the fewer numbers; the operations commute."""
        return self._activated(max_pool(self.products))


class _RowsGradients:
    """Gradients A_iᵀ G_i, stored as factors: A (batch, L, d), G (batch, L, o)."""

    def __init__(self, layer: keras.Layer, rows: tf.Tensor, signal: tf.Tensor):
        self._layer, self._rows, self._signal = layer, rows, signal

    def squared_norms(self) -> tf.Tensor:
        """Return the squared norm of each example's gradient in this layer: (batch,)."""
        norms = self._kernel_norms()
        return norms + tf.reduce_sum(tf.square(self._biases()), 1) if self._layer.use_bias else norms

    def weighted_sum(self, weights: tf.Tensor) -> list[tf.Tensor]:
        """Return the c_i-weighted sums of the gradients of the kernel and, if there is one, the bias."""
        kernel = tf.reshape(self._kernel_sum(weights), self._layer.kernel.shape)
        return (
            [kernel, tf.linalg.matvec(self._biases(), weights, transpose_a=True)] if self._layer.use_bias else [kernel]
        )

    def _biases(self) -> tf.Tensor:
        return tf.reduce_sum(self._signal, 1)

    def _kernel_norms(self) -> tf.Tensor:
        rows, signal = (tf.matmul(part, part, transpose_b=True) for part in (self._rows, self._signal))
        return tf.reduce_sum(rows * signal, [1, 2])

    def _kernel_sum(self, weights: tf.Tensor) -> tf.Tensor:
        signal = self._signal * weights[:, None, None]
        rows, signal = (tf.reshape(part, [-1, part.shape[-1]]) for part in (self._rows, signal))
        return tf.matmul(rows, signal, transpose_a=True)


class _DenseGradients(_RowsGradients):
    """Gradients a_i g_iᵀ, stored as factors: a (batch, d), g (batch, o)."""

    def _biases(self) -> tf.Tensor:
        return self._signal

    def _kernel_norms(self) -> tf.Tensor:
        return tf.reduce_sum(tf.square(self._rows), 1) * tf.reduce_sum(tf.square(self._signal), 1)

    def _kernel_sum(self, weights: tf.Tensor) -> tf.Tensor:
        return tf.matmul(self._rows, self._signal * weights[:, None], transpose_a=True)


class _KeptGradients(_RowsGradients):
    """Gradients A_iᵀ G_i, stored as products, (batch, d, o)."""

    def __init__(self, layer: keras.Layer, rows: tf.Tensor, signal: tf.Tensor):
        super().__init__(layer, rows, signal)
        kernels = tf.matmul(rows, signal, transpose_a=True)
        self._kernels = tf.reshape(kernels, [-1, rows.shape[2] * signal.shape[2]])

    def _kernel_norms(self) -> tf.Tensor:
        return tf.reduce_sum(tf.square(self._kernels), 1)

    def _kernel_sum(self, weights: tf.Tensor) -> tf.Tensor:
        return tf.matmul(weights[None], self._kernels)


def _ghost_is_cheaper(rows: int, columns: int, outputs: int) -> bool:
    return 2 * rows**2 < columns * outputs


def _pass_of(layer: keras.Layer) -> type[_DensePass] | None:
    """Return the class that runs a layer with weights; None: the layer is not supported."""
    plain = getattr(layer, "data_format", "channels_last") == "channels_last" and getattr(layer, "groups", 1) == 1
    plain &= set(getattr(layer, "dilation_rate", [1])) == {1}
    known = {
        PooledConv2D: _PooledConvolutionPass,
        keras.layers.Conv2D: _ConvolutionPass,
        keras.layers.Dense: _DensePass,
    }
    vectors = len(layer.input.shape) == 2 or not isinstance(layer, keras.layers.Dense)
    return known.get(type(layer)) if plain and vectors else None


def _patches(images: tf.Tensor, layer: keras.layers.Conv2D) -> tf.Tensor:
    """Cut images, (batch, h, w, c), into the patches of a convolution: (batch, positions, kernel's h w c).

    This is one gather, which takes a fifth of the time of `tf.image.extract_patches`.
    """
    paddings, offsets, outputs = [], [], []
    for size, kernel, stride in zip(images.shape[1:3], layer.kernel_size, layer.strides, strict=True):
        output = -(-size // stride) if layer.padding == "same" else (size - kernel) // stride + 1
        missing = max(0, (output - 1) * stride + kernel - size) if layer.padding == "same" else 0
        paddings.append((missing // 2, missing - missing // 2))
        offsets.append(stride * np.arange(output)[:, None] + np.arange(kernel))
        outputs.append(output)
    padded = tf.pad(images, [(0, 0), *paddings, (0, 0)]) if np.any(paddings) else images
    height, width, channels = padded.shape[1:]
    (down, across), positions = offsets, math.prod(outputs)
    indices = tf.constant((down[:, None, :, None] * width + across[None, :, None, :]).ravel(), tf.int32)
    if channels > 1:
        gathered = tf.gather(tf.reshape(padded, [-1, height * width, channels]), indices, axis=1)
        return tf.reshape(gathered, [-1, positions, math.prod(layer.kernel_size) * channels])
    pixels = tf.transpose(tf.reshape(padded, [-1, height * width]))  # rows: single numbers are slow to gather
    return tf.reshape(tf.transpose(tf.gather(pixels, indices)), [-1, positions, math.prod(layer.kernel_size)])
