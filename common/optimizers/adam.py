"""Adam: momentum, with a separate step size for each parameter."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from common.optimizers import arguments


@keras.saving.register_keras_serializable(package="common.optimizers")
class Adam(keras.optimizers.Optimizer):
    """Move along the running mean of the gradient, divided by the root of its running mean square.

        m ← m + (1 - β₁) (g - m)            = β₁ m + (1 - β₁) g
        v ← v + (1 - β₂) (g² - v)           = β₂ v + (1 - β₂) g²
        α = η √(1 - β₂ᵗ) / (1 - β₁ᵗ)        t = 1, 2, ... counts the steps
        w ← w - α m / (√v + ε)

    All operations are elementwise. m and v start at zero and are at first too small, by the factors 1 - β₁ᵗ and 1 -
    β₂ᵗ. The step size α contains this bias correction, as in the last paragraph of the paper's section 2.
    State: m and v, one each per variable, of its shape.

    ε stands outside the square root and beside the *uncorrected* √v. It is the ε̂ of that paragraph: algorithm 1 has ε
    beside √v̂, which is the same as ε̂ = ε √(1 - β₂ᵗ) here. Keras uses the same formula, with 1e-7 as default; the
    paper, the source and we use 1e-8. With `epsilon=1e-7`, this is keras.optimizers.Adam.

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable. All defaults are the paper's, such as 0.001.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0.
        **options: options of every Keras optimizer (`clipnorm`, `weight_decay`, ...).

    Raises:
        ValueError: an argument has a wrong value or an unknown name.

    Reference: Kingma and Ba, arXiv 1412.6980, section 2.

    Example:
        >>> weights, optimizer = keras.Variable([1.0, 1.0]), Adam(0.1)
        >>> optimizer.apply([tf.constant([0.01, -100.0])], [weights])
        >>> weights.numpy().astype(float).round(4).tolist()  # the first step is η, whatever the gradient's length
        [0.9, 1.1]
    """

    def __init__(
        self,
        learning_rate: arguments.LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Any,
    ):
        super().__init__(arguments.learning_rate(learning_rate), **arguments.options(type(self), options))
        self.beta_1 = arguments.fraction("beta_1", beta_1)
        self.beta_2 = arguments.fraction("beta_2", beta_2)
        self.epsilon = arguments.positive("epsilon", epsilon)

    def build(self, variables: list[keras.Variable]) -> None:
        """Create the two running means for each variable."""
        if self.built:
            return
        super().build(variables)
        self._m = self.add_optimizer_variables(variables, "mean")
        self._v = self.add_optimizer_variables(variables, "mean_square")

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Apply the formula to one variable; gradient and variable have the same shape."""
        g, index = arguments.dense(gradient, variable.dtype), self._get_variable_index(variable)
        m, v = self._m[index], self._v[index]
        # Written as increments: each is one pass over the memory less than the sums of two products.
        self.assign_add(m, (1 - self.beta_1) * (g - m))
        self.assign_add(v, (1 - self.beta_2) * (tf.square(g) - v))
        alpha = self._alpha(self.iterations + 1, learning_rate, variable.dtype)
        self.assign_sub(variable, alpha * m / (tf.sqrt(v) + self.epsilon))

    def effective_step_sizes(self) -> list[tf.Tensor]:
        """Return the factor α / (√v + ε) of m in the last step, of each variable's shape, where there is a v.

        If the gradient stays the same, w moves by η per step, whatever the gradient's size.
        """
        alpha = self._alpha(self.iterations, self.learning_rate, tf.float32)
        return [alpha / (tf.sqrt(v) + self.epsilon) for v in self._v if v is not None]

    def _alpha(self, iterations: Any, learning_rate: Any, dtype: Any) -> tf.Tensor:
        eta, t = tf.cast(learning_rate, dtype), tf.cast(iterations, dtype)
        return eta * tf.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments as plain data."""
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
