"""Synthetic gradients: modules of a network update from predicted gradients, without waiting for modules above.

A network cut into modules h_i = f_i(h_{i-1}; θ_i), i = 1 ... M (see `network_modules`), has a predictor ĝ_i(h_i), or
ĝ_i(h_i, y) conditioned on the label, at each boundary i < M (see `gradient_predictors`). Module i uses

    u_M = ∂L/∂h_M            u_i = λ t_i + (1 - λ) ĝ_i(h_i, y)            t_{i-1} = (∂f_i/∂h_{i-1})ᵀ u_i

for its weight gradients (∂f_i/∂θ_i)ᵀ u_i. It sends t_{i-1} to the boundary below, where it is the target of the
predictor's squared error. With λ = 0, no module's update depends on a module above. All targets except the topmost then
consist of synthetic gradients (bootstrapping). Unrolled, u_i is a weighted sum, as TD(λ) weighs returns. The
backpropagated synthetic gradient from k boundaries above has the weight (1 - λ) λ^k. The exact gradient has the weight
λ^(M - i). With λ = 1, this is backpropagation. The rule is BP(λ) of the source's "unified view of synthetic gradients".

Source: arXiv 1608.05343, sections 2 and 3.1 (decoupled neural interfaces; its random update schedule is
`update_probability`). Deviations from it: the predictors' targets are per example, B times its part of the gradient of
the mean loss. All modules update at the end of a step, from one set of weights, as always in this project's loop. A
module that skips a step does not train the predictor below it either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from common.checks import require
from common.estimators.decoupled.gradient_predictors import GradientPredictor, Prediction, require_optimizer
from common.estimators.decoupled.network_modules import (
    ForwardPass,
    forward,
    gradient_products,
    require_boundaries,
    split,
)
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.optimizers.clone import copy_of
from common.randomness import Stream
from common.tasks.networks import hash_seed
from common.tasks.task import Task


class SyntheticGradients(GradientEstimator):
    """Decoupled modules of a sequential network; the state holds the predictors and their optimizers.

    Args:
        labels: whether predictors see the label (cDNI) or not (DNI).
        activations: whether predictors see the activations. With labels alone, a predictor learns one gradient for each
            class: a control.
        boundaries: names of the layers behind which the network is cut; None: every block is a module (see
            `network_modules.split`).
        hidden_layers: number of hidden layers per predictor, 0 to 2; None: 0 with labels and 2 without, as in the
            paper.
        width: ≥ 1, the number of units per hidden layer (channels for feature maps); the paper uses 1,024 for vectors.
        mixing: λ in [0, 1], see above; the paper uses 0.
        synth_step: k ≥ 1; predictors are trained at every k-th step, beginning with the first. Modules use them at
            every step.
        update_probability: p in (0, 1]; at each step each module updates independently with this probability. The
            gradient of a module that skips a step is zero. Plain gradient descent then leaves it unchanged. Momentum
            would move it, unless the optimizer is wrapped in `Lazy`. Noise added by another estimator moves it in any
            case. Below 1, λ must be 0, since mixing waits for the modules above; or 1, which is backpropagation with
            rare updates, a control.
        optimizer: a Keras optimizer, not built; every predictor gets a copy. None: Adam at 0.001. A learning rate
            schedule counts a predictor's own updates: update_probability / synth_step times the run's steps.

    Raises:
        ValueError: an argument has the wrong type or is out of range. `build` raises it as `split` does, for labels if
            the task has none, and for labels alone behind feature maps.

    Example:
        >>> from common.data import load
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.networks import Network
        >>> data, exact, estimator = load("digits"), Backpropagation(), SyntheticGradients(mixing=1.0)
        >>> task = Network("mlp", [8]).task(data, seed=0)
        >>> for each in (exact, estimator):
        ...     each.build(task)
        >>> batch = data.train.x[:16], data.train.y[:16], tf.zeros([2], tf.int64)
        >>> pairs = zip(estimator.estimate(*batch).gradients, exact.estimate(*batch).gradients)
        >>> max(float(tf.norm(estimate - gradient)) for estimate, gradient in pairs) < 1e-6  # backpropagation
        True
    """

    def __init__(
        self,
        *,
        labels: bool = True,
        activations: bool = True,
        boundaries: Sequence[str] | None = None,
        hidden_layers: int | None = None,
        width: int = 1_024,
        mixing: float = 0.0,
        synth_step: int = 1,
        update_probability: float = 1.0,
        optimizer: keras.optimizers.Optimizer | None = None,
    ):
        super().__init__()
        require_boundaries(boundaries)
        require(hidden_layers in (None, 0, 1, 2), "hidden_layers", "0, 1 or 2, or None", hidden_layers)
        require(width >= 1, "width", "≥ 1", width)
        require(0 <= mixing <= 1, "mixing", "in [0, 1]", mixing)
        require(synth_step >= 1, "synth_step", "≥ 1", synth_step)
        require(0 < update_probability <= 1, "update_probability", "in (0, 1]", update_probability)
        waits = "0 or 1 where update_probability is below 1: mixing waits for the modules above"
        require(mixing in (0, 1) or update_probability == 1, "mixing", waits, mixing)
        require(activations or labels, "activations", "True where predictors see no label", activations)
        require_optimizer(optimizer)
        self.labels, self.activations, self.boundaries = labels, activations, boundaries
        self.hidden_layers, self.width, self.mixing = hidden_layers, width, mixing
        self.synth_step, self.update_probability, self.optimizer = synth_step, update_probability, optimizer

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Cut the network and create a predictor for each boundary; see the class for the errors raised."""
        super().build(task, run)
        if self.labels and task.metric_name != "accuracy":
            metric = f"got one whose metric is {task.metric_name!r}"
            raise ValueError(f"labels=True needs a task with class labels, {metric}: use labels=False")
        modules = split(task, self.boundaries)
        self._predictors = [
            self._predictor(module.output_shape, hash_seed(run.seed, Stream.PREDICTORS + number), run)
            for number, module in enumerate(modules[:-1])
        ]
        self._modules = tuple(modules)

    def _predictor(self, shape: Sequence[int], seed: int, run: RunContext) -> GradientPredictor:
        outputs = self.task.network.output_shape[-1]
        hidden_layers = self.hidden_layers
        if hidden_layers is None:
            hidden_layers = 0 if self.labels else 2
        steps = None if run.steps is None else math.ceil(self.update_probability * run.steps / self.synth_step)
        optimizer = copy_of(self.optimizer or keras.optimizers.Adam(0.001), steps, run.steps_per_epoch)
        return GradientPredictor(
            shape, outputs, self.labels, hidden_layers, self.width, optimizer, seed, activations=self.activations
        )

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return loss, outputs and each module's own gradients, and train the predictors."""
        passes, loss, top = forward(self.task, self._modules, x, y, seed)
        predictions = self._predict(passes, y)
        updates = self._schedule(seed)
        gradients, target = passes[-1].backward(top, below=True)
        gradients = self._scheduled(gradients, updates[-1])
        for number in reversed(range(len(predictions))):
            used = self._used(target, predictions[number].gradient)
            own, below = passes[number].backward(used, below=number > 0)
            self._train(number, predictions[number], target, updates[number + 1], seed)
            gradients, target = [*self._scheduled(own, updates[number]), *gradients], below
        return GradientEstimate(loss, passes[-1].leaving, gradients)

    def boundary_gradients(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Return (exact, synthetic) gradients of the mean loss at each boundary, (batch, *shape) each.

        The exact gradients are fully backpropagated. Nothing is trained.
        """
        passes, _, gradient = forward(self.task, self._modules, x, y, seed)
        predictions = self._predict(passes, y)
        pairs = []
        for number in reversed(range(len(predictions))):
            _, gradient = passes[number + 1].backward(gradient, below=True)
            pairs.append((gradient, predictions[number].gradient / x.shape[0]))
        return pairs[::-1]

    def _predict(self, passes: list[ForwardPass], y: tf.Tensor) -> list[Prediction]:
        pairs = zip(self._predictors, passes[:-1], strict=True)
        return [predictor.predict(module_pass.leaving, y) for predictor, module_pass in pairs]

    def _used(self, target: tf.Tensor, synthetic: tf.Tensor) -> tf.Tensor:
        """Return u_i; synthetic gradients are B times their part of the gradient of the mean loss."""
        if self.mixing == 1:
            return target
        synthetic = synthetic / synthetic.shape[0]
        return self.mixing * target + (1.0 - self.mixing) * synthetic if self.mixing else synthetic

    def _train(self, number: int, prediction: Prediction, target: tf.Tensor, given, seed: tf.Tensor) -> None:
        """Train a predictor if the module above has made a target and a training step is due."""

        def learn() -> tf.Tensor:
            self._predictors[number].learn(prediction, target * target.shape[0])
            return tf.constant(True)

        if self.synth_step == 1 and given is True:
            learn()
        else:
            due = seed[1] % self.synth_step == 0
            tf.cond(due & given, learn, lambda: tf.constant(False))

    def _schedule(self, seed: tf.Tensor) -> list:
        """Draw which modules update: True, or a scalar bool each."""
        count = len(self._modules)
        if self.update_probability == 1:
            return [True] * count
        uniform = tf.random.stateless_uniform([count], tf.random.fold_in(seed, Stream.SCHEDULE))
        return tf.unstack(uniform < self.update_probability)

    @staticmethod
    def _scheduled(gradients: list[tf.Tensor], updates) -> list[tf.Tensor]:
        if updates is True:
            return gradients
        return [tf.where(updates, part, tf.zeros_like(part)) for part in gradients]

    def cost(self, batch_size: int) -> float:
        """Return the cost from the multiply-accumulates of matrix products.

        The cost is a gradient of the network, over all modules, plus forward and backward passes of the predictors.
        Modules that skip a step, and steps that train no predictor, are counted in full.
        """
        predictors = sum(predictor.products for predictor in self._predictors)
        return batch_size * (1.0 + predictors / gradient_products(self._modules))
