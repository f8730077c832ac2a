"""The history of a run: one record per recorded epoch, with the measurements of diagnostics."""

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
    """The state of a run after an epoch, which a diagnostic may read and must not change.

    Attributes:
        task: network (with the weights of this moment), loss and metric.
        estimator: the built estimator that trains.
        optimizer: the built optimizer that trains.
        dataset: the run's data for training, validation and test.
        seed: the run's seed.
        epoch: full epochs trained; it is 0 before the first, when only diagnostics with `at_start = True` are called.
        epochs: planned number of epochs of the run; None if it is not known.
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
    """The records and the status of a run.

    Attributes:
        epochs: one record per recorded epoch. Its entries are epoch (from 1), step (updates so far), seconds (of
            training so far, without evaluation and tracing), cost (so far, in gradients of one example), bytes_sent (so
            far), epsilon (so far, if the estimator promises privacy), train_loss, train_metric (means over that epoch
            during training), validation_loss, validation_metric, and the diagnostics' numbers or arrays. The last
            record of a finished run also has test_loss and test_metric. Missing splits give NaN. A record of epoch 0
            has the diagnostics' measurements before training.
        status: "finished", "diverged" (a loss or gradient was not finite) or "stopped" (by a callback).
        diverged_step: the update, counted from 1, that was refused because it was not finite; None otherwise.
        tracing_seconds: time to trace the epoch in this process; 0 if the trace of another seed was used.
        unfinished: the point after the last record at which a run was interrupted; a resumed run continues there. None
            otherwise.
        method: name of the estimator's class, as in results.
        metric: "accuracy" or "mean_squared_error".
        seed: the run's seed.
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
        """Return the empty history of a run that has not begun."""
        return cls(method=type(estimator).__name__, metric=task.metric_name, seed=seed)

    def frame(self, *, experiment: str = "", **parameters: Any) -> pd.DataFrame:
        """Return the records as a tidy frame, with one row per record and the columns of `common.results`.

        `results.combine` joins the frames of several runs. Every function that takes a frame of results takes this one.

        Args:
            experiment: the value of this column.
            **parameters: one column each, such as run="exact"; they distinguish this run from others.

        Returns:
            Columns experiment, method, seed, <parameters>, epoch, step, seconds, cost, train_loss, train_metric,
            validation_loss, validation_metric, test_loss, test_metric, status, diverged_step, metric, and all other
            measurements.

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
    """Return the last recorded epoch, or 0 before the first; not every epoch has a record."""
    return int(records[-1]["epoch"]) if records else 0


def measured(diagnostics: Iterable[Diagnostic], moment: Moment, record: Record) -> Record:
    """Call diagnostics and return their measurements as Python numbers and NumPy arrays.

    Raises:
        ValueError: two diagnostics, or a diagnostic and the loop, use the same name for two numbers.
    """
    values: Record = {}
    for diagnostic in diagnostics:
        for name, value in diagnostic(moment).items():
            if name in record or name in values:
                raise ValueError(f"diagnostic {name_of(diagnostic)} measures {name!r}, which the record has already")
            values[name] = _plain(value)
    return values


def measured_at_start(diagnostics: Iterable[Diagnostic], moment: Moment) -> list[Record]:
    """Return the record of epoch 0, with measurements before training; an empty list if no diagnostic needs it."""
    early = [diagnostic for diagnostic in diagnostics if getattr(diagnostic, "at_start", False)]
    record = {"epoch": 0, "step": 0, "seconds": 0.0, **NOTHING_SPENT}
    return [record | measured(early, moment, record)] if early else []


def name_of(diagnostic: Diagnostic) -> str:
    """Return the name of a diagnostic's function or class."""
    return getattr(diagnostic, "__name__", type(diagnostic).__name__)


def _plain(value: Any) -> float | np.ndarray:
    array = np.asarray(value)
    return array if array.ndim else array.item()
