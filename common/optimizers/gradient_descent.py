"""Gradient descent: a step downhill, in proportion to the gradient."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from common.optimizers import arguments


@keras.saving.register_keras_serializable(package="common.optimizers")
class GradientDescent(keras.optimizers.Optimizer):
    """Move against the gradient.

        u = -η g
        w ← w + u               computed as w - η g, which saves a negation

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable. 0.01 is the default of Keras' SGD.
        **options: options of every Keras optimizer, above all `clipnorm`. It bounds ‖g‖ per variable, and so the length
            of a step by η · clipnorm.

    Raises:
        ValueError: an argument has a wrong value or an unknown name.

    Reference: Cauchy 1847. This is keras.optimizers.SGD without momentum.

    Example:
        >>> weight, optimizer = keras.Variable(1.0), GradientDescent(0.1)
        >>> for _ in range(2):  # a gradient of one: steps of η
        ...     optimizer.apply([tf.ones([])], [weight])
        ...     print(round(float(weight), 4))
        0.9
        0.8
    """

    def __init__(self, learning_rate: arguments.LearningRate = 0.01, **options: Any):
        super().__init__(arguments.learning_rate(learning_rate), **arguments.options(GradientDescent, options))

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Apply the formula to one variable; gradient and variable have the same shape."""
        g, eta = arguments.dense(gradient, variable.dtype), tf.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, eta * g)
