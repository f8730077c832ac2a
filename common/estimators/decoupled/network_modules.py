"""A sequential network cut into modules, each trainable from the gradient at its own output.

With modules f_1 ... f_M and the input h_0 = x, the activations at the boundaries are h_i = f_i(h_{i-1}; θ_i). A
module's weight gradients follow from the gradient u_i of the loss with respect to h_i by backpropagation inside it:

    ∇θ_i = (∂h_i/∂θ_i)ᵀ u_i          t_{i-1} = (∂h_i/∂h_{i-1})ᵀ u_i

The module sends t_{i-1} to the module below.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from common.checks import nearest, require
from common.tasks.layers import PooledConv2D
from common.tasks.task import Task

_WITH_THE_NEXT = (keras.layers.Flatten, keras.layers.Dropout)  # a predictor of feature maps wants them as maps


class NetworkModule:
    """Consecutive layers of a network, as one function with weights of its own.

    Args:
        layers: the layers, built.
        training: the argument of their calls; see `Task.training_mode`.
    """

    def __init__(self, layers: Sequence[keras.Layer], training: bool):
        self.layers, self._training = list(layers), training
        self.weights = [weight for layer in self.layers for weight in layer.trainable_variables]

    @property
    def name(self) -> str:
        """Name of the last layer, which also names the boundary behind it."""
        return self.layers[-1].name

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the module's output for one example."""
        return tuple(self.layers[-1].output.shape[1:])

    @property
    def products(self) -> int:
        """Multiply-accumulates of the forward pass's matrix products, for one example."""
        return sum(layer_products(layer) for layer in self.layers)

    @property
    def first_products(self) -> int:
        """Multiply-accumulates of the first layer with a kernel, for one example; 0 if there is none."""
        return next((count for count in map(layer_products, self.layers) if count), 0)

    def forward(self, entering: tf.Tensor) -> ForwardPass:
        """Run the module on activations, without gradients to the modules below; float32 in and out."""
        entering = tf.stop_gradient(entering)
        with tf.GradientTape() as tape:
            tape.watch(entering)
            h = entering
            for layer in self.layers:
                h = layer(h, training=self._training)
            h = tf.cast(h, tf.float32)
        return ForwardPass(self, entering, h, tape)


class ForwardPass:
    """One forward pass of a module; its gradients can be computed once."""

    def __init__(self, module: NetworkModule, entering: tf.Tensor, leaving: tf.Tensor, tape: tf.GradientTape):
        self._module, self._entering, self._tape = module, entering, tape
        self.leaving = leaving

    def backward(self, gradient: tf.Tensor, *, below: bool) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Backpropagate inside the module.

        Args:
            gradient: u_i, of the shape of `leaving`, in units of loss per unit of activation.
            below: whether to return the gradient at the module's input.

        Returns:
            The gradients of the module's weights, and the gradient at its input or None.
        """
        sources = [*self._module.weights, *([self._entering] if below else [])]
        # A weight that the output does not depend on has the gradient zero.
        gradients = self._tape.gradient(
            self.leaving, sources, output_gradients=gradient, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return (gradients[:-1], gradients[-1]) if below else (gradients, None)


def forward(
    task: Task, modules: Sequence[NetworkModule], x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor
) -> tuple[list[ForwardPass], tf.Tensor, tf.Tensor]:
    """Run all modules; also return the loss and its gradient at the last module's output."""
    task.seed_dropout(seed)
    passes: list[ForwardPass] = []
    for module in modules:
        passes.append(module.forward(passes[-1].leaving if passes else x))
    outputs = passes[-1].leaving
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = task.loss(y, outputs)
    return passes, loss, tape.gradient(loss, outputs)


def gradient_products(modules: Sequence[NetworkModule]) -> int:
    """Return the multiply-accumulates of backpropagation per example: 3 per forward product, less the input's."""
    return 3 * sum(module.products for module in modules) - modules[0].first_products


def require_boundaries(boundaries: Sequence[str] | None) -> None:
    """Raise a ValueError for a bare string, because iterating over it would yield its characters."""
    require(not isinstance(boundaries, str), "boundaries", "a list of names of layers", boundaries)


def split(task: Task, boundaries: Sequence[str] | None, *, one_is_enough: bool = False) -> list[NetworkModule]:
    """Cut a task's network into modules.

    Args:
        task: a task with a sequential network.
        boundaries: names of the layers behind which the network is cut. None: the cuts are before every layer with a
            kernel except the first, and before the Flatten and Dropout layers that lead to it.
        one_is_enough: whether a network without a boundary is accepted as a single module.

    Returns:
        The modules from input to output.

    Raises:
        ValueError: the network is not sequential, a boundary does not exist, there is no boundary, or a module has no
            weights.
    """
    network = task.network
    if not isinstance(network, keras.Sequential):
        raise ValueError(f"the network must be a keras.Sequential to be cut into modules, got {type(network).__name__}")
    names = [layer.name for layer in network.layers]
    cuts = _block_cuts(network.layers) if boundaries is None else _named_cuts(names, boundaries)
    require(len(cuts) > 0 or one_is_enough, "boundaries", "at least one (a network of one block has none)", boundaries)
    edges = [0, *cuts, len(names)]
    modules = [NetworkModule(network.layers[a:b], task.training_mode) for a, b in itertools.pairwise(edges)]
    for module in modules:
        allowed = "such that every module has trainable weights"
        require(bool(module.weights), "boundaries", f"{allowed} (that of {module.name!r} has none)", boundaries)
    return modules


def _block_cuts(layers: Sequence[keras.Layer]) -> list[int]:
    """Return the position of the first layer of every block but the first."""
    cuts = []
    for index, layer in enumerate(layers):
        if not hasattr(layer, "kernel"):
            continue
        start = index
        while start and isinstance(layers[start - 1], _WITH_THE_NEXT):
            start -= 1
        cuts.append(start)
    return cuts[1:]


def _named_cuts(names: Sequence[str], boundaries: Sequence[str]) -> list[int]:
    inner = names[:-1]  # behind the last layer there is the loss
    for name in boundaries:
        if name not in inner:
            raise ValueError(
                f"boundaries must be names of layers before the last, {list(inner)}, got {name!r}{nearest(name, inner)}"
            )
    require(len(set(boundaries)) == len(boundaries), "boundaries", "each layer once", list(boundaries))
    return sorted(names.index(name) + 1 for name in boundaries)


def layer_products(layer: keras.Layer) -> int:
    """Return a layer's multiply-accumulates for one example: its kernel's size times the number of applications."""
    if not hasattr(layer, "kernel"):
        return 0
    positions = layer.positions if isinstance(layer, PooledConv2D) else layer.output.shape[1:-1]
    return math.prod(layer.kernel.shape) * math.prod(positions)
