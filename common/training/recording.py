"""The parts of a run around training: callbacks, evaluation, diagnostics, checkpoint and history."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator
from common.settings import Configured
from common.tasks.task import Task
from common.training.callbacks import TRAIN_BATCH_HOOKS, callback_list, keras_logs, waits_for
from common.training.checkpoint import RunCheckpoint
from common.training.epoch import Evaluation, is_finite
from common.training.history import Diagnostic, History, Moment, Record, epochs_done, measured, measured_at_start


class Recording:
    """One run of built objects, from its beginning (or its checkpoint) to its end.

    Args:
        task: network, loss and metric.
        estimator: built.
        optimizer: built.
        dataset: the data that diagnostics see.
        seed: the run's seed.
        epochs: planned number of epochs.
        steps_per_epoch: the number of steps that callbacks see.
        each_step: whether `begin_step` and `end_step` are called, see `callback_list`.
        identity: settings that must be equal for a checkpoint to be of the same run, see `run_identity`.
        evaluations: those of the validation and the test split.
        callbacks: see `train`.
        diagnostics: see `train`.
        checkpoint_dir: see `train`.

    Attributes:
        history: the history, filled during the run.
        moment: the run before its first epoch, with its built objects.
    """

    def __init__(
        self,
        task: Task,
        estimator: GradientEstimator,
        optimizer: keras.optimizers.Optimizer,
        dataset: Dataset,
        *,
        seed: int,
        epochs: int,
        steps_per_epoch: int,
        each_step: bool = False,
        identity: dict,
        evaluations: tuple[Evaluation, Evaluation],
        callbacks: Iterable[keras.callbacks.Callback] = (),
        diagnostics: Sequence[Diagnostic] = (),
        checkpoint_dir: str | Path | None = None,
    ):
        self.history = History.of(task, estimator, seed)
        self.moment = Moment(task, estimator, optimizer, dataset, seed, 0, epochs)
        self._validation, self._test = evaluations
        self._diagnostics = copies_of(diagnostics)
        self._callbacks = callback_list(
            callbacks, self.moment, self._diagnostics, steps_per_epoch=steps_per_epoch, each_step=each_step
        )
        self._steps_are_watched = any(waits_for(callback, TRAIN_BATCH_HOOKS) for callback in self._callbacks.callbacks)
        self._logs: dict[str, float] = {}
        state = (self.history, self._callbacks.callbacks, task, optimizer, estimator)
        self._checkpoint = RunCheckpoint(checkpoint_dir, identity, *state)

    @property
    def done(self) -> int:
        """The last epoch recorded so far."""
        return epochs_done(self.history.epochs)

    @property
    def before(self) -> Record:
        """The last record, or the record of a run that has not begun."""
        return self.history.epochs[-1] if self.history.epochs else {"step": 0, "seconds": 0.0, "cost": 0.0}

    @property
    def runs(self) -> bool:
        """Whether the run has another epoch to train."""
        return self.history.status == "running" and self.done < self.moment.epochs

    def begin(self) -> None:
        """Call the callbacks' first hook and restore the newest checkpoint, if there is one."""
        self.moment.task.network.stop_training = False
        self._callbacks.on_train_begin()
        self._checkpoint.restore(self.moment.epochs)

    def look_at_start(self) -> None:
        """Record the diagnostics' measurements before training as epoch 0; do nothing in a resumed run."""
        if not self.history.epochs:
            self.history.epochs += measured_at_start(self._diagnostics, self.moment)

    def begin_epoch(self) -> None:
        """Call the callbacks' hook before an epoch."""
        self._callbacks.on_epoch_begin(self.done)

    def interrupt(self, unfinished: Record) -> None:
        """Save the progress of the epochs since the last record."""
        self.history.unfinished = unfinished
        self._checkpoint.save()

    def begin_step(self, number: int) -> None:
        """Call the hook before step `number`, from 0, of an epoch, if a callback has it."""
        if self._steps_are_watched:
            self._callbacks.on_train_batch_begin(number)

    def end_step(self, losses: Sequence[float]) -> bool:
        """Call the hook after a step with the mean loss of the epoch so far; return whether to end the epoch."""
        if self._steps_are_watched:
            self._callbacks.on_train_batch_end(len(losses) - 1, {"loss": float(np.mean(losses))})
        return self.moment.task.network.stop_training

    def end_epoch(self, record: Record, *, evaluate: bool = True) -> None:
        """Complete and store the record of an epoch; save a checkpoint, unless the run is at its end.

        Args:
            record: epoch, step, seconds, the amounts spent and the measurements of training.
            evaluate: whether to add the validation split's loss and metric.
        """
        task, history = self.moment.task, self.history
        if evaluate:
            record |= self._evaluated("validation", self._validation)
        record |= measured(self._diagnostics, self.moment._replace(epoch=record["epoch"]), record)
        history.epochs.append(record)
        history.unfinished = None
        self._logs = keras_logs(record, task.metric_name, validated=len(self.moment.dataset.validation) > 0)
        self._callbacks.on_epoch_end(record["epoch"] - 1, self._logs)
        if task.network.stop_training and history.status == "running":
            history.status = "stopped"
        if self.runs:
            self._checkpoint.save()

    def finish(self) -> None:
        """Evaluate the test split once, unless the run diverged, and save the last checkpoint."""
        history = self.history
        if history.status == "running" and not is_finite(self.moment.task.weights):
            # The last update overflowed, and no later step noticed it.
            history.status, history.diverged_step = "diverged", history.epochs[-1]["step"]
        if history.status != "diverged":
            self._restore_best_weights()
            history.epochs[-1].update(self._evaluated("test", self._test))
        if history.status == "running":
            history.status = "finished"
        self._checkpoint.save()

    def end(self) -> None:
        """Call the callbacks' last hook, with the logs of the last epoch."""
        self._callbacks.on_train_end(self._logs)

    def _restore_best_weights(self) -> None:
        """Restore, before the test, the weights that EarlyStopping will restore in its last hook."""
        for callback in self._callbacks.callbacks:
            if isinstance(callback, keras.callbacks.EarlyStopping) and callback.best_weights is not None:
                self.moment.task.network.set_weights(callback.best_weights)

    def _evaluated(self, split: str, evaluation: Evaluation) -> Record:
        """Evaluate a split between Keras' hooks for it: a callback may swap in averaged weights."""
        self._callbacks.on_test_begin()
        loss, metric = evaluation()
        # Logs are of the validation only, as in Keras' fit.
        validated = split == "validation" and len(self.moment.dataset.validation)
        self._callbacks.on_test_end({"loss": loss, self.moment.task.metric_name: metric} if validated else None)
        return {f"{split}_loss": loss, f"{split}_metric": metric}


def copies_of(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return diagnostics for one run: settings are copied, functions are not."""
    return [copy.deepcopy(each) if isinstance(each, Configured) else each for each in diagnostics]
