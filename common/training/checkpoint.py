"""A run's checkpoint: all that a resumed run needs to end bit-identical to a run that was never killed."""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from common.optimizers.schedules import RelativeSchedule, relative
from common.settings import Configured, text
from common.training.budget import Budget
from common.training.history import epochs_done
from common.user_paths import user_path


class CheckpointWarning(UserWarning):
    """Warning that a checkpoint cannot be written, or that one cannot be read and an older one serves."""


class _Progress(tf.train.experimental.PythonState):
    """The history and the callbacks' state as part of the checkpoint, so that one rename commits all parts."""

    def __init__(self, identity: dict, history, callbacks: list[keras.callbacks.Callback]):
        self.history, self._identity, self._callbacks = history, identity, callbacks

    def serialize(self) -> str:
        """Return all parts as JSON, which keeps every float exactly, including NaN and floats in arrays."""
        callbacks = {name: _plain_attributes(callback) for name, callback in _named(self._callbacks)}
        state = {"identity": self._identity, "history": asdict(self.history), "callbacks": callbacks}
        return json.dumps(state, default=_array_as_lists)

    def deserialize(self, stored: str | bytes) -> None:
        """Fill the history and the callbacks in place."""
        state = _read(stored)
        vars(self.history).update(state["history"])
        for name, callback in _named(self._callbacks):
            vars(callback).update(state["callbacks"].get(name, {}))


class _Stored(NamedTuple):
    """One checkpoint of a folder."""

    prefix: str  # its path without the file suffixes
    progress: dict  # plain data that `_Progress` wrote


class RunCheckpoint:
    """Network, optimizer, estimator and progress in a folder; without a folder, it does nothing.

    Raises:
        ValueError: `folder` is a file, or cannot be created.
    """

    def __init__(self, folder, identity, history, callbacks, task, optimizer, estimator):
        self._folder, self._identity = folder, identity
        if folder is None:
            return
        self._folder = folder = user_path(folder)
        self._warned = False
        self._progress = _Progress(identity, history, callbacks)
        parts = {"network": task.network, "optimizer": optimizer, "progress": self._progress}
        if estimator is not None:
            parts["estimator"] = estimator
        for name, callback in _named(callbacks):
            parts |= {f"{name} {key}": value for key, value in vars(callback).items() if isinstance(value, tf.Module)}
        checkpoint = tf.train.Checkpoint(**parts)
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"checkpoint_dir {str(folder)!r} cannot be made: {error.strerror}") from None
        self._checkpoint = checkpoint

    def save(self) -> None:
        """Write all parts under a temporary name, then rename; `restore` must have been called before.

        If they cannot be written, for example because the disk is full, it warns once, and training goes on.
        """
        if self._folder is None:
            return
        try:
            self._manager.save()
        except tf.errors.OpError as error:
            if not self._warned:  # once, though the next one is tried: the disk may have room again
                message = (error.message or type(error).__name__).splitlines()[0]
                reason = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", message).strip()
                warnings.warn(
                    f"checkpoints cannot be written to {str(self._folder)!r} ({reason}); training goes on without them",
                    CheckpointWarning,
                    stacklevel=2,
                )
            self._warned = True

    def restore(self, epochs: int) -> None:
        """Restore all parts from the newest intact checkpoint, if there is one.

        Args:
            epochs: planned number of epochs; a finished run with fewer becomes a running one again.

        Raises:
            ValueError: the checkpoint is of a run with other settings or with more epochs; or a version wrote it whose
                checkpoints cannot be read; or there are checkpoints and none is intact.
        """
        if self._folder is None:
            return
        stored = self._newest_sound()
        if stored is not None:
            self._refuse_other_run(stored, epochs)
            self._fill_from(stored, epochs)
        if _listed(self._folder) is None:  # it is not used, and TensorFlow would complain about it
            _list_of(self._folder).unlink(missing_ok=True)
        # Two are kept: the first remains while the second is written.
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(self._folder), max_to_keep=2)

    def _fill_from(self, stored: _Stored, epochs: int) -> None:
        try:
            self._checkpoint.restore(stored.prefix).assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError):
            self._refuse_other_version()
        history = self._progress.history
        if history.status == "finished" and epochs_done(history.epochs) < epochs:
            history.status = "running"
            for measure in ("test_loss", "test_metric"):
                history.epochs[-1].pop(measure, None)

    def _newest_sound(self) -> _Stored | None:
        """Return the folder's newest intact checkpoint; warn if it is an older one."""
        listed = _listed(self._folder)
        # The files count, because TensorFlow's list of them may itself be truncated.
        names = [re.fullmatch(r"ckpt-(\d+)\.index", path.name) for path in Path(self._folder).iterdir()]
        numbers = sorted((int(match[1]) for match in names if match), reverse=True)
        # A kill during writing leaves unlisted files, which need no warning.
        altered = False
        for number in numbers:
            try:
                stored = _read_whole(str(Path(self._folder) / f"ckpt-{number}"))
            except (tf.errors.OpError, LookupError, ValueError, RuntimeError):
                altered |= listed is None or number in listed
                continue
            if altered:
                self._tell_of_older(stored)
            return stored
        if altered or listed:
            raise ValueError(
                f"checkpoint_dir {str(self._folder)!r} holds no checkpoint that is whole, its files are cut, altered "
                "or missing: delete that folder to start afresh"
            )
        return None

    def _tell_of_older(self, stored: _Stored) -> None:
        history = stored.progress.get("history", {})
        warnings.warn(
            f"the newest checkpoint in {str(self._folder)!r} is cut or altered: the run goes on from an older one, "
            f"after epoch {epochs_done(history.get('epochs', []))}",
            CheckpointWarning,
            stacklevel=4,
        )

    def _refuse_other_run(self, checkpoint: _Stored, epochs: int) -> None:
        """Compare settings before any weight changes: shapes alone would not reveal another learning rate."""
        if not checkpoint.progress.keys() >= {"identity", "history", "callbacks"}:
            self._refuse_other_version()
        stored, done = checkpoint.progress["identity"], epochs_done(checkpoint.progress["history"]["epochs"])
        wanted = json.loads(json.dumps(self._identity))
        if done > epochs:
            self._refuse("epochs", done, epochs)
        for key in sorted(stored.keys() | wanted.keys()):
            if stored.get(key) != wanted.get(key):
                self._refuse(key, stored.get(key), wanted.get(key))

    def _refuse(self, setting: str, stored, wanted) -> None:
        raise ValueError(
            f"checkpoint_dir {str(self._folder)!r} holds a run with {setting} = {stored!r}, this one has {wanted!r}: "
            "give another folder, or delete that one to start afresh"
        )

    def _refuse_other_version(self) -> None:
        raise ValueError(
            f"checkpoint_dir {str(self._folder)!r} holds a checkpoint of another version of this code, or with other "
            "callbacks, that this one cannot read: give another folder, or delete that one to start afresh"
        ) from None


def _read_whole(prefix: str) -> _Stored:
    """Read every value of a checkpoint, which compares each value with its checksum.

    Raises:
        tf.errors.OpError, LookupError, ValueError, RuntimeError: the errors that TensorFlow raises for truncated or
            altered files; it has no single error for them.
    """
    reader = tf.train.load_checkpoint(prefix)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    progress = next((value for name, value in values.items() if name.startswith("progress")), None)
    return _Stored(prefix, {} if progress is None else _read(progress))


def _list_of(folder: str | Path) -> Path:
    """Return the file in which TensorFlow lists the checkpoints of a folder."""
    return Path(folder) / "checkpoint"


def _listed(folder: str | Path) -> set[int] | None:
    """Return the numbers of the checkpoints that were written completely; None if the list is cut or altered."""
    try:
        lines = _list_of(folder).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    except (OSError, ValueError):
        return None
    entries = [re.fullmatch(r"(\w+): (?:\"ckpt-(\d+)\"|[\d.]+)", line) for line in lines]
    counts = Counter(entry[1] for entry in entries if entry)
    whole = all(entries) and counts["all_model_checkpoint_paths"] == counts["all_model_checkpoint_timestamps"] > 0
    return {int(entry[2]) for entry in entries if entry[2]} if whole and counts["last_preserved_timestamp"] else None


def run_identity(task, estimator, optimizer, budget: Budget, seed: int) -> dict:
    """Return, as flat plain data, the settings that must be equal for a resumed run to be the same run.

    The number of steps is one of them if a schedule depends on it: a longer run would have had other rates.
    """
    data = budget.dataset
    identity = {
        "seed": seed,
        "batch_size": budget.batch_size,
        "drop_remainder": budget.drop_remainder,
        "dataset": [data.name, data.checksum, len(data.train), len(data.validation)],
        # The last part of the path: Keras numbers layers without a name of their own across networks.
        "weights": [[weight.path.split("/")[-1], list(weight.shape)] for weight in task.weights],
        "training_mode": task.training_mode,
        "precision": sorted({layer.dtype_policy.name for layer in task.network.layers}),
        "estimator": repr(estimator),
        "optimizer": text(optimizer),
    }
    if budget.limit is not None:
        identity["steps_per_epoch"] = budget.limit
    return identity | (
        {"steps": budget.steps} if _depends_on_length(estimator) or _depends_on_length(optimizer) else {}
    )


def _depends_on_length(value: Any) -> bool:
    """Return whether an object, or one that it holds, has a schedule that depends on the run's length."""
    if isinstance(value, keras.optimizers.Optimizer):
        value = relative(value)
    if isinstance(value, RelativeSchedule):
        return value.depends_on_length
    return isinstance(value, Configured) and any(map(_depends_on_length, value.settings.values()))


def _array_as_lists(value: Any) -> dict:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a record holds numbers and arrays, got {type(value).__name__} {value!r}")
    return {"array": value.tolist(), "dtype": "str" if value.dtype.kind == "U" else value.dtype.name}


def _read(stored: str | bytes) -> dict:
    def as_array(part: dict) -> Any:
        return np.array(part["array"], part["dtype"]) if part.keys() == {"array", "dtype"} else part

    return json.loads(stored, object_hook=as_array)


def _named(callbacks: list[keras.callbacks.Callback]) -> Iterator[tuple[str, keras.callbacks.Callback]]:
    """Yield callbacks named by class and count, so that a resumed run may add callbacks of another class."""
    counts: Counter[str] = Counter()
    for callback in callbacks:
        name = type(callback).__name__
        counts[name] += 1
        yield f"{name} {counts[name]}", callback


def _plain_attributes(callback: keras.callbacks.Callback) -> dict:
    """Return a callback's numbers and lists of arrays, such as EarlyStopping's best, wait and best weights.

    JSON keeps them exactly. Constructor arguments are left out: the new callback has its own, and EarlyStopping changes
    the sign of one.
    """
    arguments = inspect.signature(type(callback).__init__).parameters
    return {key: value for key, value in vars(callback).items() if key not in arguments and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Return whether a value is a number or, as a network's weights are, a list of arrays."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, np.ndarray) for item in value)
    return type(value) in (int, float, bool)
