"""What a run leaves behind: one record for every recorded epoch, and what diagnostics measure into them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np

from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator
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


Diagnostic = Callable[[Moment], Mapping[str, float | np.ndarray]]


@dataclass
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
    """

    epochs: list[Record] = field(default_factory=list)
    status: str = "running"
    diverged_step: int | None = None
    tracing_seconds: float = math.nan
    unfinished: Record | None = None


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
