"""The number of hidden units that have stopped learning."""

from __future__ import annotations

import keras
import tensorflow as tf

from common.diagnostics.diagnostic import Diagnostic, Measured
from common.training.history import Moment


class DeadUnits(Diagnostic):
    """The number of hidden ReLU units that are zero for every training example, as `dead_units`.

    Such a unit has no gradient and does not change. If all units of a layer are dead, training changes only the biases
    after it, and the network predicts one constant. The network must be a stack of layers.
    """

    def __init__(self):
        pass

    def measure(self, moment: Moment) -> Measured:
        """Return `dead_units`, the number over all hidden layers."""
        train = moment.dataset.train
        count = self._once([moment.task, train], lambda: _counting(moment.task.network, train.x))
        return {"dead_units": int(count())}


def _counting(network: keras.Sequential, x):
    inputs = tf.constant(x)
    count = tf.function(lambda: _dead(network, inputs), jit_compile=False, autograph=False)
    return count.get_concrete_function()


def _dead(network: keras.Sequential, x: tf.Tensor) -> tf.Tensor:
    counts = [tf.constant(0)]
    for layer in network.layers:
        x = layer(x)
        if getattr(layer, "activation", None) is keras.activations.relu or isinstance(layer, keras.layers.ReLU):
            counts.append(tf.math.count_nonzero(tf.reduce_all(x <= 0, axis=0), dtype=tf.int32))
    return tf.add_n(counts)
