"""A substitute for early stopping when rates fall over the whole run: it trains all epochs and keeps the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from common.training.history import Record


class BestWeights(keras.callbacks.Callback):
    """A callback that ends a run with the weights of its best epoch on validation data, which are then tested.

    Unlike `keras.callbacks.EarlyStopping`, it does not end the run early, because a learning rate that decays to zero
    brings most of its gain at the end. Checkpoints contain its copy of the weights, so that a resumed run ends with the
    same weights. The last record's validation metric is that of the last epoch. The metric of the kept weights is the
    best one of the history.

    Attributes:
        monitor: name of the measure in the logs; a run whose logs do not have it is refused.
        best: the best validation accuracy so far.
        kept: holds the weights with that accuracy.
    """

    monitor = "val_accuracy"

    def __init__(self):
        super().__init__()
        self.best, self.kept = -math.inf, tf.Module()

    def set_model(self, model: keras.Model) -> None:
        """Attach to the network and create variables for a copy of its weights and of batch norm's averages."""
        super().set_model(model)
        self.kept.weights = [tf.Variable(variable.value, trainable=False) for variable in model.weights]

    def on_epoch_end(self, epoch: int, logs: Record | None = None) -> None:
        """Keep the weights of an epoch that is better than all before; after the last epoch restore the best."""
        accuracy = (logs or {}).get(self.monitor, math.nan)
        if accuracy > self.best:
            self.best = float(accuracy)
            _assign(self.kept.weights, self.model.weights)
        if epoch + 1 == self.params["epochs"] and self.best > -math.inf:
            _assign(self.model.weights, self.kept.weights)


def _assign(variables: Sequence[tf.Variable | keras.Variable], values: Sequence[tf.Variable | keras.Variable]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
