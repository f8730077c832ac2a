"""The number of updates of a run, and the amounts that they spend, computed from batch sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from common.checks import is_whole, require, require_count
from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator, RunContext


@dataclass(frozen=True)
class Budget:
    """The batches of a run: an epoch has full batches, then a smaller last batch unless that is left out.

    With `limit`, an epoch ends after this number of full batches of its order. Methods whose steps cost different
    amounts thus get the same arithmetic and are evaluated equally often.

    Attributes:
        dataset: its training split is divided into batches.
        epochs: number of epochs, ≥ 1.
        batch_size: examples per step, 1 to the size of the training split.
        drop_remainder: whether the smaller last batch of an epoch is left out.
        limit: full batches after which an epoch ends, `steps_per_epoch` of the loop; None: all.

    Raises:
        ValueError: a value out of range.
    """

    dataset: Dataset
    epochs: int
    batch_size: int
    drop_remainder: bool = False
    limit: int | None = None

    def __post_init__(self):
        require_count("epochs", self.epochs)
        require(is_whole(self.batch_size), "batch_size", "a whole number of examples", self.batch_size)
        require(self.limit is None or is_whole(self.limit), "steps_per_epoch", "a whole number, or None", self.limit)
        require(isinstance(self.drop_remainder, bool), "drop_remainder", "True or False", self.drop_remainder)
        examples = len(self.dataset.train)
        allowed = f"between 1 and the {examples:,} training examples of {self.dataset.name!r}"
        require(1 <= self.batch_size <= examples, "batch_size", allowed, self.batch_size)
        full = examples // self.batch_size
        allowed = f"between 1 and the {full:,} full batches of {self.batch_size} examples in an epoch, or None"
        require(self.limit is None or 1 <= self.limit <= full, "steps_per_epoch", allowed, self.limit)

    @property
    def rest(self) -> int:
        """Examples in the smaller last batch of an epoch; 0 if there is none."""
        leaves_out = self.drop_remainder or self.limit is not None
        return 0 if leaves_out else len(self.dataset.train) % self.batch_size

    @property
    def full_steps_per_epoch(self) -> int:
        """Updates with full batches in one epoch."""
        return self.limit or len(self.dataset.train) // self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one epoch."""
        return self.full_steps_per_epoch + (self.rest > 0)

    @property
    def steps(self) -> int:
        """Updates in the whole run."""
        return self.epochs * self.steps_per_epoch

    def context(self, seed: int) -> RunContext:
        """Return the facts about the run that an estimator may know."""
        return RunContext(
            seed=seed,
            steps=self.steps,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            split=self.dataset.train,
        )

    def spent(self, estimator: GradientEstimator, step: int) -> dict[str, float]:
        """Return the amounts that the first `step` updates spend, each batch with its own size; see `spent_by`."""
        return spent_by(estimator, self.batch_size, step, self.rest, self.steps_per_epoch)


NOTHING_SPENT = {"cost": 0.0, "bytes_sent": 0.0}


def spent_by(
    estimator: GradientEstimator, batch_size: int, step: int, rest: int = 0, steps_per_epoch: int = 1
) -> dict[str, float]:
    """Return the amounts that the first `step` updates spend: cost, bytes sent and privacy.

    Args:
        estimator: a built estimator.
        batch_size: examples of a full batch.
        step: updates made, ≥ 0.
        rest: examples of the smaller batch that ends each epoch; 0 if there is none.
        steps_per_epoch: updates in one epoch, the smaller one included.

    Returns:
        `cost`, in gradients of one example, including the setup; `bytes_sent`, in bytes; and `epsilon`, if the
        estimator promises a finite one (see `GradientEstimator.epsilon`; a smaller batch counts as a full one).
    """
    if step == 0:
        return dict(NOTHING_SPENT)
    smaller = step // steps_per_epoch if rest else 0

    def over_steps(each: Callable[[int], float], once: float) -> float:
        full = (step - smaller) * each(batch_size) + once
        return float(full + smaller * each(rest) if smaller else full)

    cost = over_steps(estimator.cost, estimator.setup_cost(batch_size, step))
    spent = {"cost": cost, "bytes_sent": over_steps(estimator.bytes_sent, 0.0)}
    epsilon = estimator.epsilon(batch_size, step)
    return spent | ({"epsilon": float(epsilon)} if math.isfinite(epsilon) else {})
