"""The base of evolution strategies on the weights: members are evaluated, and fitnesses determine the update.

`parameter_evolution` perturbs all layers at once; `layerwise_evolution` perturbs one layer at a time.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow as tf

from common.checks import require, require_one_of
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimator, RunContext
from common.estimators.evolution.perturbed_network import PerturbedNetwork
from common.randomness import Stream
from common.tasks.task import Task

FITNESSES = ("loss", "accuracy")


class Evaluation(NamedTuple):
    """The result of evaluating a population.

    Attributes:
        fitnesses: the fitnesses of all members, as `update_from` takes them. A member's fitness is the mean over the
            examples that it sees.
        loss: scalar float32.
        outputs: (batch, outputs) float32.
    """

    fitnesses: Any
    loss: tf.Tensor
    outputs: tf.Tensor


class WeightEvolution(GradientEstimator):
    """Base class of the evolution strategies on the weights; subclasses implement `estimate` and `cost`.

    Args:
        sigma: σ > 0, the standard deviation of the perturbation of each weight, in the weights' units.
        fitness: one of FITNESSES.
        weight_decay: λ ≥ 0; the gradient of λ‖w‖²/2 is added.
        keep: 0 < q ≤ 1, the share of the batch that members see; see `importance_sampling`.

    Raises:
        ValueError: a value is out of range. `build` raises it for an unsupported layer, and for "accuracy" if the task
            has none.
    """

    def __init__(self, sigma: float, *, fitness: str, weight_decay: float, keep: float):
        super().__init__()
        require(0 < sigma < math.inf, "sigma", "> 0 and finite", sigma)
        require(0 <= weight_decay < math.inf, "weight_decay", "≥ 0 and finite", weight_decay)
        require_one_of("fitness", fitness, FITNESSES)
        require(0 < keep <= 1, "keep", "> 0 and ≤ 1", keep)
        self.sigma, self.fitness, self.weight_decay, self.keep = sigma, fitness, weight_decay, keep

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Find the layers to perturb; see the class for the errors raised."""
        super().build(task, run)
        allowed = f'"loss" where the task\'s metric is {task.metric_name!r}'
        require(self.fitness == "loss" or task.metric_name == "accuracy", "fitness", allowed, self.fitness)
        self._network = PerturbedNetwork(task)

    def _per_example_fitness(self, y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Return the fitness per example, (rows,), given (rows,) labels or (rows, 1) targets and (rows, outputs)."""
        if self.fitness == "accuracy":
            return self.task.per_example_metric(y, outputs)
        return -self.task.per_example_loss(y, outputs)

    def _kept(self, batch: int) -> int:
        """Return the number of examples that members see."""
        return round(self.keep * batch)

    @staticmethod
    def _own_seed(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.fold_in(seed, Stream.PERTURBATIONS)

    def _gradients(self, sums: list[list[tf.Tensor]]) -> list[tf.Tensor]:
        """Reshape each layer's sums as the weights, and add the weight decay."""
        gradients = self._network.gradients(sums)
        if not self.weight_decay:
            return gradients
        return [part + self.weight_decay * weight for part, weight in zip(gradients, self.task.weights, strict=True)]
