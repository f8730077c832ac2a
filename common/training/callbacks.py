"""Keras callbacks around our loop: the hooks that are called, their logs, and the callback for averaged weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras
import numpy as np

from common.checks import require, require_one_of
from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task
from common.training.history import Diagnostic, Moment, Record

# The hooks that Keras calls during training and evaluation. Training never calls the hooks of `predict`.
TRAIN_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
BATCH_HOOKS = (*TRAIN_BATCH_HOOKS, "on_test_batch_begin", "on_test_batch_end")

# The better direction of each measure, so that `mode="auto"` works as in `fit`, where Keras knows its own metrics.
_BETTER = {"loss": "min", "accuracy": "max", "mean_squared_error": "min"}

# Keras' own callbacks that do the same work per batch and per epoch.
_BY_EPOCHS = frozenset({keras.callbacks.ModelCheckpoint, keras.callbacks.ProgbarLogger, keras.callbacks.TensorBoard})

_ALWAYS_LOGGED = ("step", "seconds", "cost", "bytes_sent")


def callback_list(
    callbacks: Iterable[keras.callbacks.Callback],
    moment: Moment,
    diagnostics: Sequence[Diagnostic],
    *,
    steps_per_epoch: int,
    each_step: bool,
) -> keras.callbacks.CallbackList:
    """Return Keras' list of callbacks for a network that our loops train.

    An optimizer with `use_ema` keeps an average of the weights. `SwapEMAWeights` has this average evaluated; it is put
    in front unless `callbacks` has one.

    Args:
        callbacks: Keras callbacks; a callback whose `mode` is "auto" gets the direction of the measure that it
            monitors.
        moment: the run before its first epoch.
        diagnostics: the run's diagnostics, whose numbers callbacks may monitor.
        steps_per_epoch: the number of steps that callbacks see as `params["steps"]`.
        each_step: True: steps run one by one, so that hooks for batches are called, and only the last epoch is
            evaluated, see `train_steps`. False: an epoch is one traced call, and each is evaluated, see `train`.

    Raises:
        ValueError: a callback has a hook that is not called, or monitors a name that is in no epoch's logs.
    """
    task, given = moment.task, with_averages(callbacks, moment.optimizer)
    not_called = BATCH_HOOKS[len(TRAIN_BATCH_HOOKS) :] if each_step else BATCH_HOOKS
    for callback in given:
        _refuse_hooks(callback, not_called)
    names = ("loss",) if each_step else measures(task, moment.dataset)
    private = type(moment.estimator).epsilon is not GradientEstimator.epsilon if moment.estimator else False
    logged = (*_ALWAYS_LOGGED, *(["epsilon"] if private else []))
    check_monitors(given, names, logged, open_ended=bool(diagnostics))
    return keras.callbacks.CallbackList(
        given,
        model=task.network,
        epochs=moment.epochs,
        steps=steps_per_epoch,
        verbose=1,
        add_history=False,
        add_progbar=False,
    )


def with_averages(
    callbacks: Iterable[keras.callbacks.Callback], optimizer: keras.optimizers.Optimizer
) -> list[keras.callbacks.Callback]:
    """Put a `SwapEMAWeights` in front if the optimizer averages the weights and `callbacks` has none."""
    given = list(callbacks)
    swaps = any(isinstance(callback, keras.callbacks.SwapEMAWeights) for callback in given)
    return [keras.callbacks.SwapEMAWeights(), *given] if optimizer.use_ema and not swaps else given


def measures(task: Task, dataset: Dataset) -> tuple[str, ...]:
    """Return Keras' names of loss and metric, such as loss and accuracy; a validation split adds those with val_."""
    names = ("loss", task.metric_name)
    return (*names, *(f"val_{name}" for name in names)) if len(dataset.validation) else names


def check_monitors(
    callbacks: Iterable[keras.callbacks.Callback],
    names: Sequence[str],
    others: Sequence[str] = (),
    *,
    open_ended: bool = False,
) -> None:
    """Refuse a callback that monitors a name that is never logged, and set the direction if its `mode` is "auto".

    Keras itself warns of such a name after an epoch. In a custom loop, it does not set the direction at all.

    Args:
        callbacks: Keras callbacks.
        names: names of loss and metric in the logs.
        others: the other names in the logs.
        open_ended: whether diagnostics add numbers whose names are unknown before the measurement.
    """
    for callback in callbacks:
        monitor, name = getattr(callback, "monitor", None), type(callback).__name__
        if monitor is None or (isinstance(callback, keras.callbacks.ModelCheckpoint) and not callback.save_best_only):
            continue
        known = [*names, *others]
        if not open_ended:
            require_one_of(f"what {name} monitors", monitor, known)
        if getattr(callback, "mode", None) == "auto":
            direction = _BETTER.get(monitor.removeprefix("val_")) if monitor in names else None
            require(direction is not None, f"mode of {name}, which monitors {monitor!r},", "'min' or 'max'", "auto")
            callback.mode = direction


def waits_for(callback: keras.callbacks.Callback, hooks: Iterable[str]) -> list[str]:
    """Return the names of the hooks that a callback overrides, compared with Keras' `Callback`."""
    base = keras.callbacks.Callback
    return [
        hook for hook in hooks if hook in vars(callback) or getattr(type(callback), hook) is not getattr(base, hook)
    ]


def keras_logs(record: Record, metric_name: str, *, validated: bool) -> dict[str, float]:
    """Rename a record's numbers to the names that Keras callbacks monitor by default; arrays are left out.

    As in `fit`, there is no val_loss without a validation split, although the record then has NaN.
    """
    names = {"train_loss": "loss", "train_metric": metric_name}
    names |= {"validation_loss": "val_loss", "validation_metric": f"val_{metric_name}"}
    left_out = {"epoch"} if validated else {"epoch", "validation_loss", "validation_metric"}
    numbers = {key: value for key, value in record.items() if key not in left_out and not isinstance(value, np.ndarray)}
    return {names.get(key, key): value for key, value in numbers.items()}


def _refuse_hooks(callback: keras.callbacks.Callback, not_called: Sequence[str]) -> None:
    """Raise a ValueError unless our loop calls all hooks that a callback needs."""
    name, instead = type(callback).__name__, "train with `common.training.fit`, which is Keras' own"
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        raise ValueError(f"callback {name} goes on where Keras' fit was killed, not this loop: give checkpoint_dir")
    hooks = waits_for(callback, not_called)
    if not hooks:
        return
    for setting in ("save_freq", "update_freq"):
        value = getattr(callback, setting, "epoch")
        if value != "epoch" and "on_train_batch_end" in hooks:
            raise ValueError(
                f"callback {name} has {setting}={value!r}, in batches, which are not reported by this loop: "
                f"give {setting}='epoch', or {instead}"
            )
    if getattr(callback, "_should_trace", False):
        raise ValueError(f"callback {name} profiles batches, which are not reported by this loop: give profile_batch=0")
    if all(_owner(callback, hook) in _BY_EPOCHS for hook in hooks):
        return
    raise ValueError(
        f"callback {name} waits for {' and '.join(hooks)}, not called by this loop, for which an epoch is one step of "
        f"Python: use on_epoch_begin and on_epoch_end, or {instead}"
    )


def _owner(callback: keras.callbacks.Callback, hook: str) -> type | None:
    """Return the class that defines a hook; None if the instance itself has it, as in LambdaCallback."""
    return None if hook in vars(callback) else next(each for each in type(callback).__mro__ if hook in vars(each))
