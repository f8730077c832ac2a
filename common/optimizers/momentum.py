"""Momentum: a velocity that the gradient pushes and that friction slows."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from common.optimizers import arguments


@keras.saving.register_keras_serializable(package="common.optimizers")
class Momentum(keras.optimizers.Optimizer):
    """Move with a velocity u, which keeps a fraction β and is pushed against the gradient.

        u ← β u - η g
        w ← w + u               (Nesterov: w ← w + β u - η g, with the new u)

    Along a direction of constant gradient, u grows to -η g / (1 - β). State: one u per variable, of its shape,
    initially zero.

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable. 0.01 is the default of Keras' SGD.
        momentum: β in [0, 1); 0.9 is usual. The source uses 0.98.
        nesterov: whether to use the gradient as if it were taken at the point to which the velocity leads.
        **options: options of every Keras optimizer (`clipnorm`, ...).

    Raises:
        ValueError: an argument has a wrong value or an unknown name.

    Reference: Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013. With the change of variables of Bengio
    et al. (arXiv 1212.0901), both use the gradient at w. This is keras.optimizers.SGD with momentum.

    Example:
        >>> weight, optimizer = keras.Variable(1.0), Momentum(0.5, momentum=0.5)
        >>> for _ in range(3):  # a gradient of one: the steps grow from η towards η / (1 - β)
        ...     optimizer.apply([tf.ones([])], [weight])
        ...     print(float(weight))
        0.5
        -0.25
        -1.125
    """

    def __init__(
        self,
        learning_rate: arguments.LearningRate = 0.01,
        momentum: float = 0.9,
        nesterov: bool = False,
        **options: Any,
    ):
        super().__init__(arguments.learning_rate(learning_rate), **arguments.options(Momentum, options))
        self.momentum = arguments.fraction("momentum", momentum)
        self.nesterov = bool(nesterov)

    def build(self, variables: list[keras.Variable]) -> None:
        """Create a velocity for each variable."""
        if self.built:
            return
        super().build(variables)
        self._u = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Apply the formula to one variable; gradient and variable have the same shape."""
        g, eta = arguments.dense(gradient, variable.dtype), tf.cast(learning_rate, variable.dtype)
        u, beta = self._u[self._get_variable_index(variable)], self.momentum
        self.assign(u, beta * u - eta * g)
        self.assign_add(variable, beta * u - eta * g if self.nesterov else u)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments as plain data."""
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
