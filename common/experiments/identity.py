"""The identity of a run: everything that determines its numbers, as plain data, and its columns in results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from common.optimizers.notation import arguments_of, name_of, written_arguments
from common.results.code_digest import code_digest
from common.results.store import identity_digest
from common.settings import Configured, flat_settings, text

if TYPE_CHECKING:
    from common.experiments.run import Run


def run_digest(run: Run, seed: int) -> str:
    """Return the digest of a run with one seed, by which a store finds its record.

    Raises:
        ValueError: the code of a part is in no file, such as a class that a notebook defines.
    """
    return identity_digest(identity_of(run, seed))


def identity_of(run: Run, seed: int) -> dict[str, Any]:
    """Return the identity of a run with one seed; a record stores it, so that the run can be made again.

    Names and groups are labels and do not count: two runs that differ only in these are the same. The code of the run's
    parts and of its loop counts, in this project or another, with all their imports from this project.

    Returns:
        network, estimator, optimizer, diagnostics and options as strings; callbacks and loop by their dotted names; the
        digests of data and code; batch_size (None: the whole training split), epochs and seed.

    Raises:
        ValueError: the code of a part is in no file, such as a class that a notebook defines.
    """
    parts = (run.estimator, run.network, run.optimizer, *run.diagnostics, *run.callbacks, run.loop)
    modules = {module for part in parts for module in _modules(part)}  # installed packages do not count
    return {
        "network": text(run.network),
        "estimator": text(run.estimator),
        "optimizer": text(run.optimizer),
        "data": run.data.digest,
        "batch_size": run.batch_size,
        "epochs": run.epochs,
        "seed": seed,
        "diagnostics": [text(diagnostic) for diagnostic in run.diagnostics],
        "callbacks": [f"{callback.__module__}.{callback.__qualname__}" for callback in run.callbacks],
        "options": {name: text(value) for name, value in sorted(run.options.items())},
        "loop": f"{run.loop.__module__}.{run.loop.__qualname__}",
        "code": code_digest(sorted(modules)),
    }


def columns(run: Run) -> dict[str, Any]:
    """Return a run's parts as strings that can be parsed, and a column `Owner.argument` for each setting."""
    network = run.network.settings
    made_of = {
        "dataset": run.data.name,
        "network": network.get("name", type(run.network).__name__),
        "precision": network.get("precision", "float32"),
        "batch_size": run.batch_size,
        "train_examples": len(run.data.train),
        "estimator": text(run.estimator),
        "optimizer": text(run.optimizer),
    }
    made_of |= optimizer_columns(run.optimizer)
    settings = flat_settings(run.estimator) | {f"option.{name}": value for name, value in run.options.items()}
    owner = type(run.network).__name__
    settings |= {f"{owner}.{name}": value for name, value in network.items() if name not in ("name", "precision")}
    return made_of | {name: _plain(value) for name, value in settings.items()}


def optimizer_columns(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Return `learning_rate` (a schedule's first), `schedule`, and non-default arguments as `Owner.argument`."""
    (_, first), *others = written_arguments(optimizer).items()
    if isinstance(first, keras.optimizers.Optimizer):  # an optimizer around another one
        own = optimizer_columns(first)
    elif isinstance(first, keras.optimizers.schedules.LearningRateSchedule):
        own = _schedule_columns(first)
    else:
        own = {"learning_rate": first, "schedule": "constant"}
    owner = name_of(type(optimizer))
    return own | {f"{owner}.{name}": _plain(value) for name, value in others}


def _schedule_columns(schedule: keras.optimizers.schedules.LearningRateSchedule) -> dict[str, Any]:
    name, arguments = name_of(type(schedule)), written_arguments(schedule)
    first = next(iter(arguments))
    # Keras' piecewise constant schedule begins with its boundaries.
    initial = arguments["values"][0] if first == "boundaries" else arguments.pop(first)
    return {"learning_rate": initial, "schedule": name} | {f"{name}.{part}": _plain(v) for part, v in arguments.items()}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else text(value)


def _modules(value: Any) -> Iterator[str]:
    """Return the modules whose classes and functions occur in a setting."""
    if isinstance(value, Configured):
        yield type(value).__module__
        yield from _modules(list(value.settings.values()))
    elif isinstance(value, keras.optimizers.Optimizer | keras.optimizers.schedules.LearningRateSchedule):
        yield type(value).__module__
        yield from _modules(list(arguments_of(value).values()))
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _modules(element)
    elif callable(value):  # a loop, or the class of a callback
        yield value.__module__
