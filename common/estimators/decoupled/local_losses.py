"""Local losses: every block has a head and a loss of its own, and no gradient passes from one block to another.

A network cut into blocks h_i = f_i(h_{i-1}; θ_i), i = 1 ... M (see `network_modules`), has for each i < M a head
p_i(h_i; φ_i) that predicts the label. With H the mean cross-entropy,

    ∇θ_i = ∂H(y, p_i(f_i(h_{i-1}; θ_i); φ_i))/∂θ_i,  h_{i-1} held fixed        ∇θ_M = ∂L(y, f_M(h_{M-1}; θ_M))/∂θ_M

so that no block waits for the backward pass of another. With one block, this is backpropagation. The network's outputs
are those of the last block; heads serve only for training. Heads are

    "linear"        W h + b, of feature maps that are averaged over windows until at most FEATURES numbers are left
    "projection"    W h, of all activations

Heads are the estimator's state. Each head is trained on its own loss, at the same step as its block, by its own copy of
the estimator's optimizer. The run's optimizer, and its tuned learning rate, update only the network.

Another estimator computes a block's gradient from its own loss. `Backpropagation()` works inside the block.
`ActivityForwardGradient()` perturbs the pre-activations of the block and its head, as LG-FG-A does.

Sources: arXiv 1901.06656, section 2 (prediction loss); arXiv 2501.09238 (Mono-Forward: the projection); arXiv
2210.03310, section 4 (LG-FG-A). Deviations: all blocks update at the end of a step, from one set of weights. The first
source's similarity matching loss is left out, and so is the second's prediction by the last layer. The third's
replicated losses for patches and groups of channels are left out, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from common.checks import require, require_one_of
from common.estimators.backpropagation import Backpropagation
from common.estimators.decoupled.gradient_predictors import require_optimizer
from common.estimators.decoupled.network_modules import (
    forward,
    gradient_products,
    layer_products,
    require_boundaries,
    split,
)
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.estimators.forward.activity_forward_gradient import ActivityForwardGradient
from common.optimizers.clone import copy_of
from common.randomness import Stream
from common.tasks.layers import CHANNELS_LAST
from common.tasks.networks import hash_seed
from common.tasks.task import Task

HEADS = ("linear", "projection")
FEATURES = 1_024  # what a linear head sees at most of feature maps; chosen here, not tuned
BLOCK_SEEDS = 1_000_003  # between the seeds of two blocks' tangents


class LocalLosses(GradientEstimator):
    """Blocks of a sequential classifier that learn from their own losses; the state holds heads and their optimizers.

    Args:
        inner: the estimator of gradients inside a block: Backpropagation() or ActivityForwardGradient().
        boundaries: names of the layers behind which the network is cut (see `network_modules.split`); None: every layer
            with a kernel begins a block; empty: the network is one block.
        head: one of HEADS; see above.
        optimizer: a Keras optimizer, not built; every head gets a copy. None: Adam at 0.001.

    Raises:
        ValueError: an argument has the wrong type. `build` raises it as `split` and the inner estimator do, and for a
            task without class labels.

    Example:
        >>> from common.data import load
        >>> from common.tasks.networks import Network
        >>> data, exact, estimator = load("digits"), Backpropagation(), LocalLosses(Backpropagation(), boundaries=[])
        >>> task = Network("mlp", [8]).task(data, seed=0)
        >>> for each in (exact, estimator):
        ...     each.build(task)
        >>> batch = data.train.x[:16], data.train.y[:16], tf.zeros([2], tf.int64)
        >>> pairs = zip(estimator.estimate(*batch).gradients, exact.estimate(*batch).gradients)
        >>> max(float(tf.norm(estimate - gradient)) for estimate, gradient in pairs) < 1e-6  # one block
        True
    """

    def __init__(
        self,
        inner: GradientEstimator,
        *,
        boundaries: Sequence[str] | None = None,
        head: str = "linear",
        optimizer: keras.optimizers.Optimizer | None = None,
    ):
        super().__init__()
        allowed = "Backpropagation() or ActivityForwardGradient()"
        require(type(inner) in (Backpropagation, ActivityForwardGradient), "inner", allowed, inner)
        require_boundaries(boundaries)
        require_one_of("head", head, HEADS)
        require_optimizer(optimizer)
        self.inner, self.boundaries, self.head, self.optimizer = inner, boundaries, head, optimizer

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Cut the network and create a head for each block but the last; see the class for the errors raised."""
        super().build(task, run)
        if task.metric_name != "accuracy":
            raise ValueError(
                f"LocalLosses needs a task with class labels, which heads say, got one whose metric is "
                f"{task.metric_name!r}"
            )
        self._modules = tuple(split(task, self.boundaries, one_is_enough=True))
        classes = task.network.output_shape[-1]
        self._heads = [
            _head(module.output_shape, classes, self.head, hash_seed(run.seed, Stream.HEADS + number))
            for number, module in enumerate(self._modules[:-1])
        ]
        optimizer = self.optimizer or keras.optimizers.Adam(0.001)
        self._optimizers = [copy_of(optimizer, run.steps, run.steps_per_epoch) for _ in self._heads]
        for own, head in zip(self._optimizers, self._heads, strict=True):
            own.build(head.trainable_variables)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Return the last block's loss and outputs and each block's own gradients, and train the heads."""
        if isinstance(self.inner, ActivityForwardGradient):
            return self._perturbed(self.inner, x, y, seed)
        passes, loss, error = forward(self.task, self._modules, x, y, seed)
        gradients = []
        for number, head in enumerate(self._heads):
            h, weights = passes[number].leaving, head.trainable_variables
            with tf.GradientTape() as tape:
                tape.watch(h)
                own_loss = self.task.loss(y, head(h, training=True))
            signal, *of_head = tape.gradient(own_loss, [h, *weights])
            self._optimizers[number].apply(of_head, weights)
            gradients += passes[number].backward(signal, below=False)[0]
        gradients += passes[-1].backward(error, below=False)[0]
        return GradientEstimate(loss, passes[-1].leaving, gradients)

    def _perturbed(
        self, inner: ActivityForwardGradient, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor
    ) -> GradientEstimate:
        """Run the blocks with perturbed activations, each up to its own loss."""
        self.task.seed_dropout(seed)
        h, gradients = x, []
        for number, module in enumerate(self._modules):
            head = self._heads[number] if number < len(self._heads) else None
            layers = module.layers + (head.layers if head else [])
            own_seed = seed + tf.constant([number * BLOCK_SEEDS, 0], tf.int64)
            estimate = inner.along(layers, h, lambda outputs: self.task.per_example_loss(y, outputs), own_seed)
            count = len(module.weights)
            if head:
                self._optimizers[number].apply(estimate.gradients[count:], head.trainable_variables)
            gradients += estimate.gradients[:count]
            h = tf.cast(estimate.leaving[len(module.layers) - 1], tf.float32)
        return GradientEstimate(tf.reduce_mean(estimate.losses), h, gradients)

    def cost(self, batch_size: int) -> float:
        """Return the cost from multiply-accumulates: a gradient per head, and per block without its input's."""
        blocks = sum(3 * module.products - module.first_products for module in self._modules)
        heads = sum(3 * sum(map(layer_products, head.layers)) for head in self._heads)
        return batch_size * (blocks + heads) / gradient_products(self._modules)


def _head(shape: Sequence[int], classes: int, kind: str, seed: int) -> keras.Sequential:
    """Return a head for a block's output, (*features,) for one example."""
    body: list[keras.Layer] = []
    window = _window(shape)
    if kind == "linear" and window > 1:
        body.append(keras.layers.AveragePooling2D(window, padding="same", data_format=CHANNELS_LAST, dtype="float32"))
    start = keras.initializers.GlorotUniform(seed=seed)
    dense = keras.layers.Dense(classes, use_bias=kind == "linear", kernel_initializer=start, dtype="float32")
    flatten = keras.layers.Flatten(data_format=CHANNELS_LAST, dtype="float32")
    return keras.Sequential([keras.Input(tuple(shape)), *body, flatten, dense])


def _window(shape: Sequence[int]) -> int:
    """Return the smallest square window, in pixels, that leaves at most FEATURES numbers; 1 for vectors."""
    if len(shape) != 3:
        return 1
    height, width, channels = shape
    sizes = range(1, max(height, width) + 1)
    fits = (size for size in sizes if math.ceil(height / size) * math.ceil(width / size) * channels <= FEATURES)
    return next(fits, max(height, width))
