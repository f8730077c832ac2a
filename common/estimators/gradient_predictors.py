"""Models that predict the gradient of the loss with respect to a layer's activations, from these activations.

ĝ(h) = P_{d+1} φ(P_d ... φ(P_1 h)) with d hidden layers, φ(z) = max(0, batch norm(z)), or, conditioned on the label, the
same from h and y (arXiv 1608.05343, sections 2.1 and 3.1). P are dense layers for vectors and 3×3 convolutions
for feature maps. The label is a one-hot vector beside the activations; for maps, each class has a map of its own, which
is added to what the convolutions say: what a class wants depends on the place (the paper gives its convolutions a
constant channel a class instead). P_{d+1} and the classes' maps start at zero, so that an untrained predictor moves
nothing. It is trained on

    (1/B) Σ_i ‖ĝ(h_i, y_i) - t_i‖²

where t_i is B times example i's part of the gradient of the mean loss, so that targets have the same scale for every
batch size: the gradient of the example's own loss where no batch norm above the boundary ties it to the others.

Batch norm sees the statistics of the batch at hand, always: a predictor is used in training only. Keras keeps up its
moving averages, and nobody uses them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from common.estimators.network_modules import layer_products
from common.estimators.own_optimizers import copy_of
from common.models import hash_seed

FILTER = 3  # pixels, the side of the convolutions' kernels


class Prediction(NamedTuple):
    """What a predictor says of one batch.

    Attributes:
        gradient: (batch, *shape) float32, B times each example's part of the gradient of the mean loss.
        tape: from which the predictor's gradients are taken once.
    """

    gradient: tf.Tensor
    tape: tf.GradientTape


class GradientPredictor(tf.Module):
    """A predictor of one boundary with the optimizer that trains it.

    Args:
        shape: of one example's activations, (features,) or (height, width, channels).
        classes: C ≥ 2, number of labels it is conditioned on; 0: it does not see the label.
        hidden_layers: d ≥ 0.
        width: units (or channels) of each.
        optimizer: whose copy, with a state of its own, trains this predictor.
        seed: decides the hidden layers' initial weights.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        hidden_layers: int,
        width: int,
        optimizer: keras.optimizers.Optimizer,
        seed: int,
    ):
        super().__init__()
        self._classes, of_maps = classes, len(shape) == 3
        body = _body(of_maps, shape[-1], hidden_layers, width, seed)
        beside = 0 if of_maps else classes
        self.network = keras.Sequential([keras.Input((*shape[:-1], shape[-1] + beside)), *body])
        self.class_maps = None
        if of_maps and classes:
            maps = layers.Dense(math.prod(shape), use_bias=False, kernel_initializer="zeros", dtype="float32")
            self.class_maps = keras.Sequential([keras.Input((classes,)), maps, layers.Reshape(tuple(shape))])
        self.optimizer = copy_of(optimizer)
        self.optimizer.build(self._weights)

    def predict(self, h: tf.Tensor, y: tf.Tensor) -> Prediction:
        """Predict from (batch, *shape) activations and, where it is conditioned, (batch,) labels."""
        h = tf.stop_gradient(h)
        labels = tf.one_hot(tf.cast(y, tf.int32), self._classes) if self._classes else None
        with tf.GradientTape() as tape:
            if self.class_maps:
                gradient = self.network(h, training=True) + self.class_maps(labels)
            else:
                gradient = self.network(h if labels is None else tf.concat([h, labels], -1), training=True)
        return Prediction(gradient, tape)

    def learn(self, prediction: Prediction, target: tf.Tensor) -> None:
        """Take one step towards the target, (batch, *shape), through which nothing is differentiated."""
        error = prediction.gradient - tf.stop_gradient(target)
        weights = self._weights
        scale = 2.0 / tf.cast(tf.shape(error)[0], tf.float32)
        gradients = prediction.tape.gradient(prediction.gradient, weights, output_gradients=scale * error)
        self.optimizer.apply(gradients, weights)

    @property
    def products(self) -> float:
        """Multiplications of matrix products for one example, forward and backward."""
        counts = [count for count in map(layer_products, self.network.layers) if count]
        maps = 2 * sum(map(layer_products, self.class_maps.layers)) if self.class_maps else 0
        return 3.0 * sum(counts) - counts[0] + maps  # nobody asks for the gradient at its input

    @property
    def _weights(self) -> list[keras.Variable]:
        return self.network.trainable_variables + (self.class_maps.trainable_variables if self.class_maps else [])


def _body(convolutional: bool, outputs: int, hidden_layers: int, width: int, seed: int) -> list[layers.Layer]:
    body: list[layers.Layer] = []
    for number in range(hidden_layers):
        start = keras.initializers.GlorotUniform(seed=hash_seed(seed, number))
        body += [_linear(convolutional, width, start, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    return [*body, _linear(convolutional, outputs, "zeros", use_bias=True)]


def _linear(convolutional: bool, outputs: int, start: keras.Initializer | str, use_bias: bool) -> layers.Layer:
    how = {"kernel_initializer": start, "use_bias": use_bias, "dtype": "float32"}
    return layers.Conv2D(outputs, FILTER, padding="same", **how) if convolutional else layers.Dense(outputs, **how)
