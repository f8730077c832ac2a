"""Synthetic weight gradients, regressed from activations: what the source does, kept to show what is wrong with it.

For each block l, a linear model of its mean output activation over the batch predicts the minibatch gradient of the
block's weights,

    Ĝ_l = C_l + Σ_j A_lj mean_i h_ij            trained on ‖Ĝ_l - ∇θ_l L‖²

and the network is updated by Ĝ. It is not the method of arXiv 1608.05343, as its author says: the target there is the
gradient with respect to a module's *outputs*. A weight gradient is a sum over examples of products, of what entered the
layer and of the error that came back. Its mean output knows neither; a model of it has as many outputs as the layer has
weights; and its target, the exact weight gradient, takes all of backpropagation.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from common.arguments import require
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimate, GradientEstimator
from common.estimators.network_modules import split
from common.flat import flat, unflat
from common.tasks import Task


class WeightRegression(GradientEstimator):
    """Predicted weight gradients of a sequential network's blocks; the models and their optimizers are its state.

    All models start at zero.

    Args:
        synth_step: k ≥ 1: the models are trained at every k-th step, from the first on.
        optimizer: Keras optimizer of which every model gets a copy; None: Adam at 0.001.

    Raises:
        ValueError: a value out of range; by `build`, what `network_modules.split` refuses.
    """

    def __init__(self, *, synth_step: int = 1, optimizer: keras.optimizers.Optimizer | None = None):
        super().__init__()
        require(synth_step >= 1, "synth_step", "≥ 1", synth_step)
        self.synth_step = synth_step
        self._optimizer = optimizer or keras.optimizers.Adam(0.001)
        self._exact = Backpropagation()
        self._batch: int | None = None

    def build(self, task: Task) -> None:
        """Cut the network into blocks and make a model for each."""
        super().build(task)
        self._exact.build(task)
        self._modules = tuple(split(task, None))
        self._models = [_linear(module) for module in self._modules]
        self._optimizers = [type(self._optimizer).from_config(self._optimizer.get_config()) for _ in self._models]
        for optimizer, model in zip(self._optimizers, self._models, strict=True):
            optimizer.build(model.trainable_variables)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return loss, outputs and predicted gradients of one batch, and train the models on the exact ones."""
        exact, predicted = self.actual_and_synthetic(x, y, seed)
        due = seed[1] % self.synth_step == 0
        means = self._mean_outputs(x, seed)
        tf.cond(due, lambda: self._learn(means, predicted, exact.gradients), lambda: tf.constant(False))
        return exact._replace(gradients=predicted)

    def actual_and_synthetic(self, x, y, seed) -> tuple[GradientEstimate, list[tf.Tensor]]:
        """Return the exact estimate and the predicted gradients of the same batch; nothing is trained."""
        self._batch = max(self._batch or 0, x.shape[0])  # an epoch's last batch may be smaller
        exact = self._exact.estimate(x, y, seed)
        predicted = []
        for module, model, mean in zip(self._modules, self._models, self._mean_outputs(x, seed), strict=True):
            predicted += unflat(model(mean)[0], module.weights)
        return exact, predicted

    def _mean_outputs(self, x: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        """Each block's output, flattened and averaged over the batch, (1, entries)."""
        self.task.seed_dropout(seed)
        h, means = x, []
        for module in self._modules:
            h = module.forward(h).leaving
            means.append(tf.reduce_mean(tf.reshape(h, [h.shape[0], -1]), 0, keepdims=True))
        return means

    def _learn(self, means: list[tf.Tensor], predicted: list[tf.Tensor], exact: list[tf.Tensor]) -> tf.Tensor:
        """One step of every model: its gradient is an outer product, written down without a tape."""
        start = 0
        for module, model, mean, optimizer in zip(self._modules, self._models, means, self._optimizers, strict=True):
            part = slice(start, start + len(module.weights))
            error = 2.0 * (flat(predicted[part]) - flat(exact[part]))[None]
            optimizer.apply([tf.matmul(mean, error, transpose_a=True), error[0]], model.trainable_variables)
            start = part.stop
        return tf.constant(True)

    @property
    def settings(self) -> dict:
        """Its own, and those of the models' optimizer."""
        config = {key: value for key, value in self._optimizer.get_config().items() if key != "name"}
        return super().settings | {"optimizer": {"class": type(self._optimizer).__name__} | config}

    @property
    def cost(self) -> float:
        """In minibatch gradients: backpropagation for the targets, and the models, which run once a batch.

        What a batch is, is known once `estimate` was called; before, the models are left out.
        """
        network = 3.0 * sum(module.products for module in self._modules)
        models = 2.0 * sum(math.prod(model.layers[0].kernel.shape) for model in self._models)
        return 1.0 + (models / (network * self._batch) if self._batch else 0.0)


def _linear(module) -> keras.Sequential:
    """A model from a block's outputs to the gradients of all its weights, as one vector."""
    count = sum(math.prod(weight.shape) for weight in module.weights)
    dense = keras.layers.Dense(count, kernel_initializer="zeros", dtype="float32")
    return keras.Sequential([keras.Input((math.prod(module.output_shape),)), dense])
