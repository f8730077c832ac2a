"""Forward gradient on activations: each example's pre-activations are perturbed, and each layer's gradient is local.

Layer l computes z_l = h_{l-1} W_l + b_l for each example i of B. All z_l move at once along random tangents u_li of
mean 0 and covariance I. One forward pass carries value and derivative

    ż_l = ḣ_{l-1} W_l + u_l        ḣ_l = f'(z_l) ż_l        d_i = Σ_l ∂L_i/∂z_li · u_li

to each example's loss L_i. The estimate of ∂L_i/∂z_li is d_i u_li; its product with the layer's input estimates the
weights' gradient:

    Ŵ_l = (1/B) Σ_i h_{l-1,i} (d_i u_li)ᵀ        E Ŵ_l = ∇_{W_l} L

Its variance grows with the number of units per example, not with the number of weights. No error is propagated to the
layer below: each layer only needs the product of its own input with d u. A pooled convolution's units are counted after
pooling.

Source: arXiv 2210.03310, section 3 ("activity-perturbed forward gradient"). Deviations: tangents come from a table of
random rows, as in `ForwardGradient`. Logits are perturbed like every other layer's outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from common.checks import require_one_of
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.estimators.forward.tangents import TABLES, Dual, TangentSource, activated, derived, of_layer
from common.estimators.parametrised_layers import sequential_layers
from common.randomness import Stream
from common.tasks.task import Task


class ActivityPass(NamedTuple):
    """The result of one pass through some layers.

    Attributes:
        leaving: the output of each layer, (batch, *features).
        losses: (batch,) float32.
        gradients: estimated gradients of the mean loss, one per weight tensor, in the layers' order.
    """

    leaving: list[tf.Tensor]
    losses: tf.Tensor
    gradients: list[tf.Tensor]


class ActivityForwardGradient(GradientEstimator):
    """Forward gradient along random tangents of all pre-activations, for sequential networks. It has no state.

    Args:
        directions: entries of the tangents: "gaussian", or "signs" (±1), which have the same covariance but constant
            length.

    Raises:
        ValueError: the kind of directions is unknown. `build` raises it for a network that is not sequential, and for
            batch norm in training. With batch norm, an example's loss also depends on the activations of others, which
            d_i does not contain.

    Example:
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = ActivityForwardGradient(directions="signs")
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().tolist()  # one pre-activation per example: v² = 1, the exact gradient
        [1.0, -0.375]
    """

    def __init__(self, *, directions: str = "gaussian"):
        super().__init__()
        require_one_of("directions", directions, TABLES)
        self.directions = directions

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Create the table of directions; see the class for the errors raised."""
        super().build(task, run)
        if task.batch_norms:
            raise ValueError(
                f"{type(self).__name__} takes networks whose examples do not depend on each other, got one with batch "
                f"norm: {', '.join(task.batch_norms)}"
            )
        self._layers = tuple(sequential_layers(task, type(self).__name__))
        self._source = TangentSource(self.directions)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Run one pass; see `GradientEstimator.estimate` for shapes."""
        self.task.seed_dropout(seed)
        estimate = self.along(self._layers, x, lambda outputs: self.task.per_example_loss(y, outputs), seed)
        outputs = tf.cast(estimate.leaving[-1], tf.float32)
        return GradientEstimate(tf.reduce_mean(estimate.losses), outputs, estimate.gradients)

    def along(
        self,
        layers: Sequence[keras.Layer],
        x: tf.Tensor,
        loss: Callable[[tf.Tensor], tf.Tensor],
        seed: tf.Tensor,
    ) -> ActivityPass:
        """Run some layers, and estimate the gradients of their weights from the loss after them.

        Args:
            layers: the layers, in their order.
            x: (batch, *features), the input of the first layer.
            loss: a function from (batch, outputs) float32 to each example's loss, (batch,).
            seed: (2,) int64, (run seed, global step).
        """
        own_seed = tf.random.fold_in(seed, Stream.TANGENTS)
        state, leaving, perturbed = Dual(x, None), [], []
        for number, layer in enumerate(layers):
            with tf.GradientTape() as tape:  # of this layer's own product, nothing else
                z = of_layer(layer, state, (), self.task.training_mode)
            if layer.trainable_variables:
                moved = self._drawn(z.value, tf.random.fold_in(own_seed, number))
                perturbed.append((layer, tape, z.value, moved))
                z = Dual(z.value, moved if z.tangent is None else z.tangent + moved)
            state = activated(layer, z)
            leaving.append(state.value)
        losses = derived(lambda value: loss(tf.cast(value, tf.float32)), state)
        scale = losses.tangent / losses.value.shape[0]
        gradients = []
        for layer, tape, z, moved in perturbed:
            factor = tf.reshape(tf.cast(scale, moved.dtype), [-1] + [1] * (moved.shape.rank - 1))
            gradients += tape.gradient(z, layer.trainable_variables, output_gradients=factor * moved)
        return ActivityPass(leaving, losses.value, gradients)

    def _drawn(self, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draw u, of the shape and type of z."""
        drawn = self._source.draw(z.shape[0], math.prod(z.shape[1:]), seed)
        return tf.cast(tf.reshape(drawn, z.shape), z.dtype)

    def cost(self, batch_size: int) -> float:
        """Return the cost of a gradient: a layer has the products h W, ḣ W (not in the first layer) and hᵀ(d u)."""
        return float(batch_size)
