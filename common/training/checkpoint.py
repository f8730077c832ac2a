"""A run's checkpoint: everything that a resumed run needs to end bit-identical to one that was never killed."""

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


class CheckpointWarning(UserWarning):
    """A checkpoint cannot be read; the run goes on from an older one."""


class _Progress(tf.train.experimental.PythonState):
    """The history and the callbacks' counters as a part of the checkpoint, so that one rename commits everything."""

    def __init__(self, identity: dict, history, callbacks: list[keras.callbacks.Callback]):
        self.history, self._identity, self._callbacks = history, identity, callbacks

    def serialize(self) -> str:
        """Write everything as JSON, which keeps every float exactly, NaN and those in arrays included."""
        counters = {name: _plain_attributes(callback) for name, callback in _named(self._callbacks)}
        state = {"identity": self._identity, "history": asdict(self.history), "callbacks": counters}
        return json.dumps(state, default=_array_as_lists)

    def deserialize(self, stored: str | bytes) -> None:
        """Fill the history and the callbacks in place."""
        state = _read(stored)
        vars(self.history).update(state["history"])
        for name, callback in _named(self._callbacks):
            vars(callback).update(state["callbacks"].get(name, {}))


class _Stored(NamedTuple):
    """One checkpoint of a folder."""

    prefix: str  # its path without the endings of its files
    progress: dict  # what `_Progress` wrote, plain


class RunCheckpoint:
    """Network, optimizer, estimator and progress in a folder; does nothing without one.

    Raises:
        ValueError: `folder` is a file, or cannot be made.
    """

    def __init__(self, folder, identity, history, callbacks, task, optimizer, estimator):
        self._folder, self._identity = folder, identity
        if folder is None:
            return
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
        """Write all parts under a temporary name, then rename; `restore` was called before.

        Raises:
            OSError: they cannot be written: a full disk, say.
        """
        if self._folder is None:
            return
        try:
            self._manager.save()
        except tf.errors.OpError as error:
            reason = (error.message or type(error).__name__).splitlines()[0]
            raise OSError(f"checkpoint_dir {str(self._folder)!r} cannot be written: {reason}") from None

    def restore(self, epochs: int) -> None:
        """Fill all parts from the newest sound checkpoint, if there is one.

        Args:
            epochs: how many the run is to have; a finished run with fewer counts as running again.

        Raises:
            ValueError: the checkpoint is that of a run with other settings, or with more epochs, or written by a
                version whose checkpoints cannot be read, or there are some and none is sound.
        """
        if self._folder is None:
            return
        stored = self._newest_sound()
        if stored is not None:
            self._refuse_other_run(stored, epochs)
            self._fill_from(stored, epochs)
        if _listed(self._folder) is None:  # nothing of it is used, and TensorFlow would complain in its own words
            _list_of(self._folder).unlink(missing_ok=True)
        # Two are kept: while the second is being written, the first stands.
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
        """Read the folder's checkpoints, the newest first, up to one that is whole; say so where it is an older one."""
        listed = _listed(self._folder)
        # By the files: TensorFlow's list of them may be the one that is cut.
        names = [re.fullmatch(r"ckpt-(\d+)\.index", path.name) for path in Path(self._folder).iterdir()]
        numbers = sorted((int(match[1]) for match in names if match), reverse=True)
        # A kill while one is being written leaves its files unlisted: nothing of which to tell.
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
        """Compare settings before any weight is touched: shapes alone would not notice another learning rate."""
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
    """Read every value of a checkpoint, which compares each with its checksum.

    Raises:
        tf.errors.OpError, LookupError, ValueError, RuntimeError: whatever TensorFlow says of files that are cut or
            altered; it has no one error for it.
    """
    reader = tf.train.load_checkpoint(prefix)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    progress = next((value for name, value in values.items() if name.startswith("progress")), None)
    return _Stored(prefix, {} if progress is None else _read(progress))


def _list_of(folder: str | Path) -> Path:
    """The file in which TensorFlow lists the checkpoints of a folder."""
    return Path(folder) / "checkpoint"


def _listed(folder: str | Path) -> set[int] | None:
    """Return the numbers of the checkpoints that were written to their end; None where the list is cut or altered."""
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
    """Say, as flat plain data, what must be equal for a resumed run to be the same run.

    The number of steps counts where a schedule depends on it: a longer run would have had other rates.
    """
    data = budget.dataset
    identity = {
        "seed": seed,
        "batch_size": budget.batch_size,
        "drop_remainder": budget.drop_remainder,
        "dataset": [data.name, data.checksum, len(data.train), len(data.validation)],
        # The last part of the path: Keras counts on the names of layers that nobody named.
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
    """Whether an object, or one that it holds, has a schedule that the length of the run decides."""
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
    """Name callbacks by class and count, so that a resumed run may add some of another class."""
    counts: Counter[str] = Counter()
    for callback in callbacks:
        name = type(callback).__name__
        counts[name] += 1
        yield f"{name} {counts[name]}", callback


def _plain_attributes(callback: keras.callbacks.Callback) -> dict:
    """A callback's counters (EarlyStopping's best and wait, say), which JSON keeps exactly.

    Constructor arguments are left out: the new callback has its own, and EarlyStopping flips the sign of one in place.
    """
    arguments = inspect.signature(type(callback).__init__).parameters
    plain = {key: value for key, value in vars(callback).items() if type(value) in (int, float, bool)}
    return {key: value for key, value in plain.items() if key not in arguments}
