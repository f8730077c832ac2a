"""Evaluation of a population of perturbed networks, and of the network itself equally often."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimator
from common.estimators.evolution.layerwise_evolution import LayerwiseEvolution
from common.estimators.evolution.parameter_evolution import ParameterEvolution
from common.tasks import networks
from common.tasks import task as tasks

MEMBERS, SAMPLES = 256, 256
INFERENCE_BATCH = 4_096  # the fastest of 256, 1,000 and 4,096
PAIRS = 4_096  # pairs of the small convnet, with one example each
BATCH, KEEP, LAYERWISE_PAIRS = 8_192, 0.25, (1, 4, 16)
EVALUATIONS = {"mlp": MEMBERS * SAMPLES, "convnet": 2 * PAIRS}
SIGMA = 0.02


def mlp() -> keras.Sequential:
    """Return an MLP with the layer sizes 784-128-10."""
    return networks.build("mlp", (28, 28, 1), 10, seed=0, hidden=(128,))


def convnet() -> keras.Sequential:
    """Return the network that notebook 04 trains by perturbations of its weights only."""
    return networks.build("tiny_convnet", (28, 28, 1), 10, seed=0)


def inference(network: keras.Sequential, evaluations: int) -> Callable[[], object]:
    """Return a function that runs a network on `evaluations` examples in one compiled call."""
    x, _ = _examples(INFERENCE_BATCH)
    rest = evaluations % INFERENCE_BATCH
    assert rest == 0, rest

    @tf.function(jit_compile=False, autograph=False)
    def run() -> tf.Tensor:
        def add(i, total):
            return i + 1, total + tf.reduce_sum(network(x, training=False))

        count = evaluations // INFERENCE_BATCH
        return tf.while_loop(lambda i, _: i < count, add, (0, 0.0), parallel_iterations=1)[1]

    return lambda: float(run())


def population() -> Callable[[], object]:
    """Return a function that estimates a gradient of the MLP: every member sees all samples."""
    return _estimate(ParameterEvolution(MEMBERS, SIGMA, own_data=False), mlp(), SAMPLES)


def own_examples() -> Callable[[], object]:
    """Return a function that estimates a gradient of the small convnet: each pair sees its own single example."""
    return _estimate(ParameterEvolution(2 * PAIRS, SIGMA), convnet(), PAIRS)


def layer_by_layer() -> Callable[[], object]:
    """Return a function that estimates a gradient of the small convnet layer by layer, as notebook 04 does on MNIST."""
    return _estimate(LayerwiseEvolution(LAYERWISE_PAIRS, SIGMA, keep=KEEP), convnet(), BATCH)


def backpropagation() -> Callable[[], object]:
    """Return a function that computes the exact gradient of the same batch."""
    return _estimate(Backpropagation(), convnet(), BATCH)


def has_evosax() -> bool:
    """Return whether evosax (JAX) is installed; it is not a dependency of this project."""
    return importlib.util.find_spec("evosax") is not None


def evosax() -> Callable[[], object]:
    """Return a function that gets a population of MLPs from evosax' OpenAI strategy, evaluates it and reports back."""
    import jax
    import jax.numpy as jnp
    from evosax.algorithms import Open_ES

    x, y = (jnp.asarray(part.numpy()) for part in _examples(SAMPLES))
    x = x.reshape(SAMPLES, -1)
    solution = [jnp.asarray(weight) for weight in mlp().get_weights()]

    def loss(weights: list) -> jax.Array:
        hidden = jax.nn.relu(x @ weights[0] + weights[1])
        log_probabilities = jax.nn.log_softmax(hidden @ weights[2] + weights[3])
        return -jnp.mean(jnp.take_along_axis(log_probabilities, y[:, None], 1))

    strategy = Open_ES(population_size=MEMBERS, solution=solution)
    parameters = strategy.default_params
    state = strategy.init(jax.random.key(0), solution, parameters)

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        members, asked = strategy.ask(key, state, parameters)
        updated, _ = strategy.tell(key, members, jax.vmap(loss)(members), asked, parameters)
        return updated.mean

    return lambda: run(jax.random.key(1)).block_until_ready()


def _estimate(estimator: GradientEstimator, network: keras.Sequential, examples: int) -> Callable[[], object]:
    estimator.build(tasks.classification(network))
    run = tf.function(estimator.estimate, jit_compile=False, autograph=False)
    batch = *_examples(examples), tf.constant([0, 0], tf.int64)
    return lambda: float(run(*batch).loss)


def _examples(count: int) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    x = rng.random((count, 28, 28, 1), dtype=np.float32)
    return tf.constant(x), tf.constant(rng.integers(0, 10, count).astype(np.int32))
