"""Feedback alignment: errors are sent back through fixed matrices instead of the transposed weights.

Each layer z_l = h_{l-1} W_l + b_l, except the first, has a matrix B_l of the shape of W_l, drawn once. With
δ_l = ∂L/∂z_l at the last layer and its estimates below,

    ∇W_l = h_{l-1}ᵀ δ_l        δ_{l-1} = f'(z_{l-1}) ⊙ (δ_l B_lᵀ)

For a convolution, this is the transposed convolution with the kernel B_l. Activations, pooling and batch norm pass the
error as in backpropagation: they need no weight matrix for it (batch norm's scale is one number per channel). B_l = W_l
is backpropagation. W_l is replaced by:

    "random"                    B_l
    "sign_symmetric"            sign(W_l) ⊙ |B_l|
    "uniform_sign_symmetric"    s_l sign(W_l), s_l the standard deviation of B_l's entries

Sources: arXiv 1411.0247 (random); arXiv 1510.05067, section 2, and arXiv 1811.03567 (signs of the weights, with fixed
random or uniform magnitudes). Deviations: B_l is drawn like the network's weights, uniformly with Glorot's variance
2/(fan_in + fan_out). The first source fits a range to each task. The factor s_l replaces 1, because errors are not
normalised on the way back. In the second source they are.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from common.checks import require_one_of
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.estimators.parametrised_layers import is_product, product, sequential_layers
from common.randomness import Stream
from common.tasks.layers import PooledConv2D
from common.tasks.networks import hash_seed
from common.tasks.task import Task

KINDS = ("random", "sign_symmetric", "uniform_sign_symmetric")


class FeedbackAlignment(GradientEstimator):
    """Backpropagation with other matrices in the backward pass, for sequential networks; the state holds the matrices.

    Args:
        feedback: one of KINDS; see above.

    Raises:
        ValueError: the kind is unknown. `build` raises it if the network is not sequential, or if a layer with a kernel
            is neither Dense nor Conv2D, or has groups.

    Example:
        >>> from common.data import load
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.networks import Network
        >>> data, exact, estimator = load("digits"), Backpropagation(), FeedbackAlignment()
        >>> task = Network("mlp", [8]).task(data, seed=0)
        >>> for each in (exact, estimator):
        ...     each.build(task)
        >>> for name, matrix in estimator.matrices.items():
        ...     same = matrix.assign(task.network.get_layer(name).kernel)  # B = W
        >>> batch = data.train.x[:16], data.train.y[:16], tf.zeros([2], tf.int64)
        >>> pairs = zip(estimator.estimate(*batch).gradients, exact.estimate(*batch).gradients)
        >>> max(float(tf.norm(estimate - gradient)) for estimate, gradient in pairs) < 1e-6
        True
    """

    def __init__(self, feedback: str = "random"):
        super().__init__()
        require_one_of("feedback", feedback, KINDS)
        self.feedback = feedback

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Draw the matrices from the run's seed."""
        super().build(task, run)
        self._layers = tuple(sequential_layers(task, type(self).__name__))
        with_kernel = [layer for layer in self._layers if hasattr(layer, "kernel")]
        for layer in with_kernel:
            _require_known(layer)
        above = enumerate(with_kernel[1:])  # nothing is below the first one
        self.matrices = {layer.name: _drawn(layer, hash_seed(run.seed, Stream.FEEDBACK + n)) for n, layer in above}

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return loss, outputs and gradients; see `GradientEstimator.estimate` for shapes."""
        self.task.seed_dropout(seed)
        with tf.GradientTape() as tape:
            h = x
            for layer in self._layers:
                h = self._applied(layer, h) if layer.name in self.matrices else layer(h, training=self._training)
            outputs = tf.cast(h, tf.float32)
            loss = self.task.loss(y, outputs)
        return GradientEstimate(loss, outputs, tape.gradient(loss, self.task.weights))

    @property
    def _training(self) -> bool:
        return self.task.training_mode

    def _applied(self, layer: keras.Layer, h: tf.Tensor) -> tf.Tensor:
        h = tf.cast(h, layer.compute_dtype)
        kernel = tf.cast(layer.kernel, h.dtype)
        z = _product(layer, h, kernel, tf.cast(self._matrix(layer, tf.stop_gradient(kernel)), h.dtype))
        if layer.use_bias:
            z = tf.nn.bias_add(z, tf.cast(layer.bias, z.dtype))
        return layer.finish(z) if isinstance(layer, PooledConv2D) else layer.activation(z)

    def _matrix(self, layer: keras.Layer, kernel: tf.Tensor) -> tf.Tensor:
        """Return the matrix that replaces the kernel in the backward pass, of the kernel's shape."""
        matrix = tf.cast(self.matrices[layer.name], kernel.dtype)
        if self.feedback == "random":
            return matrix
        if self.feedback == "sign_symmetric":
            return tf.sign(kernel) * tf.abs(matrix)
        return tf.sign(kernel) * _deviation(layer)

    def cost(self, batch_size: int) -> float:
        """Return the cost of backpropagation: the products are the same, with other matrices."""
        return float(batch_size)


def _product(layer: keras.Layer, h: tf.Tensor, kernel: tf.Tensor, feedback: tf.Tensor) -> tf.Tensor:
    """Return `product`, whose gradient reaches h through another matrix."""

    @tf.custom_gradient
    def with_feedback(h: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        def gradient(above: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _to_input(layer, above, feedback, h), _to_kernel(layer, above, h)

        return product(layer, h, kernel), gradient

    return with_feedback(h, kernel)


def _to_input(layer: keras.Layer, above: tf.Tensor, feedback: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
    if isinstance(layer, keras.layers.Conv2D):
        options = {"padding": layer.padding.upper(), "dilations": layer.dilation_rate}
        return tf.nn.conv2d_transpose(above, feedback, h.shape, layer.strides, **options)
    return tf.tensordot(above, feedback, [[-1], [1]])


def _to_kernel(layer: keras.Layer, above: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
    if isinstance(layer, keras.layers.Conv2D):
        return tf.raw_ops.Conv2DBackpropFilter(
            input=h,
            filter_sizes=layer.kernel.shape,
            out_backprop=above,
            strides=[1, *layer.strides, 1],
            dilations=[1, *layer.dilation_rate, 1],
            padding=layer.padding.upper(),
        )
    rows, columns = (tf.reshape(part, [-1, part.shape[-1]]) for part in (h, above))
    return tf.matmul(rows, columns, transpose_a=True)


def _require_known(layer: keras.Layer) -> None:
    convolution = isinstance(layer, keras.layers.Conv2D)
    plain = is_product(layer) or isinstance(layer, PooledConv2D)
    if plain and convolution:
        plain = layer.groups == 1 and layer.data_format == "channels_last"
    if not plain:
        known = "Dense and Conv2D layers (not grouped, channels last)"
        raise ValueError(f"errors come back through {known}, got layer {layer.name!r}, a {type(layer).__name__}")


def _drawn(layer: keras.Layer, seed: int) -> tf.Variable:
    """Draw B_l, of the shape of the layer's kernel."""
    return tf.Variable(keras.initializers.GlorotUniform(seed=seed)(layer.kernel.shape), trainable=False)


def _deviation(layer: keras.Layer) -> float:
    """Return the standard deviation of B_l's entries."""
    *window, into, out = layer.kernel.shape
    return math.sqrt(2.0 / (math.prod(window) * (into + out)))
