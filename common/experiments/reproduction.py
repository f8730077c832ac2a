"""Stored runs made again: `run_of` rebuilds a `Run` from its rows, `train_again` trains it at this commit."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pandas as pd

from common import estimators, optimizers
from common.data.load import SPECIFICATIONS, Dataset, DataUnavailable, Split, load
from common.experiments.identity import identity_of
from common.experiments.run import Run, train_all
from common.experiments.stored_settings import (
    NOTHING_HELD_OUT,
    ONE_FEATURE,
    SADDLE,
    STANDARDISED,
    CannotRebuildError,
    StoredSettings,
    settings_of,
)
from common.results.stored_runs import StoredRun
from common.settings import Configured, flat_settings, parse
from common.tasks.line_task import Line, one_feature
from common.tasks.networks import Network
from common.tasks.saddle_task import SaddleSurface, examples

_NETWORKS = {"Network": Network, "Line": Line, "SaddleSurface": SaddleSurface}
# They change no number, or are compared by what they do: see `identity_of`.
_NOT_REBUILT = ("code", "diagnostics")


def train_again(stored: StoredRun) -> pd.DataFrame:
    """Train a stored run again, on this machine and with this code; return its rows.

    Raises:
        CannotRebuildError: see `run_of`.
    """
    run, seed = run_of(stored)
    experiment = str(stored.value("experiment"))
    frame, _ = train_all([run], run.data, network=run.network, seeds=[seed], experiment=experiment)
    return frame


def run_of(stored: StoredRun) -> tuple[Run, int]:
    """Rebuild a stored run with its network, its data and its seed.

    Diagnostics are left out, since they do not change a run.

    Raises:
        CannotRebuildError: the record lacks a setting, this code or machine lacks a part, or the rebuilt run is a
            different one. The message is one sentence.
    """
    settings = settings_of(stored)
    data = _data(settings)
    parts = {
        "network": (settings.network, lambda text: parse(text, _NETWORKS, "network")),
        "estimator": (settings.estimator, estimators.parse),
        "optimizer": (settings.optimizer, optimizers.parse),
    }
    parsed = {}
    for name, (text, read) in parts.items():
        try:
            parsed[name] = read(text)
        except ValueError as error:
            raise CannotRebuildError(f"this code does not read its {name}: {error}") from error
    try:
        run = Run(
            stored.name,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            group=str(stored.value("group") or ""),
            data=data,
            options=settings.options,
            loop=_of_this_project(settings.loop, "loop"),
            callbacks=[_of_this_project(name, "callback") for name in settings.callbacks],
            **parsed,
        )
    except ValueError as error:
        raise CannotRebuildError(str(error)) from error
    _check_defaults(stored, run.estimator)
    _check_size(stored, run)
    _check_identity(settings, run)
    return run, settings.seed


def _check_defaults(stored: StoredRun, estimator: Configured) -> None:
    """Raise for an estimator whose `repr` omits a default that has changed since."""
    for name, value in flat_settings(estimator).items():
        then = stored.value(name)
        if then is not None and str(then) != str(value) and not _same_number(then, value):
            raise CannotRebuildError(f"its {name} was {then}, by default, and is {value} now")


def _same_number(left: Any, right: Any) -> bool:
    try:
        return float(left) == float(right)
    except (TypeError, ValueError):
        return False


def _check_size(stored: StoredRun, run: Run) -> None:
    count, then = run.network.task(run.data, 0).parameter_count, stored.value("coordinates")
    if then is not None and count != then:
        raise CannotRebuildError(f"its network had {int(then):,} weights, and has {count:,} now")


def _check_identity(settings: StoredSettings, run: Run) -> None:
    if settings.identity:
        identity = identity_of(run, settings.seed)
        for name, value in settings.identity.items():
            if name not in _NOT_REBUILT and identity.get(name) != value:
                raise CannotRebuildError(f"its {name} was {value!r}, and comes out as {identity.get(name)!r} now")


def _of_this_project(name: str, role: str) -> Any:
    """Return a loop function, or the class of a callback, by its dotted name."""
    module, _, attribute = name.rpartition(".")
    if module.split(".")[0] == "common":
        try:
            value = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError):
            raise CannotRebuildError(f"its {role} {name} is not there any more") from None
        if inspect.isclass(value) or inspect.isfunction(value):
            return value
    raise CannotRebuildError(f"its {role} {name} is none of this project's")


def _data(settings: StoredSettings) -> Dataset:
    """Load or make the data set that the run had."""
    try:
        data = _data_by_name(settings) if settings.data_digest is None else _data_by_digest(settings)
    except DataUnavailable as error:
        raise CannotRebuildError(str(error)) from error
    return data.named(settings.dataset)


def _data_by_name(settings: StoredSettings) -> Dataset:
    """Make the data set with this name, if there is no digest to choose by."""
    name, *changes = settings.dataset.split(", ")
    if name == SADDLE:
        return examples()
    data = load(name, 0 if NOTHING_HELD_OUT in changes else None, standardize=STANDARDISED in changes)
    if settings.data_checksum not in (None, data.checksum):
        raise CannotRebuildError(
            f"its data set {name!r} had the checksum {settings.data_checksum[:12]}, and has {data.checksum[:12]} here"
        )
    return data


def _data_by_digest(settings: StoredSettings) -> Dataset:
    for data in _candidates(settings):
        if data.digest == settings.data_digest:
            return data
    raise CannotRebuildError(
        f"its data set {settings.dataset!r}, with {settings.train_examples:,} training examples, is neither one that "
        "load gives nor a part of one"
    )


def _candidates(settings: StoredSettings) -> Iterator[Dataset]:
    """Yield the data sets that the project's notebooks derive from one: other splits, other units, parts."""
    name, size = settings.dataset.split(", ")[0], settings.train_examples
    if name == SADDLE:
        yield examples()
    if name not in SPECIFICATIONS:
        return
    known = SPECIFICATIONS[name]
    held_out = dict.fromkeys((known.default_validation, known.examples - size, 0))
    for standardize in (False, True) if known.kind == "regression" else (False,):
        for validation in (number for number in held_out if 0 <= number < known.examples):
            data = load(name, validation, standardize=standardize)
            if settings.dataset.endswith(ONE_FEATURE):
                yield from (one_feature(data, column) for column in range(data.train.x.shape[1]))
            elif len(data.train) == size:
                yield data
            elif len(data.train) > size:  # the first ones of them
                yield dataclasses.replace(data, train=Split(data.train.x[:size], data.train.y[:size]))
