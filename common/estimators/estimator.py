"""The contract: a gradient estimator turns a batch into a training direction, and says what that costs.

An estimator may wrap another one (noise around anything, a Newton step around anything): compose, do not flag.
Gradients point uphill; the optimizer subtracts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import keras
import tensorflow as tf

from common.tasks.task import Task


class GradientEstimate(NamedTuple):
    """What one call of `GradientEstimator.estimate` returns.

    Attributes:
        loss: scalar float32, mean over the batch, in the units of the task's loss.
        outputs: (batch, outputs) float32 logits or predictions, from which the loop computes the training metric.
        gradients: one float32 tensor for each of `task.weights`, of the same shape and in the same order.
    """

    loss: tf.Tensor
    outputs: tf.Tensor
    gradients: list[tf.Tensor]


class GradientEstimator(tf.Module):
    """Base of all estimators. Subclasses implement `estimate` and `cost`, and `build` if they keep state."""

    def build(self, task: Task) -> None:
        """Attach to `task` and create all state as tf.Variables, so that a tf.train.Checkpoint holds it.

        The loop calls it once before tracing. Subclasses that add state call `super().build(task)` first.
        """
        self.task = task

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate the gradient of the mean loss on one batch, in pure TensorFlow, inside one traced function.

        It may change the estimator's own state (eigenvectors, predictors), never the network's weights.

        Args:
            x: (batch, *input_shape) float32.
            y: (batch,) int32 labels or (batch, 1) float32 targets.
            seed: (2,) int64, (run seed, global step). All randomness is stateless and derived from it (fold_in).
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement estimate(x, y, seed)")

    @property
    def cost(self) -> float:
        """What one call costs, in minibatch gradients: forward and backward passes of one batch of the same size."""
        raise NotImplementedError(f"{type(self).__name__} does not say what one estimate costs")

    @property
    def initial_cost(self) -> float:
        """What is paid once a run and not at each step, in minibatch gradients: nothing, or what a wrapped one pays."""
        return sum(value.initial_cost for value in vars(self).values() if isinstance(value, GradientEstimator))

    @property
    def settings(self) -> dict:
        """What makes this estimator this one, as plain data: class, public settings, and what it wraps.

        A checkpoint made under other settings is refused.
        """
        found = {"estimator": type(self).__name__}
        for name, value in vars(self).items():
            if name.startswith("_"):
                continue
            if isinstance(value, GradientEstimator):
                found[name] = value.settings
            elif dataclasses.is_dataclass(value):
                found[name] = {"kind": type(value).__name__} | dataclasses.asdict(value)
            elif isinstance(value, int | float | str | bool | None):
                found[name] = value
            elif isinstance(value, tuple):
                found[name] = list(value)
        return found


@contextmanager
def state_undone(estimator: GradientEstimator) -> Iterator[None]:
    """Put back what an estimator's state was: a look at its gradients between steps must teach it nothing."""
    # All that a checkpoint of it holds: `estimator.variables` leaves out those of Keras' layers.
    parts = tf.train.TrackableView(estimator).descendants()
    state = [part for part in parts if isinstance(part, tf.Variable | keras.Variable)]
    before = [tf.identity(variable) for variable in state]
    try:
        yield
    finally:
        for variable, value in zip(state, before, strict=True):
            variable.assign(value)
