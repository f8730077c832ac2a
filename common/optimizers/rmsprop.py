"""RMSprop: each parameter's step is divided by the recent size of its gradient."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from common.optimizers import arguments


@keras.saving.register_keras_serializable(package="common.optimizers")
class RMSprop(keras.optimizers.Optimizer):
    """Divide each parameter's gradient by the root of its running mean square.

        v ← ρ v + (1 - ρ) g²
        w ← w - η g / √(v + ε)

    All operations are elementwise. State: one v per variable, of its shape, initially zero. The first steps are longer,
    by a factor of up to 1 / √(1 - ρ). Nothing corrects this bias; Adam corrects it.

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable. 0.001 is the default of Keras.
        rho: ρ in [0, 1), the fraction of the mean square that is kept; 0.9 is the lecture's.
        epsilon: ε > 0; 1e-7 is the default of Keras.
        **options: options of every Keras optimizer (`clipnorm`, ...).

    Raises:
        ValueError: an argument has a wrong value or an unknown name.

    Reference: Hinton, Neural networks for machine learning, lecture 6e, 2012. ε is inside the square root, as in Keras
    and unlike PyTorch. This is keras.optimizers.RMSprop, without its momentum and centering.

    Example:
        >>> weight, optimizer = keras.Variable(1.0), RMSprop(0.1, rho=0.75)
        >>> optimizer.apply([tf.ones([])], [weight])
        >>> round(float(weight), 4)  # the first step is η / √(1 - ρ)
        0.8
    """

    def __init__(
        self,
        learning_rate: arguments.LearningRate = 0.001,
        rho: float = 0.9,
        epsilon: float = 1e-7,
        **options: Any,
    ):
        super().__init__(arguments.learning_rate(learning_rate), **arguments.options(RMSprop, options))
        self.rho = arguments.fraction("rho", rho)
        self.epsilon = arguments.positive("epsilon", epsilon)

    def build(self, variables: list[keras.Variable]) -> None:
        """Create a running mean square for each variable."""
        if self.built:
            return
        super().build(variables)
        self._v = self.add_optimizer_variables(variables, "mean_square")

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Apply the formula to one variable; gradient and variable have the same shape."""
        g, eta = arguments.dense(gradient, variable.dtype), tf.cast(learning_rate, variable.dtype)
        v, rho = self._v[self._get_variable_index(variable)], self.rho
        self.assign(v, rho * v + (1 - rho) * tf.square(g))
        self.assign_sub(variable, eta * g / tf.sqrt(v + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """Return all arguments as plain data."""
        return super().get_config() | {"rho": self.rho, "epsilon": self.epsilon}
