"""Models that predict the gradient of the loss with respect to a layer's activations, from these activations.

With d hidden layers, ĝ(h) = P_{d+1} φ(P_d ... φ(P_1 h)) and φ(z) = max(0, batch norm(z)) (arXiv 1608.05343, sections
2.1 and 3.1). Conditioned on the label, the input is h and y. For vectors, P are dense layers, and the label is a
one-hot vector beside the activations. For feature maps, P are convolutions, and

    ĝ(h, y) = P_{d+1} φ(P_d ... φ(P_1 h)) + Q (S h, y)

S h are linear features (with a bias) of the whole map, as many as the network has outputs. Q has one map for each of
these features and one for each class. The gradient of a class depends on the place. The gradient of a dense last layer,
Wᵀ(p - y), is a sum of such maps, whose weights p depend on all of h. Convolutions can represent neither. Beside Q they
need no neighbours and are 1×1. The paper's are 5×5, with one constant channel per class and no Q; these take more
multiplications than our small networks. P_{d+1} and Q start at zero, so that an untrained predictor gives a zero
gradient. The predictor is trained on

    (1/B) Σ_i ‖ĝ(h_i, y_i) - t_i‖²

where t_i is B times example i's part of the gradient of the mean loss. Targets thus have the same scale for every batch
size. Without batch norm above the boundary, t_i is the gradient of the example's own loss.

Batch norm always uses the statistics of the current batch, since a predictor is used only in training. Keras updates
its moving averages, but they are never used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from common.checks import require
from common.estimators.decoupled.network_modules import layer_products
from common.tasks.layers import CHANNELS_LAST
from common.tasks.networks import hash_seed

FILTER = 1  # pixels, the side of the convolutions' kernels


class Prediction(NamedTuple):
    """The prediction for one batch.

    Attributes:
        gradient: (batch, *shape) float32, B times each example's part of the gradient of the mean loss.
        tape: the tape for the predictor's gradients, used once.
    """

    gradient: tf.Tensor
    tape: tf.GradientTape


class GradientPredictor(tf.Module):
    """The predictor of one boundary, with the optimizer that trains it.

    Args:
        shape: the shape of one example's activations, (features,) or (height, width, channels).
        outputs: ≥ 1, the number of outputs of the whole network, and of linear features of a map.
        labels: whether it is conditioned on the label; there are as many labels as outputs.
        activations: whether it sees the activations; if not, it sees the label only.
        hidden_layers: d ≥ 0.
        width: number of units (or channels) of each hidden layer.
        optimizer: the optimizer of this predictor only; it is built here.
        seed: determines the initial weights of hidden layers and of S.

    Raises:
        ValueError: the predictor would see nothing, or only the label of a feature map.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        labels: bool,
        hidden_layers: int,
        width: int,
        optimizer: keras.optimizers.Optimizer,
        seed: int,
        *,
        activations: bool = True,
    ):
        super().__init__()
        self._classes = classes = outputs if labels else 0
        self._activations = activations
        of_maps = len(shape) == 3
        seen = "True where predictors see no label, and behind feature maps"
        require(activations or (labels and not of_maps), "activations", seen, activations)
        body = _body(of_maps, shape[-1], hidden_layers, width, seed)
        beside = 0 if of_maps else classes
        inputs = beside + (shape[-1] if activations else 0)
        self.network = keras.Sequential([keras.Input((*shape[:-1], inputs)), *body])
        self.summary = self.maps = None
        if of_maps:
            start = keras.initializers.GlorotUniform(seed=hash_seed(seed, hidden_layers))
            features = layers.Dense(outputs, kernel_initializer=start, dtype="float32")
            self.summary = keras.Sequential([keras.Input(tuple(shape)), layers.Flatten(), features])
            maps = layers.Dense(math.prod(shape), use_bias=False, kernel_initializer="zeros", dtype="float32")
            self.maps = keras.Sequential([keras.Input((outputs + classes,)), maps, layers.Reshape(tuple(shape))])
        self.optimizer = optimizer
        self.optimizer.build(self._weights)

    def predict(self, h: tf.Tensor, y: tf.Tensor) -> Prediction:
        """Predict from (batch, *shape) activations and, if conditioned on them, (batch,) labels."""
        h = tf.stop_gradient(h)
        labels = [tf.one_hot(tf.cast(y, tf.int32), self._classes)] if self._classes else []
        with tf.GradientTape() as tape:
            if self.maps:
                gradient = self.network(h, training=True) + self.maps(tf.concat([self.summary(h), *labels], -1))
            else:
                inputs = [h, *labels] if self._activations else labels
                gradient = self.network(tf.concat(inputs, -1), training=True)
        return Prediction(gradient, tape)

    def learn(self, prediction: Prediction, target: tf.Tensor) -> None:
        """Take one step towards the target, (batch, *shape), which is treated as a constant."""
        error = prediction.gradient - tf.stop_gradient(target)
        weights = self._weights
        scale = 2.0 / tf.cast(tf.shape(error)[0], tf.float32)
        gradients = prediction.tape.gradient(prediction.gradient, weights, output_gradients=scale * error)
        self.optimizer.apply(gradients, weights)

    @property
    def products(self) -> float:
        """Multiply-accumulates of the matrix products for one example, forward and backward."""
        counts = [count for count in map(layer_products, self.network.layers) if count]
        whole = 0
        if self.maps:
            whole = 2 * sum(map(layer_products, self.summary.layers)) + 3 * sum(map(layer_products, self.maps.layers))
        return 3.0 * sum(counts) - counts[0] + whole  # nobody asks for the gradient at its input

    @property
    def _weights(self) -> list[keras.Variable]:
        of_the_whole = [*self.summary.trainable_variables, *self.maps.trainable_variables] if self.maps else []
        return self.network.trainable_variables + of_the_whole


def require_optimizer(value: keras.optimizers.Optimizer | None) -> None:
    """Raise a ValueError unless the argument is a Keras optimizer or None."""
    allowed = "a Keras optimizer, such as Adam(0.001), or None"
    require(value is None or isinstance(value, keras.optimizers.Optimizer), "optimizer", allowed, value)


def _body(convolutional: bool, outputs: int, hidden_layers: int, width: int, seed: int) -> list[layers.Layer]:
    body: list[layers.Layer] = []
    for number in range(hidden_layers):
        start = keras.initializers.GlorotUniform(seed=hash_seed(seed, number))
        body += [_linear(convolutional, width, start, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    return [*body, _linear(convolutional, outputs, "zeros", use_bias=True)]


def _linear(convolutional: bool, outputs: int, start: keras.Initializer | str, use_bias: bool) -> layers.Layer:
    options = {"kernel_initializer": start, "use_bias": use_bias, "dtype": "float32"}
    if not convolutional:
        return layers.Dense(outputs, **options)
    return layers.Conv2D(outputs, FILTER, padding="same", data_format=CHANNELS_LAST, **options)
