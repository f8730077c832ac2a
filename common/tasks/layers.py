"""Max pooling, and convolution with max pooling: the standard layers' functions and weights, faster on CPUs.

On two cores, two things limit a training step of a small convnet, except for convolutions with many channels. One is
the memory traffic of full-size images. The other is the gradient of pooling, which TensorFlow computes by a search
through each window. Here the gradient is a comparison and a product. Bias and activation commute with a maximum and
come after it.

With 2×2 windows, the pooled outputs of a convolution with kernel W (k, k, c, o) are

    y_ij = f(max_{a,b ∈ {0,1}} Σ_uv W_uv x_{2i+a+u, 2j+b+v} + bias)

so that all four members of a window see the same (k+1)×(k+1) patch of the image, each with W in another corner. For an
image of few channels, the four products are computed separately, each of the pooled size; the full-size image is never
formed. For many channels, multiplications dominate, and only pixels that some window keeps are convolved.

Every operation can be differentiated twice, in forward and reverse mode, and batched. Gradients of pooling are linear
in the gradient from above, and nothing else depends on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from common.checks import require

FEW_CHANNELS = 8  # measured with 1, 6 and 32: below it, less memory is worth more multiplications
PACKAGE = "gradient_estimators"
CHANNELS_LAST = "channels_last"  # said by each layer that has it: the default is the user's, who may have the other one

_CORNERS = tuple(itertools.product((0, 1), (0, 1)))  # of a window, in the order in which ties are broken


@tf.custom_gradient
def maximum(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return the elementwise maximum of two tensors of the same shape; at ties, the first gets the gradient.

    It replaces `tf.maximum`, whose own gradient takes twice as long. The second tensor's gradient is a product with
    zero or one; the first tensor gets the rest.
    """

    def gradient(above: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _shared_out(above, first, second)

    return tf.maximum(first, second), gradient


@tf.custom_gradient
def max_pool(images: tf.Tensor) -> tf.Tensor:
    """Pool 2×2 windows, (b, h, w, c) to (b, ⌊h/2⌋, ⌊w/2⌋, c), bit-identical to `tf.nn.max_pool2d` without padding.

    At ties in a window, the first entry in row order gets the gradient, as in TensorFlow.
    """
    height, width, channels = images.shape[1:]
    rows, columns = height // 2, width // 2

    def gradient(above: tf.Tensor) -> tf.Tensor:
        seen = _top_left(images, 2 * rows, 2 * columns)
        left, right = tf.split(tf.reshape(seen, [-1, 2 * channels]), 2, 1)
        upper, lower = tf.unstack(tf.reshape(tf.maximum(left, right), [-1, 2, columns * channels]), axis=1)
        pairs = tf.stack(_shared_out(tf.reshape(above, [-1, columns * channels]), upper, lower), 1)
        pooled = tf.concat(_shared_out(tf.reshape(pairs, [-1, channels]), left, right), 1)
        pooled = tf.reshape(pooled, [-1, 2 * rows, 2 * columns, channels])
        dropped = (0, height - 2 * rows), (0, width - 2 * columns)
        return tf.pad(pooled, [(0, 0), *dropped, (0, 0)]) if dropped != ((0, 0), (0, 0)) else pooled

    return tf.nn.max_pool2d(images, 2, 2, "VALID"), gradient


def _shared_out(above: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pass the gradient from above to the larger tensor, or to the first at ties."""
    to_second = tf.cast(second > first, above.dtype) * above
    return above - to_second, to_second


@keras.saving.register_keras_serializable(PACKAGE)
class SeenPixels(keras.layers.Layer):
    """Layer that drops the last rows and columns of images, if later pooled convolutions do not use them.

    Windows that do not fit are dropped, with all pixels that only they see. With two 3×3 kernels, these are two of
    MNIST's 28 rows, and a seventh of the computation.

    Args:
        kernels: the (square) kernels' sizes in pixels, from the first layer to the last.
    """

    def __init__(self, kernels: Sequence[int], **options):
        super().__init__(**options)
        self.kernels = tuple(kernels)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Map (b, h, w, c) to the part that is seen."""
        return _top_left(inputs, *map(self._seen, inputs.shape[1:3]))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return the shape with unchanged batch and channels."""
        batch, height, width, channels = input_shape
        return batch, self._seen(height), self._seen(width), channels

    def get_config(self) -> dict:
        """Return the arguments for `from_config`."""
        return super().get_config() | {"kernels": self.kernels}

    def _seen(self, size: int) -> int:
        for kernel in self.kernels:
            size = (size - kernel + 1) // 2
        for kernel in reversed(self.kernels):
            size = 2 * size + kernel - 1
        return size


@keras.saving.register_keras_serializable(PACKAGE)
class MaxPool2D(keras.layers.Layer):
    """Max pooling in 2×2 windows; see `max_pool`. A last odd row or column is dropped."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pool (b, h, w, c)."""
        return max_pool(inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Halve height and width, rounded down."""
        batch, height, width, channels = input_shape
        return batch, height // 2, width // 2, channels


@keras.saving.register_keras_serializable(PACKAGE)
class PooledConv2D(keras.layers.Conv2D):
    """Convolution, max pooling in 2×2 windows and activation in one layer, with the convolution's weights.

    It takes the arguments of `keras.layers.Conv2D` and starts with the same weights from the same seed. It adds in
    another order than the standard layers, so that outputs and gradients differ by rounding.

    Raises:
        ValueError: the activation is neither None nor ReLU, since others need not commute with a maximum; or the
            convolution has padding, strides, dilation, groups, or channels first.
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **options):
        super().__init__(filters, kernel_size, **{"data_format": CHANNELS_LAST} | options)
        rising = (keras.activations.linear, keras.activations.relu)
        require(self.activation in rising, "activation", "None or 'relu'", options.get("activation"))
        plain = self.padding == "valid" and self.data_format == "channels_last" and self.groups == 1
        plain &= set(self.strides) == set(self.dilation_rate) == {1}
        require(plain, "a pooled convolution", "without padding, strides, dilation and groups, channels last", options)

    @property
    def positions(self) -> tuple[int, int]:
        """Return the number of rows and columns between convolution and pooling."""
        height, width = self.input.shape[1:3]
        return height - self.kernel_size[0] + 1, width - self.kernel_size[1] + 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Map (b, h, w, c) to (b, ⌊(h - k + 1)/2⌋, ⌊(w - k + 1)/2⌋, filters)."""
        return self.activation(self.before_activation(inputs))

    def before_activation(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve, pool and add the bias; `call` then applies the activation."""
        pooled = self._convolved_and_pooled(inputs, tf.cast(self.kernel, inputs.dtype))
        return tf.nn.bias_add(pooled, tf.cast(self.bias, pooled.dtype)) if self.use_bias else pooled

    def finish(self, convolved: tf.Tensor) -> tf.Tensor:
        """Pool an already convolved image, (b, *positions, filters), add the bias and apply the activation."""
        return self.activation(max_pool(convolved))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Halve the height and width of a convolution's output, rounded down."""
        batch, height, width, filters = super().compute_output_shape(input_shape)
        return batch, height // 2, width // 2, filters

    def _convolved_and_pooled(self, images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        rows, columns = self.compute_output_shape(images.shape)[1:3]
        height, width, channels, _ = kernel.shape
        seen = _top_left(images, 2 * rows + height - 1, 2 * columns + width - 1)
        if channels == 1:
            return _of_patches(seen, kernel)
        if channels < FEW_CHANNELS and height % 2 == width % 2 == 1:
            return _of_four_channels_for_one(seen, kernel)
        return max_pool(tf.nn.conv2d(seen, kernel, 1, "VALID"))


def _of_patches(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve images of one channel and pool: multiply patches by each of four matrices and take the maximum."""
    height, width, _, filters = kernel.shape
    rows, columns = (images.shape[1] - height + 1) // 2, (images.shape[2] - width + 1) // 2
    patches = _patches(images, (rows, columns), (height + 1, width + 1))
    matrices = [tf.reshape(corner, [-1, filters]) for corner in _in_each_corner(kernel)]
    products = [tf.matmul(patches, matrix) for matrix in matrices]
    return tf.reshape(_largest(*products), [-1, rows, columns, filters])


def _patches(images: tf.Tensor, counts: tuple[int, int], size: tuple[int, int]) -> tf.Tensor:
    """Cut images of one channel, (b, h, w, 1), into patches two pixels apart: (b × patches, pixels of a patch).

    It is one gather of rows of a transpose, one row per pixel, since single numbers are slow to gather.
    """
    height, width = images.shape[1:3]
    down, across = (
        2 * np.arange(count)[:, None] + np.arange(extent) for count, extent in zip(counts, size, strict=True)
    )
    indices = down[:, None, :, None] * width + across[None, :, None, :]
    pixels = tf.transpose(tf.reshape(images, [-1, height * width]))
    gathered = tf.gather(pixels, tf.constant(indices.ravel(), tf.int32))
    return tf.reshape(tf.transpose(gathered), [-1, size[0] * size[1]])


def _of_four_channels_for_one(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve and pool: the pixels of each 2×2 block become channels, convolved once with one kernel per corner.

    Height and width are halved; input and output have four times the channels.
    """
    height, width, channels, filters = kernel.shape
    corners = tf.concat(_in_each_corner(kernel), -1)
    blocks = tf.reshape(corners, [(height + 1) // 2, 2, (width + 1) // 2, 2, channels, 4 * filters])
    blocks = tf.transpose(blocks, [0, 2, 1, 3, 4, 5])
    blocks = tf.reshape(blocks, [(height + 1) // 2, (width + 1) // 2, 4 * channels, 4 * filters])
    convolved = tf.nn.conv2d(tf.nn.space_to_depth(images, 2), blocks, 1, "VALID")
    return _largest(*tf.split(convolved, 4, -1))


def _in_each_corner(kernel: tf.Tensor) -> list[tf.Tensor]:
    """Return the kernel, (h, w, c, o), padded with zeros to each corner of (h + 1, w + 1, c, o)."""
    return [tf.pad(kernel, [(a, 1 - a), (b, 1 - b), (0, 0), (0, 0)]) for a, b in _CORNERS]


def _largest(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """Return the maximum of a window's four members, given row by row; at ties, the first gets the gradient."""
    return maximum(maximum(a, b), maximum(c, d))


def _top_left(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Drop the rows and columns that no later layer sees."""
    return images if images.shape[1:3] == (height, width) else images[:, :height, :width]
