"""The cost of our optimizers' steps and of Keras' own, and the time that the on-device loop saves on small networks."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from common import training
from common.data import Split
from common.estimators.backpropagation import Backpropagation
from common.optimizers.adam import Adam
from common.optimizers.adamw import AdamW
from common.optimizers.gradient_descent import GradientDescent
from common.optimizers.momentum import Momentum
from common.optimizers.muon import Muon
from common.optimizers.rmsprop import RMSprop
from common.optimizers.shampoo import Shampoo
from common.optimizers.soap import SOAP
from common.tasks import networks
from common.tasks import task as tasks

STEPS = 4_000  # steps per turn, about a second, which suits the clock of a busy machine
EPOCHS = 500

_SGD = keras.optimizers.SGD
# Name -> our optimizer, Keras' own.
PAIRS = {
    "gradient descent": (lambda: GradientDescent(0.01), lambda: _SGD(0.01)),
    "gradient descent, clipped": (lambda: GradientDescent(0.01, clipnorm=1.0), lambda: _SGD(0.01, clipnorm=1.0)),
    "momentum": (lambda: Momentum(0.01), lambda: _SGD(0.01, momentum=0.9)),
    "Nesterov": (lambda: Momentum(0.01, nesterov=True), lambda: _SGD(0.01, momentum=0.9, nesterov=True)),
    "RMSprop": (RMSprop, keras.optimizers.RMSprop),
    "Adam": (Adam, keras.optimizers.Adam),
    "AdamW": (AdamW, keras.optimizers.AdamW),
    "Muon": (Muon, lambda: keras.optimizers.Muon(weight_decay=None, adam_weight_decay=None)),
}
AT_MOST = 1.1

LOOP, COMPILED, EAGER = "our loop on the device", "Python loop, compiled step", "Python loop, eager step"
# (candidate, reference, largest ratio), for the source's full-batch runs of 10,000 epochs.
LOOPS = [(LOOP, EAGER, 1 / 20), (LOOP, COMPILED, None)]

# Whole training steps, including the gradient; every interval divides 60.
TRAINING_STEPS, TRAINING_BATCH = 60, 128
ADAM = "Adam"
SECOND_MOMENTS = {
    ADAM: Adam,
    "SOAP": SOAP,
    "SOAP, one side": lambda: SOAP(one_sided=True),
    "SOAP, one side, factors and bases every 20": lambda: SOAP(one_sided=True, factors_every=20, refresh_every=20),
    "Shampoo": Shampoo,
}
SECOND_MOMENTS_AT_MOST = 1.5


def training_steps() -> dict[str, Callable[[], object]]:
    """Return, by name, functions that train mlp((256, 256, 256)) for `TRAINING_STEPS` steps on MNIST-sized images."""
    rng, examples = np.random.default_rng(0), TRAINING_STEPS * TRAINING_BATCH
    split = Split(rng.random((examples, 784), dtype=np.float32), rng.integers(0, 10, examples).astype(np.int32))

    def epoch(optimizer: keras.optimizers.Optimizer) -> Callable[[], object]:
        network = networks.build("mlp", (784,), 10, seed=0, hidden=(256, 256, 256))
        task = tasks.classification(network)
        return training.one_epoch(task, Backpropagation(), optimizer, split, batch_size=TRAINING_BATCH, seed=0)

    return {name: epoch(make()) for name, make in SECOND_MOMENTS.items()}


def steps(make: Callable[[], keras.optimizers.Optimizer]) -> Callable[[], object]:
    """Return a function that updates mnist_convnet's weights `STEPS` times, with fixed gradients.

    It times only the optimizer's part of a step: forward and backward passes would hide any difference.
    """
    weights = networks.build("mnist_convnet", (28, 28, 1), 10, seed=0).trainable_variables
    rng = np.random.default_rng(0)
    gradients = [tf.constant(rng.normal(0, 0.01, weight.shape), tf.float32) for weight in weights]
    optimizer = make()
    optimizer.build(weights)

    @tf.function(jit_compile=False, autograph=False)
    def run() -> tf.Tensor:
        def step(i):
            optimizer.apply(gradients, weights)
            return (i + 1,)

        return tf.while_loop(lambda i: i < STEPS, step, (tf.constant(0),), parallel_iterations=1)[0]

    traced = run.get_concrete_function()  # avoids TensorFlow's retracing warning
    return lambda: int(traced())


def loops() -> dict[str, Callable[[], object]]:
    """Return, by name, functions that train mlp((4,)) for `EPOCHS` full-batch epochs on Boston-housing-sized data."""
    rng = np.random.default_rng(0)
    split = Split(rng.normal(size=(404, 13)).astype(np.float32), rng.normal(size=(404, 1)).astype(np.float32))
    batch = tf.constant(split.x), tf.constant(split.y), tf.constant([0, 0], tf.int64)

    def python_loop(compile_step: bool) -> Callable[[], object]:
        task, estimator = _task(), Backpropagation()
        estimator.build(task)
        step = training.one_step(task, estimator, GradientDescent(1e-3))
        step = tf.function(step, jit_compile=False) if compile_step else step
        return lambda: [float(step(*batch)) for _ in range(EPOCHS)]

    optimizer = GradientDescent(1e-3)
    ours = training.one_epoch(
        _task(), Backpropagation(), optimizer, split, batch_size=len(split), seed=0, epochs_a_call=EPOCHS
    )
    return {LOOP: ours, COMPILED: python_loop(True), EAGER: python_loop(False)}


def _task() -> tasks.Task:
    return tasks.regression(networks.build("mlp", (13,), 1, seed=0, hidden=(4,)))
