"""The training settings of a stored run, read from its rows alone, without TensorFlow.

Records have a column `identity`, with everything that determines a run's numbers. Old records lack it. Their strings
and columns contain most settings, and the number of updates shows how an epoch was divided. If a setting is still
missing, an error names it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.checks import nearest
from common.data.load import SPECIFICATIONS
from common.results.store import identity_digest
from common.results.stored_runs import StoredRun

TRAIN = "common.training.loop.train"
# With all other networks, whether they are called in training mode (`Network.dropout`) changes what they compute.
SAME_IN_TRAINING = ("leaky_convnet", "lenet5", "mlp", "tiny_convnet")
# Groups of old that another loop trained, which their records do not say.
_OTHER_LOOPS = {
    ("01_baseline_sgd", "Keras fit"): "Keras' own fit",
    ("06_synthetic_gradients", "source"): "common.training.train_steps",
}
# Behind a data set's name and a comma: what was done to it.
RAW, STANDARDISED, NOTHING_HELD_OUT, ONE_FEATURE = "raw", "standardised", "nothing held out", "one feature"
SADDLE = "saddle"  # the two examples of `common.tasks.saddle_task`
_TASKS = ("Line", "SaddleSurface")  # what stands in a network's place, by the name of its class


class CannotRebuildError(ValueError):
    """Error for a stored run that cannot be made again; the message says why."""


@dataclass(frozen=True)
class StoredSettings:
    """The settings with which a run was trained.

    Attributes:
        network: a constructor call of a network, or of its replacement.
        estimator: a constructor call.
        optimizer: a constructor call.
        dataset: the data set's name.
        data_digest: `Dataset.digest`; None where it is not stored.
        data_checksum: `Dataset.checksum`; None where it is not stored.
        train_examples: the size of the training split.
        batch_size: examples per step; None: the whole training split.
        epochs: number of passes over the training split.
        seed: the run's seed.
        options: further arguments of the loop.
        loop: its dotted name.
        callbacks: dotted names of callback classes.
        identity: everything that determines the run's numbers, as stored; empty if it was not stored.
    """

    network: str
    estimator: str
    optimizer: str
    dataset: str
    data_digest: str | None
    data_checksum: str | None
    train_examples: int
    batch_size: int | None
    epochs: int
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    loop: str = TRAIN
    callbacks: tuple[str, ...] = ()
    identity: Mapping[str, Any] = field(default_factory=dict)


def settings_of(run: StoredRun) -> StoredSettings:
    """Return the settings with which a stored run was trained.

    Raises:
        CannotRebuildError: the record lacks a setting or contradicts itself; the message is one sentence.
    """
    known = {name: run.value(name) for name in ("dataset", "train_examples")}
    for name, value in known.items():
        if value is None:
            raise CannotRebuildError(f"its record has no {name}")
    known |= {"seed": run.seed, "data_checksum": run.value("data_checksum")}
    known["train_examples"] = int(known["train_examples"])
    stored = run.value("identity")
    return _of_identity(json.loads(stored), run, known) if stored else _of_columns(run, known)


def _of_identity(identity: Mapping[str, Any], run: StoredRun, known: Mapping[str, Any]) -> StoredSettings:
    if identity_digest(identity) != run.digest:
        raise CannotRebuildError("its identity is not that of its digest, so one of the two was changed")
    texts = {name: identity[name] for name in ("network", "estimator", "optimizer", "batch_size", "epochs", "loop")}
    options = {name: ast.literal_eval(value) for name, value in identity["options"].items()}
    parts = {"data_digest": identity["data"], "options": options, "callbacks": tuple(identity["callbacks"])}
    return StoredSettings(**known, **texts, **parts, identity=identity)


def _of_columns(run: StoredRun, known: Mapping[str, Any]) -> StoredSettings:
    for name in ("estimator", "optimizer", "network", "batch_size"):
        if run.value(name) is None:
            raise CannotRebuildError(f"its record has no {name}")
    other = _OTHER_LOOPS.get((str(run.value("experiment")), str(run.value("group"))))
    if other:
        raise CannotRebuildError(f"it was trained by another loop, {other}, with what its record does not say")
    if run.value("status") != "finished":
        raise CannotRebuildError(f"it {run.value('status')}, and how many epochs it was to have is not stored")
    _check_data(run, known["train_examples"])
    return StoredSettings(
        **known,
        network=_network(run),
        estimator=run.value("estimator"),
        optimizer=run.value("optimizer"),
        data_digest=None,
        batch_size=int(run.value("batch_size")),
        epochs=int(run.value("epoch")),
        options=_options(run, known["train_examples"]),
    )


def _check_data(run: StoredRun, size: int) -> None:
    """Raise for a data set that its name does not determine."""
    name, *changes = str(run.value("dataset")).split(", ")
    if name == SADDLE:
        return
    if name not in SPECIFICATIONS:
        known = [*SPECIFICATIONS, SADDLE]
        raise CannotRebuildError(f"its data set {name!r} is none of {', '.join(known)}{nearest(name, known)}")
    for change in changes:
        if change not in (RAW, STANDARDISED, NOTHING_HELD_OUT, ONE_FEATURE):
            raise CannotRebuildError(f"its record does not say what {change!r} did to its data set {name!r}")
    if ONE_FEATURE in changes:
        raise CannotRebuildError("its record does not say which feature of its data set it was trained on")
    usual = SPECIFICATIONS[name]
    whole = usual.examples - (0 if NOTHING_HELD_OUT in changes else usual.default_validation)
    if size != whole:
        raise CannotRebuildError(f"its record does not say which {size:,} of {whole:,} training examples it had")


def _network(run: StoredRun) -> str:
    """Return the constructor call of the network, or of its replacement."""
    name = str(run.value("network"))
    prefix = f"{name}." if name in _TASKS else "Network."
    columns = [column for column in run.frame if column.startswith(prefix)]
    settings = {column.removeprefix(prefix): _literal(run.value(column)) for column in columns}
    given = {setting: value for setting, value in settings.items() if value is not None}
    if name not in _TASKS:
        given = {"name": name, "precision": run.value("precision") or "float32"} | given
        if "dropout" not in given and name not in SAME_IN_TRAINING:
            raise CannotRebuildError(
                f"its record does not say whether {name} was trained with dropout and batch norm on (Network.dropout)"
            )
        if name.endswith("mlp") and "hidden" not in given:
            raise CannotRebuildError(f"its record does not say the hidden layers of its {name} (Network.hidden)")
    arguments = ", ".join(f"{setting}={value!r}" for setting, value in given.items())
    return f"{name if name in _TASKS else 'Network'}({arguments})"


def _options(run: StoredRun, examples: int) -> dict[str, Any]:
    """Return the loop's options: stored ones, and the division of an epoch, from the number of its updates."""
    columns = [column for column in run.frame if column.startswith("option.")]
    stored = {column.removeprefix("option."): _literal(run.value(column)) for column in columns}
    stored = {name: value for name, value in stored.items() if value is not None}
    epochs = run.frame.loc[run.frame["epoch"] > 0, "epoch"]
    steps, left = divmod(int(run.value("step")), int(run.value("epoch")))
    full, rest = divmod(examples, int(run.value("batch_size")))
    if left or not 0 < steps <= full + bool(rest):
        raise CannotRebuildError(
            f"its {int(run.value('step')):,} updates in {int(run.value('epoch'))} epochs are not those of "
            f"{examples:,} examples in batches of {int(run.value('batch_size'))}"
        )
    if steps == full and rest:
        stored.setdefault("drop_remainder", True)
    elif steps < full:
        stored.setdefault("steps_per_epoch", steps)
    return {"record_every": int(epochs.iloc[0])} | stored


def _literal(value: Any) -> Any:
    """Return a cell's value: in a column with numbers and strings, numbers and booleans are strings."""
    if isinstance(value, str):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return value.item() if hasattr(value, "item") else value
