"""Measurements of 05_low_rank_hessian beside its runs: validity of eigenvectors, and a clock for all methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from common import results
from common.data.load import Dataset
from common.diagnostics.eigenvector_overlaps import eigenvector_overlaps
from common.experiments.run import Run, TaskSettings, completed
from common.plotting.curves import select
from common.training.timing import seconds_at


def overlaps(
    run: Run, data: Dataset, *, network: TaskSettings, seed: int, at_steps: Sequence[int], examples: int
) -> dict[str, dict[int, float]]:
    """Follow the Hessian's eigenvectors along a run of saddle-free Newton, from the start and after one epoch.

    Args:
        run: the run; its estimator's rank is the number of eigenvectors compared.
        data: as in `train_all`.
        network: as in `train_all`.
        seed: as in `eigenvector_overlaps`.
        at_steps: numbers of steps, ≥ 1, after which the eigenvectors are compared with the first ones.
        examples: number of training examples, from the first, for the Hessian.

    Returns:
        The results of `eigenvector_overlaps` for "from the start" and "after an epoch".
    """
    (run,) = completed([run], data, network)
    steps_per_epoch = -(-len(run.data.train) // run.examples_per_step)
    measured = {}
    for name, before in (("from the start", 0), ("after an epoch", steps_per_epoch)):
        measured[name] = eigenvector_overlaps(
            *run.built_for(seed), run.data.train, batch_size=run.examples_per_step, before=before,
            at_steps=sorted(at_steps), examples=examples, rank=run.estimator.rank, seed=seed,
        )  # fmt: skip
    return measured


def with_measurements(frame: pd.DataFrame, trials: pd.DataFrame, measured: Mapping[str, Any]) -> pd.DataFrame:
    """Combine the input of figures and tables: runs, trials of learning rates, and further measurements.

    Args:
        frame: the result of `train_all`.
        trials: the result of `tuning.choose`, empty without trials.
        measured: "timed", the seconds by run as in `with_timed_seconds`, and everything else that `results.write`
            stores.

    Returns:
        One frame, with the measurements in its `attrs`, as `results.read` returns it.
    """
    frame = with_timed_seconds(results.combine([frame, trials]), measured["timed"])
    frame.attrs = {"measurements": [measured]}
    return frame


def with_timed_seconds(frame: pd.DataFrame, seconds: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Add `timed_seconds` to the full runs: a clock from epochs in which all methods were timed in turn.

    Args:
        frame: rows of this experiment.
        seconds: by run, the seconds of its first epochs on as many examples as the runs of the group "cause" have; see
            `seconds_at`. If it is empty, nothing is added.

    Returns:
        The frame with the column `timed_seconds`, NaN for all other runs.
    """
    if not seconds:
        return frame
    examples, clock = int(select(frame, group="cause")["train_examples"].iloc[0]), pd.Series(np.nan, index=frame.index)
    for name, epochs in seconds.items():
        rows = select(frame, group="full", run=name)
        steps_per_epoch = -(-examples // int(rows["batch_size"].iloc[0]))
        clock[rows.index] = seconds_at(rows["step"], epochs, steps_per_epoch)
    return frame.assign(timed_seconds=clock)
