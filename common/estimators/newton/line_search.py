"""Line search along a direction: Armijo's condition on the minibatch, by halving.

    L(w - t p) ≤ L(w) - c t gᵀp,    t = 1, 1/2, 1/4, ...

(Nocedal and Wright, Numerical Optimization, section 3.1). Combine an estimator that scales its direction in this way
with gradient descent at learning rate 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from common.checks import require
from common.settings import Configured
from common.tasks.task import Task

LINE_SEARCH_COST = 1 / 3  # of a batch's gradient: a forward pass; halvings are not known beforehand


@dataclass(frozen=True, repr=False, eq=False)
class ArmijoLineSearch(Configured):
    """Line search that halves a step until the loss falls by a given part of the decrease predicted by the slope.

    Attributes:
        decrease: c, between 0 and 1, the required part of the predicted decrease.
        halvings: the largest number of halvings, ≥ 1. If none suffices, the step is zero, as for a direction of ascent.
    """

    decrease: float = 1e-4
    halvings: int = 8

    def __post_init__(self):
        require(0 < self.decrease < 1, "decrease", "between 0 and 1", self.decrease)
        require(self.halvings >= 1, "halvings", "≥ 1", self.halvings)

    def cost(self, batch_size: int) -> float:
        """Return the cost of a search that ends at once, in gradients of one example."""
        return LINE_SEARCH_COST * batch_size

    def shortened(
        self,
        direction: Sequence[tf.Tensor],
        task: Task,
        batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
        loss: tf.Tensor,
        gradients: Sequence[tf.Tensor],
    ) -> list[tf.Tensor]:
        """Return t p; the search moves the weights to find t, and restores them.

        Args:
            direction: p, one tensor for each of the task's weights; it points uphill.
            task: network and loss.
            batch: (x, y, seed) of the estimate; the seed fixes the dropout mask.
            loss: L(w) on the batch, scalar.
            gradients: g, one tensor for each of the task's weights.
        """
        slope = tf.add_n([tf.reduce_sum(g * p) for g, p in zip(gradients, direction, strict=True)])
        before = [tf.identity(weight) for weight in task.weights]

        def loss_at(length: tf.Tensor) -> tf.Tensor:
            x, y, seed = batch
            for weight, value, part in zip(task.weights, before, direction, strict=True):
                weight.assign(value - length * part)
            return task.loss(y, task.outputs(x, seed, update_state=False))

        def enough(length: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
            return (slope > 0.0) & (there <= loss - self.decrease * length * slope)

        def halve(number: tf.Tensor, length: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            length = length / 2.0
            return number + 1, length, loss_at(length)

        first = (tf.constant(0), tf.constant(1.0), loss_at(tf.constant(1.0)))
        _, length, there = tf.while_loop(
            lambda number, length, there: (number < self.halvings) & ~enough(length, there),
            halve,
            first,
            parallel_iterations=1,
        )
        for weight, value in zip(task.weights, before, strict=True):
            weight.assign(value)
        length = tf.where(enough(length, there), length, 0.0)
        return [length * part for part in direction]


def require_line_search(value: ArmijoLineSearch | None) -> None:
    """Raise a ValueError unless the argument is a line search or None."""
    allowed = "a line search, such as ArmijoLineSearch(), or None"
    require(value is None or isinstance(value, ArmijoLineSearch), "line_search", allowed, value)
