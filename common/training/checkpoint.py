"""A run's checkpoint: everything that a resumed run needs to end bit-identical to one that was never killed."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.optimizers.schedules import RelativeSchedule, relative
from common.settings import Configured, text
from common.training.budget import Budget
from common.training.history import epochs_done


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


class RunCheckpoint:
    """Network, optimizer, estimator and progress in a folder; does nothing without one."""

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
        # Two are kept: while the second is being written, the first stands.
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=2)
        self._checkpoint = checkpoint

    def save(self) -> None:
        """Write all parts under a temporary name, then rename."""
        if self._folder is not None:
            self._manager.save()

    def restore(self, epochs: int) -> None:
        """Fill all parts from the newest checkpoint, if there is one.

        Args:
            epochs: how many the run is to have; a finished run with fewer counts as running again.

        Raises:
            ValueError: the checkpoint is that of a run with other settings, or with more epochs.
        """
        if self._folder is None or self._manager.latest_checkpoint is None:
            return
        self._refuse_other_run(epochs)
        self._checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()
        history = self._progress.history
        if history.status == "finished" and epochs_done(history.epochs) < epochs:
            history.status = "running"
            for measure in ("test_loss", "test_metric"):
                history.epochs[-1].pop(measure, None)

    def _refuse_other_run(self, epochs: int) -> None:
        """Compare settings before any weight is touched: shapes alone would not notice another learning rate."""
        reader = tf.train.load_checkpoint(self._manager.latest_checkpoint)
        name = next(key for key in reader.get_variable_to_shape_map() if key.startswith("progress"))
        state = _read(reader.get_tensor(name))
        stored, done = state["identity"], epochs_done(state["history"]["epochs"])
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
