"""What evolution strategies on the weights have in common: members are evaluated, updates rebuilt from their fitnesses.

`parameter_evolution` perturbs all layers at once, `layerwise_evolution` one layer at a time.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow as tf

from common.checks import require, require_one_of
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimator, RunContext
from common.estimators.evolution.perturbed_network import PerturbedNetwork
from common.tasks.task import Task

FITNESSES = ("loss", "accuracy")


class Evaluation(NamedTuple):
    """What a population's evaluation finds.

    Attributes:
        fitnesses: of all members, as `update_from` takes them; a member's is the mean over the examples that it sees.
        loss: scalar float32.
        outputs: (batch, outputs) float32.
    """

    fitnesses: Any
    loss: tf.Tensor
    outputs: tf.Tensor


class WeightEvolution(GradientEstimator):
    """Base of the evolution strategies on the weights; subclasses implement `estimate` and `cost`.

    Args:
        sigma: σ > 0, standard deviation of the perturbation of each weight, in the weights' units.
        fitness: one of FITNESSES.
        weight_decay: λ ≥ 0, the gradient of λ‖w‖²/2 is added.

    Raises:
        ValueError: a value out of range; by `build`, a network whose layers are not known, or "accuracy" where the task
            has none.
    """

    def __init__(self, sigma: float, *, fitness: str, weight_decay: float):
        super().__init__()
        require(0 < sigma < math.inf, "sigma", "> 0 and finite", sigma)
        require(0 <= weight_decay < math.inf, "weight_decay", "≥ 0 and finite", weight_decay)
        require_one_of("fitness", fitness, FITNESSES)
        self.sigma, self.fitness, self.weight_decay = sigma, fitness, weight_decay

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """See what is to be perturbed; see the class for what is refused."""
        super().build(task, run)
        allowed = f'"loss" where the task\'s metric is {task.metric_name!r}'
        require(self.fitness == "loss" or task.metric_name == "accuracy", "fitness", allowed, self.fitness)
        self._network = PerturbedNetwork(task)

    def _per_example_fitness(self, y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """What is to be raised: (rows,) from (rows,) labels or (rows, 1) targets and (rows, outputs)."""
        if self.fitness == "accuracy":
            return self.task.per_example_metric(y, outputs)
        return -self.task.per_example_loss(y, outputs)

    def _gradients(self, sums: list[list[tf.Tensor]]) -> list[tf.Tensor]:
        """Bring each layer's sums into the weights' shapes, and add the weight decay."""
        gradients = self._network.gradients(sums)
        if not self.weight_decay:
            return gradients
        return [part + self.weight_decay * weight for part, weight in zip(gradients, self.task.weights, strict=True)]
