"""Max pooling, and convolution with max pooling, faster on CPUs than the standard layers: same weights, same function.

What bounds a training step of a small convnet on two cores is, but for convolutions with many channels, the bytes that
full-size images take through memory, and pooling's gradient, which TensorFlow computes by a search through each window.
Here the gradient is a comparison and a product, and bias and activation, which commute with a maximum, come after it.

With 2×2 windows, the pooled outputs of a convolution with kernel W (k, k, c, o) are

    y_ij = f(max_{a,b ∈ {0,1}} Σ_uv W_uv x_{2i+a+u, 2j+b+v} + bias)

so that all four members of a window see the same (k+1)×(k+1) patch of the image, each through W in another corner of
it. For an image of few channels, the four products are made apart, each of the size of what is pooled: the full-size
image is never formed. Where channels are many, multiplications count: only what no window drops is convolved.

Every operation may be differentiated twice, forwards and backwards, and batched: gradients of pooling are linear in
what comes from above, and nothing else depends on it.
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
    """Return the elementwise maximum of two tensors of one shape; of equals, the first gets the gradient.

    As `tf.maximum`, whose own gradient takes twice as long: the second one's is a product with zero or one, and what
    it leaves is the first one's.
    """

    def gradient(above: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _shared_out(above, first, second)

    return tf.maximum(first, second), gradient


@tf.custom_gradient
def max_pool(images: tf.Tensor) -> tf.Tensor:
    """Pool 2×2 windows, (b, h, w, c) to (b, ⌊h/2⌋, ⌊w/2⌋, c), as `tf.nn.max_pool2d` without padding, to the last bit.

    Of equals in a window, the first gets the gradient, row by row, as TensorFlow breaks ties.
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
    """Give what comes from above to the larger, to the first of equals."""
    to_second = tf.cast(second > first, above.dtype) * above
    return above - to_second, to_second


@keras.saving.register_keras_serializable(PACKAGE)
class SeenPixels(keras.layers.Layer):
    """Leaves out the last rows and columns of images of which the pooled convolutions behind it make nothing.

    Windows that do not fit are dropped, with all that only they see: two of MNIST's 28 rows behind two 3×3 kernels, and
    a seventh of what is computed for them.

    Args:
        kernels: the (square) kernels' sizes in pixels, from the first layer to the last.
    """

    def __init__(self, kernels: Sequence[int], **options):
        super().__init__(**options)
        self.kernels = tuple(kernels)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """From (b, h, w, c) to as much of it as is seen."""
        return _top_left(inputs, *map(self._seen, inputs.shape[1:3]))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Leave batch and channels as they are."""
        batch, height, width, channels = input_shape
        return batch, self._seen(height), self._seen(width), channels

    def get_config(self) -> dict:
        """Return what `from_config` needs."""
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
    """Convolution, max pooling in 2×2 windows, activation: the function of three standard layers, with one's weights.

    It takes the arguments of `keras.layers.Conv2D`, and from the same seed starts with the same weights. Sums are
    added in another order than by the standard layers: outputs and gradients differ by rounding.

    Raises:
        ValueError: an activation other than None and ReLU, which need not commute with a maximum, or a convolution
            with padding, strides, dilation, groups, or channels first.
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
        """How many rows and columns the image has between convolution and pooling."""
        height, width = self.input.shape[1:3]
        return height - self.kernel_size[0] + 1, width - self.kernel_size[1] + 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """From (b, h, w, c) to (b, ⌊(h - k + 1)/2⌋, ⌊(w - k + 1)/2⌋, filters)."""
        return self.activation(self.before_activation(inputs))

    def before_activation(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve, pool and add the bias: what `call` returns, without the activation."""
        pooled = self._convolved_and_pooled(inputs, tf.cast(self.kernel, inputs.dtype))
        return tf.nn.bias_add(pooled, tf.cast(self.bias, pooled.dtype)) if self.use_bias else pooled

    def finish(self, convolved: tf.Tensor) -> tf.Tensor:
        """Pool and activate what was convolved elsewhere, (b, *positions, filters), with the bias."""
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
    """Convolve images of one channel and pool: a product of patches with each of four matrices, and their maximum."""
    height, width, _, filters = kernel.shape
    rows, columns = (images.shape[1] - height + 1) // 2, (images.shape[2] - width + 1) // 2
    patches = _patches(images, (rows, columns), (height + 1, width + 1))
    matrices = [tf.reshape(corner, [-1, filters]) for corner in _in_each_corner(kernel)]
    products = [tf.matmul(patches, matrix) for matrix in matrices]
    return tf.reshape(_largest(*products), [-1, rows, columns, filters])


def _patches(images: tf.Tensor, counts: tuple[int, int], size: tuple[int, int]) -> tf.Tensor:
    """Cut images of one channel, (b, h, w, 1), into patches two pixels apart: (b × patches, pixels of a patch).

    By one gather of rows of a transpose, one row for each pixel: single numbers are slow to gather.
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
    """Convolve and pool: the pixels of each 2×2 block become channels, convolved once with a kernel for each corner.

    Half the height and width, four times the channels in and out.
    """
    height, width, channels, filters = kernel.shape
    corners = tf.concat(_in_each_corner(kernel), -1)
    blocks = tf.reshape(corners, [(height + 1) // 2, 2, (width + 1) // 2, 2, channels, 4 * filters])
    blocks = tf.transpose(blocks, [0, 2, 1, 3, 4, 5])
    blocks = tf.reshape(blocks, [(height + 1) // 2, (width + 1) // 2, 4 * channels, 4 * filters])
    convolved = tf.nn.conv2d(tf.nn.space_to_depth(images, 2), blocks, 1, "VALID")
    return _largest(*tf.split(convolved, 4, -1))


def _in_each_corner(kernel: tf.Tensor) -> list[tf.Tensor]:
    """Return the kernel, (h, w, c, o), with zeros around it: in each corner of (h + 1, w + 1, c, o)."""
    return [tf.pad(kernel, [(a, 1 - a), (b, 1 - b), (0, 0), (0, 0)]) for a, b in _CORNERS]


def _largest(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """Return the maximum of a window's four members, given row by row; of equals, the first gets the gradient."""
    return maximum(maximum(a, b), maximum(c, d))


def _top_left(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Leave out the rows and columns that nothing sees."""
    return images if images.shape[1:3] == (height, width) else images[:, :height, :width]
