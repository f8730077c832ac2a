"""A task is a network, a per-example loss and a metric: everything that a gradient estimator may evaluate.

Sign convention, for the whole project: gradients point uphill, optimizers subtract them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from common.checks import require

PerExample = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Task(tf.Module):
    """A network with its per-example loss and metric; `classification` and `regression` make the usual tasks.

    Attributes:
        network: maps (batch, *input_shape) to (batch, outputs).
        training_mode: whether training calls the network with `training=True`, so that dropout is active. Keras' `fit`
            does. Loops that call `network(x)` by hand usually omit it and train without dropout.
        metric_name: "accuracy" or "mean_squared_error".
    """

    def __init__(
        self,
        network: keras.Model,
        loss: PerExample,
        metric: PerExample,
        *,
        metric_name: str,
        training_mode: bool = True,
    ):
        super().__init__(name="task")
        require(isinstance(network, keras.Model), "network", "a Keras model, such as networks.build(...)", network)
        self.network = network
        self.training_mode = training_mode
        self.metric_name = metric_name
        self._loss = loss
        self._metric = metric
        self._seed_generators = _seed_generators(network)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {self.network.name!r}, {self.parameter_count:,} parameters, {self.metric_name}>"
        )

    @property
    def weights(self) -> list[keras.Variable]:
        """The network's trainable variables, in the order of every list of gradients."""
        return self.network.trainable_variables

    @property
    def parameter_count(self) -> int:
        """P, the number of trainable scalars."""
        return sum(math.prod(weight.shape) for weight in self.weights)

    @property
    def batch_norms(self) -> list[str]:
        """Names of the layers through which, in training, an example's outputs depend on its whole batch."""
        layers = self.network._flatten_layers() if self.training_mode else ()
        return [layer.name for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]

    def outputs(self, x: tf.Tensor, seed: tf.Tensor, *, update_state: bool = True) -> tf.Tensor:
        """Run the network as training does.

        Args:
            x: (batch, *input_shape) float32.
            seed: (2,) int64, (run seed, global step). It determines only the dropout mask. Two calls with the same seed
                have the same mask, so that curvature products and finite differences see a fixed function.
            update_state: whether the pass updates batch norm's averages, as in a training step. A pass that only
                measures (a curvature product, a probe) must not. The outputs are the same.

        Returns:
            (batch, outputs) float32 logits or predictions.
        """
        if not update_state:
            with keras.StatelessScope():  # what layers assign inside it is dropped, the state of dropout too
                return self.outputs(x, seed)
        self.seed_dropout(seed)
        return tf.cast(self.network(x, training=self.training_mode), tf.float32)

    def seed_dropout(self, seed: tf.Tensor) -> None:
        """Set every layer's random state from the seed, as `outputs` does, for code that runs the layers one by one."""
        for index, generator in enumerate(self._seed_generators):
            state = tf.random.fold_in(tf.cast(seed, tf.int32), index)
            generator.state.assign(tf.bitcast(state, tf.uint32))

    def predictions(self, x: tf.Tensor) -> tf.Tensor:
        """Run the network as evaluation does, without dropout: (batch, ...) to (batch, outputs) float32."""
        return tf.cast(self.network(x, training=False), tf.float32)

    def per_example_loss(self, y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Loss of each example: (batch,) labels or (batch, 1) targets, (batch, outputs) to (batch,) float32."""
        return self._loss(y, outputs)

    def loss(self, y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Mean loss over the batch, scalar float32."""
        return tf.reduce_mean(self._loss(y, outputs))

    def per_example_metric(self, y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Metric of each example, (batch,) float32; its mean over a data set is the reported metric."""
        return self._metric(y, outputs)


def classification(network: keras.Model, *, training_mode: bool = True) -> Task:
    """Softmax cross-entropy (nats) of logits (batch, classes) and labels (batch,); the metric is accuracy in [0, 1].

    Example:
        >>> task = classification(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
        >>> round(float(task.loss(tf.constant([0]), tf.zeros([1, 2]))), 4)  # two equal logits: log 2
        0.6931
    """

    def cross_entropy(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        # Keras' fit hands over labels as float32 and, in mixed precision, logits as bfloat16.
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(y, tf.int32), tf.cast(logits, tf.float32))

    def correct(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.argmax(logits, -1, tf.int32) == tf.cast(y, tf.int32), tf.float32)

    return Task(network, cross_entropy, correct, metric_name="accuracy", training_mode=training_mode)


def regression(network: keras.Model, *, training_mode: bool = True) -> Task:
    """Squared error of predictions (batch, 1), in squared units of the target; loss and metric are the same.

    Example:
        >>> task = regression(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))
        >>> float(task.loss(tf.constant([[1.0], [2.0]]), tf.constant([[1.0], [5.0]])))  # (0² + 3²) / 2
        4.5
    """

    def squared_error(y: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.square(predictions - y), -1)

    return Task(network, squared_error, squared_error, metric_name="mean_squared_error", training_mode=training_mode)


def _seed_generators(network: keras.Model) -> list[keras.random.SeedGenerator]:
    """Every layer's random state, in layer order (nested layers included)."""
    generators = (getattr(layer, "seed_generator", None) for layer in network._flatten_layers())
    return [generator for generator in generators if generator is not None]
