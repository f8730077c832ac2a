"""Synthetic weight gradients, regressed from activations: the source's method, kept to show its error.

For each block l, a linear model of an example's output activations predicts the *minibatch* gradient of the block's
weights. The network is updated by the mean prediction, the model by gradient descent on the sum of its errors:

    Ĝ_l = mean_i A_lᵀ h_il            trained on ½ Σ_i ‖A_lᵀ h_il - ∇θ_l L‖²

It is not the method of arXiv 1608.05343, as its author says. There the target is the gradient with respect to a
module's *outputs*. A weight gradient is a sum over examples of products of the layer's input and the error at its
output. The layer's output determines neither. A model of the weight gradient has as many outputs as the layer has
weights. Its target, the exact weight gradient, requires full backpropagation. The model can learn only what gradients
of recent minibatches have in common.

As in the source, the models start at random near zero and have no constant term. Unlike the source's network, ours has
no ReLU behind its last layer.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from common.checks import require
from common.estimators.decoupled.gradient_predictors import require_optimizer
from common.estimators.decoupled.network_modules import ForwardPass, NetworkModule, forward, gradient_products, split
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.optimizers.clone import copy_of
from common.randomness import Stream
from common.tasks.networks import hash_seed
from common.tasks.task import Task
from common.vectors import flatten, unflatten

START = 0.01  # the source's: of the models' weights, times the root of a block's number of weights


class WeightRegression(GradientEstimator):
    """Predicted weight gradients of a sequential network's blocks; the state holds the models and their optimizers.

    Args:
        synth_step: k ≥ 1; the models are trained at every k-th step, beginning with the first. The source uses 10 and
            15.
        optimizer: a Keras optimizer, not built; every model gets a copy. None: Adam at 0.001.

    Raises:
        ValueError: an argument has the wrong type or is out of range. `build` raises it as `network_modules.split`
            does.
    """

    def __init__(self, *, synth_step: int = 1, optimizer: keras.optimizers.Optimizer | None = None):
        super().__init__()
        require(synth_step >= 1, "synth_step", "≥ 1", synth_step)
        require_optimizer(optimizer)
        self.synth_step, self.optimizer = synth_step, optimizer

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Cut the network into blocks and create a model for each."""
        super().build(task, run)
        self._modules = tuple(split(task, None, one_is_enough=True))
        seeds = [hash_seed(run.seed, Stream.MODELS + number) for number in range(len(self._modules))]
        self._models = [_linear(module, seed) for module, seed in zip(self._modules, seeds, strict=True)]
        optimizer = self.optimizer or keras.optimizers.Adam(0.001)
        updates = None if run.steps is None else math.ceil(run.steps / self.synth_step)
        self._optimizers = [copy_of(optimizer, updates, run.steps_per_epoch) for _ in self._models]
        for optimizer, model in zip(self._optimizers, self._models, strict=True):
            optimizer.build(model.trainable_variables)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return loss, outputs and predicted gradients of one batch, and train the models on the exact gradients."""
        passes, exact, predicted = self._run(x, y, seed)
        due = seed[1] % self.synth_step == 0
        tf.cond(due, lambda: self._learn(passes, exact.gradients), lambda: tf.constant(False))
        return exact._replace(gradients=predicted)

    def actual_and_synthetic(self, x, y, seed) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Return the exact and the predicted gradients of the same batch; nothing is trained."""
        _, exact, predicted = self._run(x, y, seed)
        return exact.gradients, predicted

    def _run(self, x, y, seed) -> tuple[list[ForwardPass], GradientEstimate, list[tf.Tensor]]:
        passes, loss, gradient = forward(self.task, self._modules, x, y, seed)
        exact = []
        for number in reversed(range(len(passes))):
            own, gradient = passes[number].backward(gradient, below=number > 0)
            exact = [*own, *exact]
        predicted = []
        for module, model, module_pass in zip(self._modules, self._models, passes, strict=True):
            mean = tf.reduce_mean(_examples(module_pass), 0, keepdims=True)
            predicted += unflatten(model(mean)[0], module.weights)
        return passes, GradientEstimate(loss, passes[-1].leaving, exact), predicted

    def _learn(self, passes: list[ForwardPass], exact: list[tf.Tensor]) -> tf.Tensor:
        """Take one step of every model, with the gradient hᵀ(hA - G) and no tape."""
        start = 0
        blocks = zip(self._modules, self._models, passes, self._optimizers, strict=True)
        for module, model, module_pass, optimizer in blocks:
            part = slice(start, start + len(module.weights))
            h = _examples(module_pass)
            error = model(h) - flatten(exact[part])
            optimizer.apply([tf.matmul(h, error, transpose_a=True)], model.trainable_variables)
            start = part.stop
        return tf.constant(True)

    def cost(self, batch_size: int) -> float:
        """Return the cost from multiply-accumulates: backpropagation for the targets, and the models' products.

        The models predict once, from the mean of the batch. At every k-th step, they are trained on each example.
        """
        models = sum(math.prod(model.layers[0].kernel.shape) for model in self._models)
        applied = 2.0 * batch_size / self.synth_step + 1.0
        return batch_size + applied * models / gradient_products(self._modules)


def _linear(module: NetworkModule, seed: int) -> keras.Sequential:
    """Return a model from a block's outputs to the gradients of all its weights, as one vector."""
    count = sum(math.prod(weight.shape) for weight in module.weights)
    start = keras.initializers.RandomNormal(stddev=START / math.sqrt(count), seed=seed)
    dense = keras.layers.Dense(count, use_bias=False, kernel_initializer=start, dtype="float32")
    return keras.Sequential([keras.Input((math.prod(module.output_shape),)), dense])


def _examples(block: ForwardPass) -> tf.Tensor:
    """Return a block's outputs as (batch, entries)."""
    return tf.reshape(block.leaving, [block.leaving.shape[0], -1])
