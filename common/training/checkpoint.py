"""A run's checkpoint: everything that a resumed run needs to end bit-identical to one that was never killed."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

import keras
import tensorflow as tf


class _Progress(tf.train.experimental.PythonState):
    """The history and the callbacks' counters as a part of the checkpoint, so that one rename commits everything."""

    def __init__(self, identity: dict, history, callbacks: list[keras.callbacks.Callback]):
        self.history, self._identity, self._callbacks = history, identity, callbacks

    def serialize(self) -> str:
        """Write everything as JSON, which keeps every float exactly, NaN included."""
        counters = {name: _plain_attributes(callback) for name, callback in _named(self._callbacks)}
        return json.dumps({"identity": self._identity, "history": asdict(self.history), "callbacks": counters})

    def deserialize(self, text: str | bytes) -> None:
        """Fill the history and the callbacks in place."""
        state = json.loads(text)
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
        state = json.loads(reader.get_tensor(name))
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


def epochs_done(records: list[dict[str, float]]) -> int:
    """Return the last recorded epoch, 0 before the first; not every epoch has a record."""
    return records[-1]["epoch"] if records else 0


def run_identity(task, estimator, optimizer, dataset, batch_size, seed, drop_remainder) -> dict:
    """Say, as flat plain data, what must be equal for a resumed run to be the same run."""
    network = {
        # The last part of the path: Keras counts on the names of layers that nobody named.
        "weights": [[weight.path.split("/")[-1], list(weight.shape)] for weight in task.weights],
        "training_mode": task.training_mode,
        "precision": sorted({layer.dtype_policy.name for layer in task.network.layers}),
    }
    batches = {"seed": seed, "batch_size": batch_size, "drop_remainder": drop_remainder}
    data = {"dataset": [dataset.name, dataset.checksum, len(dataset.train), len(dataset.validation)]}
    # Keras counts its optimizers (sgd, sgd_1, ...): their names say nothing.
    config = {"class": type(optimizer).__name__} | {k: v for k, v in optimizer.get_config().items() if k != "name"}
    direction = {} if estimator is None else _prefixed("estimator", estimator.settings)
    return batches | data | network | direction | _prefixed("optimizer", config)


def _prefixed(prefix: str, settings: dict) -> dict:
    return {f"{prefix} {key}": json.loads(json.dumps(value, default=str)) for key, value in settings.items()}


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
