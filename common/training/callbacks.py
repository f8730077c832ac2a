"""Keras callbacks around our loop: which are called, what they see, and the one that averaged weights need."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from common.tasks.task import Task
from common.training.history import Record


def callback_list(
    callbacks: Iterable[keras.callbacks.Callback], task: Task, optimizer: keras.optimizers.Optimizer, epochs: int
) -> keras.callbacks.CallbackList:
    """Return Keras' list of callbacks for a network that our loop trains.

    An optimizer with `use_ema` keeps an average of the weights: `SwapEMAWeights`, which has it evaluated, is put in
    front unless one is given.
    """
    return keras.callbacks.CallbackList(
        with_averages(callbacks, optimizer),
        model=task.network,
        epochs=epochs,
        steps=1,
        verbose=1,
        add_history=False,
        add_progbar=False,
    )


def with_averages(
    callbacks: Iterable[keras.callbacks.Callback], optimizer: keras.optimizers.Optimizer
) -> list[keras.callbacks.Callback]:
    """Put a `SwapEMAWeights` in front where the optimizer averages the weights and none is given."""
    given = list(callbacks)
    swaps = any(isinstance(callback, keras.callbacks.SwapEMAWeights) for callback in given)
    return [keras.callbacks.SwapEMAWeights(), *given] if optimizer.use_ema and not swaps else given


def keras_logs(record: Record, metric_name: str) -> dict[str, float]:
    """Rename a record's numbers to what Keras callbacks monitor by default; arrays are none of their business."""
    names = {"train_loss": "loss", "train_metric": metric_name}
    names |= {"validation_loss": "val_loss", "validation_metric": f"val_{metric_name}"}
    numbers = {key: value for key, value in record.items() if key != "epoch" and not isinstance(value, np.ndarray)}
    return {names.get(key, key): value for key, value in numbers.items()}
