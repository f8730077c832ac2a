"""The angle between a training direction and the exact gradient of the same minibatch, layer by layer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import tensorflow as tf

from common.diagnostics.diagnostic import Diagnostic, Epochs, Measured, require_epochs
from common.diagnostics.gradient_alignment import minibatches, require_batches
from common.estimators.backpropagation import Backpropagation
from common.training.history import Moment
from common.vectors import cosine


class LayerAlignment(Diagnostic):
    """The angle, for each layer, between its parts of the training estimate and of the exact gradient.

    If errors are sent back through matrices other than the weights, falling angles below 90° show that the weights
    align with these matrices (arXiv 1411.0247). A layer's part covers all its weights; layers without weights have no
    part.

    Args:
        batch_size: examples per minibatch, at most the number of training examples.
        batches: minibatches to average over, ≥ 1.
        at: when to measure, see `Diagnostic`.

    Raises:
        ValueError: a value out of range; in the call, `batch_size` above the number of training examples.
    """

    def __init__(self, batch_size: int, batches: int = 2, *, at: Epochs = None):
        require_batches(batch_size, batches)
        require_epochs(at)
        self.batch_size, self.batches, self.at = batch_size, batches, at

    def measure(self, moment: Moment) -> Measured:
        """Return, for each layer, `angle_` plus its name, in degrees; NaN if a part is zero."""
        angles = self._once([moment.task, moment.estimator], lambda: _angles(moment))
        looks = [angles(*batch).numpy() for batch in minibatches(moment, self.batch_size, self.batches)]
        names = (layer.name for layer in _with_weights(moment))
        return {f"angle_{name}": float(angle) for name, angle in zip(names, np.mean(looks, 0), strict=True)}


def _with_weights(moment: Moment) -> list:
    return [layer for layer in moment.task.network.layers if layer.trainable_variables]


def _angles(moment: Moment):
    exact = Backpropagation()
    exact.build(moment.task)
    counts = [len(layer.trainable_variables) for layer in _with_weights(moment)]
    edges = np.cumsum([0, *counts])

    def angles(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        gradients = exact.estimate(x, y, seed).gradients
        estimate = moment.estimator.estimate(x, y, seed).gradients
        parts = [slice(*edge) for edge in itertools.pairwise(edges)]
        cosines = tf.stack([cosine(gradients[part], estimate[part]) for part in parts])
        return tf.acos(tf.clip_by_value(cosines, -1.0, 1.0)) * (180.0 / math.pi)

    return tf.function(angles, jit_compile=False, autograph=False)
