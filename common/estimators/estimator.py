"""The contract: a gradient estimator turns a batch into a training direction, and says what that costs.

An estimator that is not built consists of its settings. The constructor stores every argument under its name, `repr` is
the constructor call, and no attribute refers to a task, a run or a seed. `build` attaches the estimator to a task for
one run.

An estimator may wrap another one, such as noise around any estimator. Compose estimators instead of adding flags.
Gradients point uphill; the optimizer subtracts.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from common.checks import require
from common.data.load import Split
from common.settings import Configured
from common.tasks.task import Task


@dataclass(frozen=True)
class RunContext:
    """The facts about a run that an estimator may use.

    Attributes:
        seed: the run's seed; it determines an estimator's initial weights.
        steps: number of updates of the whole run; None: not known.
        steps_per_epoch: number of updates per epoch; None: not known.
        batch_size: examples per step; an epoch's last batch may have fewer. None: not known.
        split: the training examples; None: there are none.
    """

    seed: int = 0
    steps: int | None = None
    steps_per_epoch: int | None = None
    batch_size: int | None = None
    split: Split | None = None


UNKNOWN_RUN = RunContext()  # of seed 0, and of unknown length and examples


class GradientEstimate(NamedTuple):
    """The result of one call of `GradientEstimator.estimate`.

    Attributes:
        loss: scalar float32, mean over the batch, in the units of the task's loss.
        outputs: (batch, outputs) float32 logits or predictions, from which the loop computes the training metric.
        gradients: one float32 tensor for each of `task.weights`, of the same shape and in the same order.
    """

    loss: tf.Tensor
    outputs: tf.Tensor
    gradients: list[tf.Tensor]

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(part.shape)) for part in self.gradients[:4])
        more = ", …" if len(self.gradients) > 4 else ""
        return (
            f"<GradientEstimate: outputs {tuple(self.outputs.shape)}, {len(self.gradients)} gradients {shapes}{more}>"
        )


class GradientEstimator(Configured, tf.Module):
    """Base of all estimators. Subclasses implement `estimate` and `cost`, and `build` if they keep state.

    A constructor checks its arguments, stores each under its own name and does nothing else.
    """

    def __init__(self):  # without the name that a tf.Module takes: it would be a setting
        super().__init__()

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Attach to `task` and create all state as variables, so that a tf.train.Checkpoint holds it.

        The loop calls it once before tracing. It builds every estimator that is a public attribute, such as `inner`;
        subclasses that add state call `super().build(task, run)` first. A value that depends on the seed is a variable
        or is derived from the seed of `estimate`. It is never a Python constant, since one trace serves all seeds of a
        run.
        """
        self.task = task
        for estimator in self._wrapped():
            estimator.build(task, run)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate the gradient of the mean loss on one batch, in pure TensorFlow, inside one traced function.

        It may change the estimator's own state (eigenvectors, predictors), never the network's weights. Called by hand,
        it also takes NumPy arrays as x and y.

        Args:
            x: (batch, *input_shape) float32.
            y: (batch,) int32 labels or (batch, 1) float32 targets.
            seed: (2,) int64, (run seed, global step). All randomness is stateless and derived from it, see
                `common.randomness.Stream`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement estimate(x, y, seed)")

    def cost(self, batch_size: int) -> float:
        """Return the cost of one call on `batch_size` examples, in gradients of one example.

        Backpropagation on a batch of B examples costs B. The cost is counted from the multiply-accumulates of matrix
        products. If steps differ in cost, it is the mean over the steps of a long run. It depends on the settings, the
        task and the batch size, but not on earlier estimates.

        Args:
            batch_size: examples of the step, ≥ 1.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what one estimate costs")

    def setup_cost(self, batch_size: int, steps: int) -> float:
        """Return the extra cost of the first `steps` updates, beyond steps × cost, in gradients of one example.

        Set-up cost is paid once, or more often at first. The default is that of the wrapped estimators, else 0.

        Args:
            batch_size: examples per step, ≥ 1.
            steps: updates so far, ≥ 1.
        """
        return float(sum(estimator.setup_cost(batch_size, steps) for estimator in self._wrapped()))

    def bytes_sent(self, batch_size: int) -> float:
        """Return the size in bytes of the message in which one worker sends one estimate to the server.

        The default is a dense float32 gradient, 4 bytes per trainable scalar, or the message of a wrapped estimator.
        Override it in an estimator that compresses the message or sends other numbers. If steps differ, it is the mean
        over the steps of a long run. Like `cost`, it depends on no estimate.

        Args:
            batch_size: examples of the step, ≥ 1.
        """
        wrapped = self._wrapped()
        dense = 4.0 * self.task.parameter_count
        return float(sum(estimator.bytes_sent(batch_size) for estimator in wrapped)) if wrapped else dense

    def epsilon(self, batch_size: int, steps: int) -> float:  # noqa: ARG002 - what those that override it need
        """Return ε of the (ε, δ)-differential privacy of the training examples after `steps` updates.

        The default is infinite, which guarantees nothing. A private estimator overrides it, and documents δ and its
        assumptions. A wrapper that sees the training examples only through a private estimator may return that
        estimator's ε.

        Args:
            batch_size: examples per step, ≥ 1.
            steps: updates so far, ≥ 1.
        """
        return math.inf

    def __setattr__(self, name: str, value: Any) -> None:
        # A setting stays what was given: TensorFlow would wrap a list, and track an optimizer that is only copied. An
        # estimator within this one has state that a checkpoint must hold.
        if name in _arguments(type(self)) and not _is_estimator(value):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def __deepcopy__(self, memo: dict) -> GradientEstimator:
        """Return an estimator with the same settings that is not built, since a built one is tied to its task."""
        settings = self.settings.items()
        return type(self)(
            **{name: copy.deepcopy(value, memo) if _is_estimator(value) else value for name, value in settings}
        )

    def _wrapped(self) -> list[GradientEstimator]:
        return [value for name, value in vars(self).items() if not name.startswith("_") and _is_estimator(value)]


def require_estimator(name: str, value: Any) -> None:
    """Raise a ValueError unless the inner estimator is a gradient estimator."""
    require(_is_estimator(value), name, "a gradient estimator, such as Backpropagation()", value)


def _is_estimator(value: Any) -> bool:
    return isinstance(value, GradientEstimator)


@functools.cache
def _arguments(owner: type) -> frozenset[str]:
    return frozenset(inspect.signature(owner.__init__).parameters) - {"self"}
