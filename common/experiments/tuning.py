"""Tuning of learning rates on validation data, with equally many trials per run; timing of runs in turn."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import pandas as pd

from common.checks import require
from common.data.load import Dataset
from common.experiments.run import Run, TaskSettings, completed, train_all
from common.optimizers import Lazy
from common.optimizers.notation import arguments_of
from common.optimizers.schedules import RelativeSchedule
from common.results.summary import last_rows, validation_scores
from common.settings import text
from common.training.timing import one_epoch, timed_in_turn


def choose(
    plan: Sequence[Run],
    data: Dataset,
    *,
    network: TaskSettings,
    factors: Sequence[float],
    seeds: Sequence[int],
    experiment: str,
    epochs: int | None = None,
    folds: Sequence[Dataset] = (),
    store: str | Path | None = None,
) -> tuple[list[Run], pd.DataFrame]:
    """Choose a factor of each run's learning rate by the mean metric on validation data.

    Every run gets the same factors, trial seeds and epochs, so that none is tuned more than another. At ties, the
    larger learning rate is chosen. A trial with a diverged seed loses to every other. With a single factor, there is no
    choice, and nothing is trained.

    Args:
        plan: runs with the learning rate that the factors multiply.
        data: as in `train_all`; runs need a validation split.
        network: as in `train_all`.
        factors: > 0; they multiply the learning rate, or the first one of a schedule.
        seeds: the seeds of the trials; use others than those of the plan.
        experiment: as in `train_all`.
        epochs: number of epochs per trial; None: that of the run.
        folds: data sets of `common.data.folds`, for a choice by cross-validation; as in `best_of`.
        store: as in `train_all`.

    Returns:
        The plan with the chosen learning rates, and the frame of all trials, which may be empty (group "trial"; the
        column `trial_of` has the name of a trial's run).
    """
    require(all(factor > 0 for factor in factors) and len(factors) > 0, "factors", "some numbers above 0", factors)
    if len(factors) == 1:
        return [_with_factor(run, factors[0]) for run in plan], pd.DataFrame()
    candidates = {
        run.name: {factor: _with_factor(run, factor) for factor in sorted(factors, reverse=True)} for run in plan
    }
    trials = {
        name: [_trial(run, f"rate × {factor:g}", epochs) for factor, run in tried.items()]
        for name, tried in candidates.items()
    }
    best, frame = best_of(trials, data, network=network, seeds=seeds, experiment=experiment, folds=folds, store=store)
    return [list(candidates[name].values())[number] for name, number in best.items()], frame


def best_of(
    trials: Mapping[str, Sequence[Run]],
    data: Dataset,
    *,
    network: TaskSettings,
    seeds: Sequence[int],
    experiment: str,
    folds: Sequence[Dataset] = (),
    store: str | Path | None = None,
) -> tuple[dict[str, int], pd.DataFrame]:
    """Train the trials of every method and return the best, by the mean metric on validation data.

    A trial with a diverged seed loses to every other. At ties, the first trial is chosen.

    Args:
        trials: the trials by method, equally many of each, with unique names.
        data: as in `train_all`; runs need a validation split.
        network: as in `train_all`.
        seeds: the seeds of the trials; use others than those of the plan.
        experiment: as in `train_all`.
        folds: data sets on each of which every trial is trained, in place of its own data; the mean over them counts.
        store: as in `train_all`.

    Returns:
        The number of the best trial of each method, from 0, and the frame of all trials. Its column `trial_of` has the
        name of a trial's method. With folds, the frame has only the last row of each run, named by trial and fold.

    Raises:
        ValueError: a method has more trials than another.
    """
    numbers = sorted({len(tried) for tried in trials.values()})
    require(len(numbers) == 1, "the numbers of trials", "the same for every method", numbers)
    parts = {trial.name: _on_each(trial, folds) for tried in trials.values() for trial in tried}
    plan = [part for trained in parts.values() for part in trained]
    frame, _ = train_all(plan, data, network=network, seeds=seeds, experiment=experiment, store=store)
    reached = validation_scores(frame)
    scores = {trial: sum(reached[part.name] for part in trained) for trial, trained in parts.items()}
    best = {
        name: max(range(len(tried)), key=lambda number: scores[tried[number].name]) for name, tried in trials.items()
    }
    method_of = {part.name: name for name, tried in trials.items() for trial in tried for part in parts[trial.name]}
    # Curves of hundreds of runs on folds would be most of a result file, and nothing is chosen by them.
    frame = last_rows(frame) if folds else frame
    return best, frame.assign(trial_of=frame["run"].map(method_of))


def time_in_turn(
    plan: Sequence[Run], data: Dataset, *, network: TaskSettings, seed: int, epochs: int
) -> dict[str, list[float]]:
    """Time epochs of all runs in turn, so that other load on the machine slows every run alike.

    Args:
        plan: the runs.
        data: as in `train_all`.
        network: as in `train_all`.
        seed: the seed of every run.
        epochs: number of epochs of every run, ≥ 0; with 0 nothing is timed.

    Returns:
        Seconds by the run's name, one value per epoch; NaN for a diverged epoch, which ends early. Empty without
        epochs.
    """
    if not epochs:
        return {}
    timed = {}
    for run in completed(plan, data, network):
        objects, split = run.built_for(seed), run.data.train
        timed[run.name] = one_epoch(*objects, split, batch_size=run.examples_per_step, seed=seed)
    return timed_in_turn(timed, epochs)


def _trial(run: Run, setting: str, epochs: int | None) -> Run:
    return run.but(f"trial: {run.name}, {setting}", group="trial", epochs=epochs or run.epochs, diagnostics=())


def _on_each(trial: Run, folds: Sequence[Dataset]) -> list[Run]:
    """Return the trial on each of the folds, or the trial itself if there are none."""
    return [trial.but(f"{trial.name}, fold {number}", data=fold) for number, fold in enumerate(folds, 1)] or [trial]


def _with_factor(run: Run, factor: float) -> Run:
    """Return the run with its learning rate, or the first one of its schedule, times a factor."""
    return dataclasses.replace(run, optimizer=_scaled(run.optimizer, factor, run.name))


def _scaled(optimizer: keras.optimizers.Optimizer, factor: float, name: str) -> keras.optimizers.Optimizer:
    if isinstance(optimizer, Lazy):
        return Lazy(_scaled(optimizer.inner, factor, name))
    rate, config = arguments_of(optimizer)["learning_rate"], copy.deepcopy(optimizer.get_config())
    if isinstance(rate, RelativeSchedule):
        config["learning_rate"]["config"]["initial"] *= factor
    else:
        known = "a number or a schedule of common.optimizers, which has a first one"
        require(isinstance(rate, float), f"the learning rate of {name!r}", known, text(rate))
        config["learning_rate"] *= factor
    return type(optimizer).from_config(config)
