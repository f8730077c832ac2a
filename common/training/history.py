"""What a run leaves behind: one record for every recorded epoch, and what diagnostics measure into them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator
from common.results.frame import STATUSES, run_frame
from common.settings import text
from common.tasks.task import Task
from common.training.budget import NOTHING_SPENT

Record = dict[str, float | np.ndarray]


class Moment(NamedTuple):
    """A run as it stands after an epoch: what a diagnostic may look at, and must leave as it is.

    Attributes:
        task: network (with the weights of this moment), loss and metric.
        estimator: the one that trains, built.
        optimizer: the one that trains, built.
        dataset: what the run trains, validates and is tested on.
        seed: the run's.
        epoch: full epochs trained; 0 before the first, where only diagnostics with `at_start = True` are called.
        epochs: how many the run is to have; None: not known.
    """

    task: Task
    estimator: GradientEstimator
    optimizer: keras.optimizers.Optimizer
    dataset: Dataset
    seed: int
    epoch: int
    epochs: int | None = None

    def __repr__(self) -> str:
        epochs = "" if self.epochs is None else f" of {self.epochs}"
        settings = f"{text(self.estimator)}, {text(self.optimizer)}"
        return f"<Moment: epoch {self.epoch}{epochs}, seed {self.seed}, {settings}, {self.dataset.name}>"


Diagnostic = Callable[[Moment], Mapping[str, float | np.ndarray]]


@dataclass(repr=False)
class History:
    """What happened in a run.

    Attributes:
        epochs: one record for every epoch that is recorded: epoch (from 1), step (updates so far), seconds (of training
            so far, evaluation and tracing excluded), cost (so far, in gradients of one example), bytes_sent (so far),
            epsilon (so far, where the estimator promises privacy), train_loss, train_metric (means over that one epoch,
            as it went), validation_loss, validation_metric, and what the diagnostics measured, numbers or arrays; the
            last record of a finished run also has test_loss and test_metric. Missing splits give NaN. What diagnostics
            measured at the start stands in a record of epoch 0.
        status: "finished", "diverged" (a loss or gradient was not finite) or "stopped" (by a callback).
        diverged_step: the update, counted from 1, that was refused because it was not finite; None otherwise.
        tracing_seconds: time to trace the epoch in this process; 0 where the trace of another seed served.
        unfinished: where a run was interrupted since its last record, which a resumed run goes on from; None otherwise.
        method: the estimator's class, as results call it.
        metric: "accuracy" or "mean_squared_error".
        seed: the run's.
    """

    epochs: list[Record] = field(default_factory=list)
    status: str = "running"
    diverged_step: int | None = None
    tracing_seconds: float = math.nan
    unfinished: Record | None = None
    method: str = ""
    metric: str = "accuracy"
    seed: int = 0

    @classmethod
    def of(cls, task: Task, estimator: GradientEstimator, seed: int) -> History:
        """Return the history of a run that has not begun."""
        return cls(method=type(estimator).__name__, metric=task.metric_name, seed=seed)

    def frame(self, *, experiment: str = "", **parameters: Any) -> pd.DataFrame:
        """Return the records as a tidy frame: a row for each, in the columns of `common.results`.

        `results.combine` joins the frames of several runs, and whatever takes a frame of results takes such a one.

        Args:
            experiment: a column of results.
            **parameters: a column each, such as run="exact": what tells this run from others.

        Returns:
            Columns experiment, method, seed, <parameters>, epoch, step, seconds, cost, train_loss, train_metric,
            validation_loss, validation_metric, test_loss, test_metric, status, diverged_step, metric, and what else was
            measured.

        Raises:
            ValueError: a parameter with the name of one of these columns.

        Example:
            >>> history = History([{"epoch": 1, "step": 40, "train_loss": 0.5}], status="finished", method="SPSA")
            >>> history.frame(run="mine")[["method", "seed", "run", "epoch", "step", "train_loss"]].to_dict("records")
            [{'method': 'SPSA', 'seed': 0, 'run': 'mine', 'epoch': 1, 'step': 40, 'train_loss': 0.5}]
        """
        ended = self.status in STATUSES
        frame = run_frame(
            self.epochs,
            experiment=experiment,
            method=self.method,
            seed=self.seed,
            status=self.status if ended else "stopped",
            metric=self.metric,
            diverged_step=self.diverged_step,
            **parameters,
        )
        return frame if ended else frame.assign(status=self.status)

    def __repr__(self) -> str:
        last = self.epochs[-1] if self.epochs else {}
        shown = ("train_loss", "validation_metric", "test_metric")
        values = "".join(f", {name} {last[name]:.4g}" for name in shown if math.isfinite(last.get(name, math.nan)))
        at = "" if self.diverged_step is None else f" in step {self.diverged_step}"
        return f"<History: {epochs_done(self.epochs)} epochs, {self.status}{at}{values}>"


def epochs_done(records: list[Record]) -> int:
    """Return the last recorded epoch, 0 before the first; not every epoch has a record."""
    return int(records[-1]["epoch"]) if records else 0


def measured(diagnostics: Iterable[Diagnostic], moment: Moment, record: Record) -> Record:
    """Call diagnostics and return what they measured, as Python numbers and NumPy arrays.

    Raises:
        ValueError: two of them, or one and the loop, give one name to two numbers.
    """
    values: Record = {}
    for diagnostic in diagnostics:
        for name, value in diagnostic(moment).items():
            if name in record or name in values:
                raise ValueError(f"diagnostic {name_of(diagnostic)} measures {name!r}, which the record has already")
            values[name] = _plain(value)
    return values


def measured_at_start(diagnostics: Iterable[Diagnostic], moment: Moment) -> list[Record]:
    """Return the record of epoch 0, with what diagnostics measure before training; none where none asks for it."""
    early = [diagnostic for diagnostic in diagnostics if getattr(diagnostic, "at_start", False)]
    record = {"epoch": 0, "step": 0, "seconds": 0.0, **NOTHING_SPENT}
    return [record | measured(early, moment, record)] if early else []


def name_of(diagnostic: Diagnostic) -> str:
    """Name a diagnostic by its function or class."""
    return getattr(diagnostic, "__name__", type(diagnostic).__name__)


def _plain(value: Any) -> float | np.ndarray:
    array = np.asarray(value)
    return array if array.ndim else array.item()
