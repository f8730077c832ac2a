"""TensorBoard logs of a run: scalars, the network's graph, histograms of weights and of their gradients."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from common.data.load import Split
from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task
from common.training.state import unchanged, variables_of

HISTOGRAM_BATCH = 256


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras' TensorBoard callback, with a histogram of every variable's gradient estimate beside its weights.

    Args:
        log_dir: folder of this run's logs; `tensorboard --logdir` takes its parent.
        task: the task that is trained.
        estimator: the estimator whose gradients are drawn.
        split: the training split.
        examples: number of its first examples on which the gradients are estimated; the estimator must accept it.
    """

    def __init__(
        self,
        log_dir: str | Path,
        task: Task,
        estimator: GradientEstimator,
        split: Split,
        examples: int = HISTOGRAM_BATCH,
    ):
        super().__init__(log_dir=str(log_dir), histogram_freq=1, write_graph=True)
        self._task, self._estimator = task, estimator
        self._batch = (tf.constant(split.x[:examples]), tf.constant(split.y[:examples]))

    def on_train_begin(self, logs=None):
        """Write the graph of one evaluation call, because Keras 3 itself no longer traces it."""
        super().on_train_begin(logs)
        traced = tf.function(self._task.predictions).get_concrete_function(self._batch[0])
        with self._train_writer.as_default(step=0):
            tf.summary.graph(traced.graph)

    def on_epoch_end(self, epoch, logs=None):
        """Write scalars and weights as Keras does, then the gradient estimates."""
        super().on_epoch_end(epoch, logs)
        with unchanged(variables_of(self._task, self._estimator)):  # no training here, not even of batch norm
            # -1 - t, with t the steps so far: no training step has this randomness, and noise has its current level.
            step = -1 - tf.cast(self.model.optimizer.iterations.value, tf.int64)
            estimate = self._estimator.estimate(*self._batch, tf.stack([tf.constant(0, tf.int64), step]))
        with self._train_writer.as_default(step=epoch):
            for weight, gradient in zip(self._task.weights, estimate.gradients, strict=True):
                tf.summary.histogram(f"{weight.path}/gradient", gradient)
