"""Training on public examples first, on another estimator's direction afterwards.

A server that owns a few training examples can train on them before it asks any device for a noisy gradient. With n the
number of such steps and ĝ_t the estimate of another estimator at step t,

    p_t = ∇L(a random batch of the public examples)  for t < n        p_t = ĝ_t  afterwards

Private training often starts from a network trained on public data (arXiv 2011.11660). Here both parts are one run,
with one schedule of learning rates and one count of steps.
"""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import (
    UNKNOWN_RUN,
    GradientEstimate,
    GradientEstimator,
    RunContext,
    require_estimator,
)
from common.estimators.noise.public_examples import PublicExamples
from common.randomness import Stream, permutation
from common.tasks.task import Task

FORWARD_COST = 1 / 3  # of a gradient: the batch's loss and outputs, which the loop records in the first steps, too


class PublicStart(GradientEstimator):
    """The exact gradient of public examples in the first steps, another estimator's direction afterwards.

    Batches of the first steps are as large as the run's, if there are as many public examples, and are drawn without
    replacement at each step. Loss and outputs are those of the run's batch at all steps.

    Args:
        inner: any estimator, such as a NoisyGradient.
        examples: m ≥ 1; the first m training examples of the run are public.
        steps: n ≥ 1, the number of steps on public examples alone.

    Raises:
        ValueError: an argument has the wrong type or is out of range. `build` raises it for fewer training examples
            than public ones, and for a network with batch norm.
    """

    def __init__(self, inner: GradientEstimator, *, examples: int, steps: int):
        super().__init__()
        require_estimator("inner", inner)
        require(examples >= 1, "examples", "≥ 1", examples)
        require(steps >= 1, "steps", "≥ 1", steps)
        self.inner, self.examples, self.steps = inner, examples, steps

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Store the public examples and build the wrapped estimator; see the class for the errors raised."""
        super().build(task, run)
        if task.batch_norms:
            raise ValueError(
                "PublicStart takes gradients of public examples and outputs of the run's batch, and the averages of "
                f"layer {task.batch_norms[0]!r} can follow one of them only: take a network without batch norm"
            )
        self._public = PublicExamples(run, self.examples)
        self._exact = Backpropagation()
        self._exact.build(task, run)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return the server's estimate or the wrapped one; see `GradientEstimator.estimate` for shapes."""
        return tf.cond(
            seed[1] < self.steps,
            lambda: self._of_the_server(x, y, seed),
            lambda: self.inner.estimate(x, y, seed),
        )

    def _of_the_server(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        order = permutation(self.examples, tf.random.fold_in(seed, Stream.PUBLIC_BATCH))
        drawn = self._public.taken(order[: tf.shape(x)[0]])
        outputs = self.task.outputs(x, seed)
        return GradientEstimate(self.task.loss(y, outputs), outputs, self._exact.estimate(*drawn, seed).gradients)

    def cost(self, batch_size: int) -> float:
        """Return the cost of the wrapped estimator, which all but the first steps have."""
        return self.inner.cost(batch_size)

    def setup_cost(self, batch_size: int, steps: int) -> float:
        """Return what the first steps cost beyond the wrapped estimator's, at least nothing, and its own set-up."""
        first = min(steps, self.steps)
        server = min(batch_size, self.examples) + FORWARD_COST * batch_size
        own = first * max(0.0, server - self.inner.cost(batch_size))
        return own + (self.inner.setup_cost(batch_size, steps - first) if steps > first else 0.0)
