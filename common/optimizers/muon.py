"""Muon: momentum with steps whose singular values are all near one, for matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from common.optimizers import arguments
from common.optimizers.adam import Adam

# a, b, c of the quintic: the steepest at zero that keeps singular values near one, about [0.7, 1.2], after five steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


@keras.saving.register_keras_serializable(package="common.optimizers")
class Muon(Adam):
    """MomentUm Orthogonalized by Newton-Schulz.

    For a matrix W (rows × columns), with G its gradient:

        B ← β B + G
        O = NewtonSchulz(G + β B)           Nesterov's momentum, made nearly orthogonal
        W ← W - 0.2 η √max(rows, columns) O

    O keeps U and V of the singular value decomposition U S Vᵀ and replaces S by values near 1. Weak directions of the
    gradient thus count as much as dominant ones. The factor sets the root mean square of a step to 0.2 η, about that of
    Adam, so that one learning rate serves both. Adam updates everything else (biases, scales, embeddings) with the same
    η. State: B for a matrix, Adam's m and v for the rest, all initially zero.

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable. 0.001 as for Adam.
        momentum: β in [0, 1); 0.95 as in the report.
        adam_for: parts of names in a variable's path; Adam also updates these matrices. The report uses Adam for
            embeddings and for the last layer, whose name only the caller knows.
        convolutions: whether a convolution's kernel (height, width, in, out) counts as the matrix
            (height · width · in) × out, as in the report. Otherwise Adam updates it, as in Keras, at less than half the
            cost.
        beta_1: β₁ of Adam.
        beta_2: β₂ of Adam.
        epsilon: ε of Adam.
        **options: options of every Keras optimizer (`clipnorm`, `weight_decay`, ...).

    Raises:
        ValueError: an argument has a wrong value or an unknown name.

    References: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024
    (kellerjordan.github.io/posts/muon); the factor: Liu et al., Muon is scalable for LLM training, arXiv 2502.16982,
    section 2.2. Deviations from the report: the iteration uses float32 instead of bfloat16, and the factor is added.
    Adam updates convolutions unless `convolutions` is set. There is no weight decay unless `weight_decay` is set.

    Example:
        >>> matrix, optimizer = keras.Variable(tf.zeros([2, 2])), Muon(1.0)
        >>> optimizer.apply([tf.constant([[3.0, 0.0], [0.0, 0.1]])], [matrix])
        >>> singular_values = tf.linalg.svd(matrix.value, compute_uv=False) / (0.2 * 2**0.5)
        >>> bool(tf.reduce_all(tf.abs(singular_values - 1) < 0.35))  # near 1, though the gradient's are 3 and 0.1
        True
    """

    def __init__(
        self,
        learning_rate: arguments.LearningRate = 0.001,
        momentum: float = 0.95,
        adam_for: Sequence[str] = ("embedding",),
        convolutions: bool = False,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self.momentum = arguments.fraction("momentum", momentum)
        self.convolutions = bool(convolutions)
        self.adam_for = [adam_for] if isinstance(adam_for, str) else [str(name) for name in adam_for]

    def build(self, variables: list[keras.Variable]) -> None:
        """Create B for matrices, and m and v for all other variables."""
        if self.built:
            return
        keras.optimizers.Optimizer.build(self, variables)
        matrices = [self._is_matrix(variable) for variable in variables]
        self._b, self._m, self._v = (
            [
                self._state(variable, name) if matrix == wanted else None
                for variable, matrix in zip(variables, matrices, strict=True)
            ]
            for name, wanted in (("momentum", True), ("mean", False), ("mean_square", False))
        )

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Apply the formula to one variable; gradient and variable have the same shape."""
        b, beta = self._b[self._get_variable_index(variable)], self.momentum
        if b is None:
            return super().update_step(gradient, variable, learning_rate)
        g, eta = arguments.dense(gradient, variable.dtype), tf.cast(learning_rate, variable.dtype)
        self.assign(b, beta * b + g)
        matrix = tf.reshape(g + beta * b, [-1, variable.shape[-1]])
        step = 0.2 * eta * max(matrix.shape) ** 0.5 * newton_schulz(matrix)
        return self.assign_sub(variable, tf.reshape(step, variable.shape))

    def get_config(self) -> dict[str, Any]:
        """Return all arguments as plain data."""
        return super().get_config() | {
            "momentum": self.momentum,
            "adam_for": self.adam_for,
            "convolutions": self.convolutions,
        }

    def _is_matrix(self, variable: keras.Variable) -> bool:
        rank = len(variable.shape)
        shaped = rank == 2 or (rank > 2 and self.convolutions)
        return shaped and not any(name in variable.path for name in self.adam_for)

    def _state(self, variable: keras.Variable, name: str) -> keras.Variable:
        return self.add_variable_from_reference(variable, name=name)


def newton_schulz(matrix: tf.Tensor) -> tf.Tensor:
    """Bring all singular values of a matrix near 1 and keep its singular vectors.

        X = G / ‖G‖,    five times:  A = X Xᵀ,  X ← a X + (b A + c A²) X

    Each round maps every singular value s to a s + b s³ + c s⁵. Values below about 1e-3 of the norm stay below 1; a
    zero matrix stays zero.

    Args:
        matrix: (rows, columns) float32.

    Returns:
        (rows, columns) float32, about U Vᵀ.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = tf.transpose(matrix) if tall else matrix  # A is as small as it can be
    x /= tf.norm(x) + 1e-7
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * square + c * tf.matmul(square, square), x)
    return tf.transpose(x) if tall else x
