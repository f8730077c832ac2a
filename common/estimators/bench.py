"""A small task and short runs for `checks`. They are tiny, because every check traces an estimator again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from common.data.load import Split
from common.estimators.estimator import GradientEstimate, GradientEstimator, RunContext
from common.tasks.layers import CHANNELS_LAST
from common.tasks.task import Task, classification

BATCH, REST = 24, 10  # examples of a full batch, and of a smaller last one
_RANDOM = ("Random", "Multinomial")  # how TensorFlow's operations begin that draw from a state of their own


def small_task(seed: int, *, precision: str = "float32", batch_norm: bool = False) -> Task:
    """Return a classifier of 8×8 images, 4 classes: convolution, pool, dropout and two dense layers, 700 parameters.

    Args:
        seed: determines the initial weights.
        precision: "float32" or "mixed_bfloat16".
        batch_norm: whether batch norm follows the convolution and the first dense layer.
    """

    def options(name: str, index: int) -> dict:
        initial = keras.initializers.GlorotUniform(seed=10 * seed + index)
        return {"name": name, "dtype": precision, "kernel_initializer": initial}

    def norm(number: int) -> list[layers.Layer]:
        return [layers.BatchNormalization(name=f"norm_{number}", dtype=precision)] if batch_norm else []

    body = [
        layers.Conv2D(4, 3, data_format=CHANNELS_LAST, **options("conv_1", 0)),
        *norm(1),
        layers.ReLU(name="relu_1", dtype=precision),
    ]
    body += [
        layers.MaxPooling2D(2, data_format=CHANNELS_LAST, name="pool_1", dtype=precision),
        layers.Flatten(data_format=CHANNELS_LAST, name="flatten_1", dtype=precision),
    ]
    body += [layers.Dense(16, **options("dense_1", 1)), *norm(2), layers.ReLU(name="relu_2", dtype=precision)]
    body += [
        layers.Dropout(0.25, seed=seed, name="dropout_1", dtype=precision),
        layers.Dense(4, **options("dense_2", 2)),
    ]
    return classification(keras.Sequential([keras.Input((8, 8, 1)), *body], name="small"))


def random_examples() -> Split:
    """Return examples for `small_task`, enough for two full batches and a smaller one."""
    rng = np.random.default_rng(0)
    count = 2 * BATCH + REST
    return Split(rng.random((count, 8, 8, 1), dtype=np.float32), rng.integers(0, 4, count).astype(np.int32))


def variables_of(*parts: tf.Module | keras.Model) -> list[tf.Variable | keras.Variable]:
    """Return every variable that a checkpoint of these objects holds, each once."""
    nodes = [node for part in parts for node in tf.train.TrackableView(part).descendants()]
    return list({id(node): node for node in nodes if isinstance(node, tf.Variable | keras.Variable)}.values())


@dataclass(frozen=True)
class Bench:
    """The set-up that all checks share: it makes the estimator, its task and its examples."""

    make: Callable[[], GradientEstimator]
    make_task: Callable[..., Task]
    examples: Split

    def task(self, seed: int, **options) -> Task:
        """Return a new task."""
        return self.make_task(seed, **options)

    def context(self, seed: int) -> RunContext:
        """Return the run context of a run of one epoch."""
        return RunContext(seed=seed, steps=3, steps_per_epoch=3, batch_size=BATCH, split=self.examples)

    def batch(self, step: int, size: int = BATCH) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return (x, y, seed) of one step."""
        chosen = np.arange(step * BATCH, step * BATCH + size) % len(self.examples)
        seed = tf.constant([0, step], tf.int64)
        return tf.constant(self.examples.x[chosen]), tf.constant(self.examples.y[chosen]), seed

    def inputs(self, step: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return (x, seed) of one step, the inputs of the network."""
        x, _, seed = self.batch(step)
        return x, seed


class Run:
    """An estimator built on a task, with an optimizer that has state, traced once per batch size."""

    def __init__(
        self,
        bench: Bench,
        seed: int = 0,
        *,
        task: Task | None = None,
        estimator: GradientEstimator | None = None,
        **options,
    ):
        self.bench, self.task = bench, task or bench.task(seed, **options)
        self.estimator = estimator or bench.make()
        if estimator is None:
            self.estimator.build(self.task, bench.context(seed))
        self.optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        self.optimizer.build(self.task.weights)
        self._traced = tf.function(self.estimator.estimate, jit_compile=False, autograph=False)
        parts = {"network": self.task.network, "optimizer": self.optimizer, "estimator": self.estimator}
        self._parts = tuple(parts.values())
        self._checkpoint = tf.train.Checkpoint(**parts)

    def estimate(self, step: int, size: int = BATCH) -> GradientEstimate:
        """Return the estimate of one step; nothing is trained."""
        return self._traced(*self.bench.batch(step, size))

    def train(self, steps: Iterable[int]) -> list[list[np.ndarray]]:
        """Train, and return each step's loss, outputs and gradients."""
        estimates = []
        for step in steps:
            estimate = self.estimate(step)
            self.optimizer.apply(estimate.gradients, self.task.weights)
            estimates.append([part.numpy() for part in tf.nest.flatten(estimate)])
        return estimates

    def state(self) -> list[np.ndarray]:
        """Return everything that a checkpoint holds."""
        return [tf.convert_to_tensor(variable).numpy() for variable in variables_of(*self._parts)]

    def save(self, path: Path) -> Path:
        """Write a checkpoint and return its path."""
        return Path(self._checkpoint.write(str(path)))

    def restore(self, path: Path) -> None:
        """Read a checkpoint; every value must match a variable."""
        self._checkpoint.read(str(path)).assert_consumed()

    def translated_epoch(self, sizes: Sequence[int]) -> str:
        """Return the program into which XLA translates an epoch; unsupported operations raise here."""
        return self._compiled(sizes).experimental_get_compiler_ir(*self._data())(stage="hlo")

    def compiled_epoch(self, sizes: Sequence[int]) -> np.ndarray:
        """Train an epoch in one call compiled with XLA; return the full batches' summed loss and the rest's."""
        return self._compiled(sizes)(*self._data()).numpy()

    def _data(self) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.constant(self.bench.examples.x), tf.constant(self.bench.examples.y)

    def _compiled(self, sizes: Sequence[int]):
        """Return a function that trains on all examples as the project's loop does: full batches, then the rest."""
        full = sum(size == BATCH for size in sizes)

        def epoch(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            def full_step(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return number + 1, total + self._step(x, y, number, BATCH)

            number, total = tf.while_loop(
                lambda number, _: number < full, full_step, (tf.constant(0), tf.constant(0.0)), parallel_iterations=1
            )
            return tf.stack([total, *(self._step(x, y, number, size) for size in sizes if size != BATCH)])

        return tf.function(epoch, jit_compile=True, autograph=False)

    def _step(self, x: tf.Tensor, y: tf.Tensor, number: tf.Tensor, size: int) -> tf.Tensor:
        start = number * BATCH
        batch = (tf.slice(part, [start, *[0] * (part.shape.rank - 1)], [size, *part.shape[1:]]) for part in (x, y))
        # The function that is traced already: tracing takes longer than most that is checked.
        estimate = self._traced(*batch, tf.stack([0, tf.cast(number, tf.int64)]))
        self.optimizer.apply(estimate.gradients, self.task.weights)
        return estimate.loss

    def hidden_variables(self) -> list[str]:
        """Name the variables that `estimate` uses but no checkpoint holds, except dropout's, which each call sets."""
        held = {id(_tensor_variable(variable)) for variable in variables_of(*self._parts)}
        held |= {id(_tensor_variable(variable)) for variable in self.task.network.variables}
        return [variable.name for variable in self._graph().variables if id(variable) not in held]

    def stateful_random_operations(self) -> list[str]:
        """Name the types of operations in `estimate` that draw from a random state of their own."""
        graph = self._graph().as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        return sorted({node.op for node in nodes if node.op.startswith(_RANDOM)})

    def _graph(self):
        return self._traced.get_concrete_function(*self.bench.batch(0)).graph


def _tensor_variable(variable: tf.Variable | keras.Variable) -> tf.Variable:
    return variable.value if isinstance(variable, keras.Variable) else variable
