"""Shampoo: the gradient of a weight matrix is divided, from both sides, by a root of its second moments."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from common.checks import require_one_of
from common.optimizers import arguments
from common.optimizers.adam import Adam
from common.optimizers.kronecker import Side, as_matrix, scaled, sides_of, whole

GRAFTS = ("adam", "sgd")


@keras.saving.register_keras_serializable(package="common.optimizers")
class Shampoo(Adam):
    """Take the direction from Shampoo and the length from Adam or SGD: Shampoo with grafting.

    For a matrix W (rows × columns), with G its gradient, and m, v and α as in `Adam`:

        m ← β₁ m + (1 - β₁) G
        L ← β₂ L + (1 - β₂) G Gᵀ,     R ← β₂ R + (1 - β₂) Gᵀ G
        every f steps:  A = (L / λ(L) + δ I)^(-1/4),   B = (R / λ(R) + δ I)^(-1/4)
        P = A m B
        S = α m / (√v + ε)  for graft="adam",    S = η m / (1 - β₁ᵗ)  for graft="sgd"
        W ← W - ‖S‖ / ‖P‖ · P

    λ is the largest eigenvalue, ‖·‖ the Frobenius norm. Before the first refresh, at step t = f, the step is S itself.
    The step is also S for biases, for scales, and for matrices with both sides longer than `max_size`. If only one side
    is longer, its factor is left out, and the other's exponent is -1/2. A convolution's kernel is the matrix (height ·
    width · in) × out. State of a matrix: m, v (with Adam's length) of its shape, L, R, A and B.

    The scale of A and B cancels against ‖P‖, so L and R need no bias correction and no scaling. Roots are computed in
    float32. δ = 1e-6 is above its rounding, which is 6e-8 of λ for each entry.

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable. It has the meaning of the grafted method's
            learning rate.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1), for L, R and v.
        epsilon: ε > 0; see `Adam`.
        graft: "adam" or "sgd", the method whose step gives the length.
        refresh_every: f ≥ 1, the number of steps between refreshes of the inverse roots. 20 is chosen by cost. With
            layers of 256 units and batches of 128, a refresh takes several times as long as a step of Adam.
        max_size: ≥ 1, the longest side that has a factor.
        ridge: δ > 0, relative to the largest eigenvalue; below 1e-7 float32 rounds it away.
        **options: options of every Keras optimizer (`clipnorm`, `weight_decay`, ...).

    Raises:
        ValueError: an argument has a wrong value or an unknown name.

    References: Gupta, Koren and Singer, arXiv 1802.09568, algorithm 1; grafting, running means and the interval:
    Anil et al., arXiv 2002.09018, and Shi et al., arXiv 2309.06497. Deviations: the first paper sums L and R instead of
    averaging with β₂. It has no grafting, no momentum and a ridge that does not grow with λ. Here vectors have no
    factor. Long sides are left out; the other papers split the matrix into blocks.

    Example:
        >>> matrix, optimizer = keras.Variable(tf.zeros([2, 2])), Shampoo(0.1, refresh_every=1)
        >>> optimizer.apply([tf.constant([[3.0, 0.0], [0.0, 0.1]])], [matrix])
        >>> matrix.numpy().astype(float).round(4).tolist()  # the roots of a diagonal gradient make its entries equal
        [[-0.1, 0.0], [0.0, -0.1]]
    """

    def __init__(
        self,
        learning_rate: arguments.LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        graft: str = "adam",
        refresh_every: int = 20,
        max_size: int = 512,
        ridge: float = 1e-6,
        **options: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        require_one_of("graft", graft, GRAFTS)
        self.graft = graft
        self.refresh_every = whole("refresh_every", refresh_every)
        self.max_size = whole("max_size", max_size)
        self.ridge = arguments.positive("ridge", ridge)

    def build(self, variables: list[keras.Variable]) -> None:
        """Create the running means for each variable, and factors and inverse roots for matrices."""
        if self.built:
            return
        keras.optimizers.Optimizer.build(self, variables)
        self._m = self.add_optimizer_variables(variables, "mean")
        adam = self.graft == "adam"
        self._v = self.add_optimizer_variables(variables, "mean_square") if adam else [None] * len(variables)
        self._sides = [sides_of(variable, self.max_size, self) for variable in variables]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Apply the formula to one variable; gradient and variable have the same shape."""
        g, index = arguments.dense(gradient, variable.dtype), self._get_variable_index(variable)
        step, sides = self._grafted_step(g, variable, learning_rate), self._sides[index]
        if sides:
            t = tf.convert_to_tensor(self.iterations) + 1
            for side in sides:
                self.assign_add(side.factor, (1 - self.beta_2) * (side.second_moment(as_matrix(g)) - side.factor))
            tf.cond(t % self.refresh_every == 0, lambda: self._refresh(sides), lambda: tf.constant(False))
            direction = as_matrix(self._m[index])
            for side in sides:
                direction = side.multiply(side.multiplier, direction)
            # All zero where m is.
            direction *= tf.math.divide_no_nan(tf.norm(step), tf.norm(direction))
            step = tf.where(t < self.refresh_every, step, tf.reshape(direction, variable.shape))
        self.assign_sub(variable, step)

    def effective_step_sizes(self) -> list[tf.Tensor]:
        """Return the effective step sizes of the variables that take Adam's own step."""
        vectors = [v for v, sides in zip(self._v, self._sides, strict=True) if v is not None and not sides]
        alpha = self._alpha(self.iterations, self.learning_rate, tf.float32)
        return [alpha / (tf.sqrt(v) + self.epsilon) for v in vectors]

    def get_config(self) -> dict[str, Any]:
        """Return all arguments as plain data."""
        return super().get_config() | {
            "graft": self.graft,
            "refresh_every": self.refresh_every,
            "max_size": self.max_size,
            "ridge": self.ridge,
        }

    def _grafted_step(self, g: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> tf.Tensor:
        index = self._get_variable_index(variable)
        m, v = self._m[index], self._v[index]
        self.assign_add(m, (1 - self.beta_1) * (g - m))
        t = self.iterations + 1
        if v is None:
            return tf.cast(learning_rate, g.dtype) / (1 - self.beta_1 ** tf.cast(t, g.dtype)) * m
        self.assign_add(v, (1 - self.beta_2) * (tf.square(g) - v))
        return self._alpha(t, learning_rate, g.dtype) * m / (tf.sqrt(v) + self.epsilon)

    def _refresh(self, sides: list[Side]) -> tf.Tensor:
        for side in sides:
            self.assign(side.multiplier, inverse_root(scaled(side.factor), 2 * len(sides), self.ridge))
        return tf.constant(True)


def inverse_root(factor: tf.Tensor, degree: int, ridge: float) -> tf.Tensor:
    """Return (P / λ + δ I)^(-1 / degree), with λ the largest eigenvalue; if P is zero, a multiple of the identity.

    Args:
        factor: P, (size, size), symmetric, with eigenvalues ≥ 0 up to rounding.
        degree: any number above 0, such as 2 or 4.
        ridge: δ > 0.
    """
    values, vectors = tf.linalg.eigh(factor)
    relative = tf.math.divide_no_nan(tf.maximum(values, 0), tf.reduce_max(values))
    return tf.matmul(vectors * (relative + ridge) ** (-1 / degree), vectors, transpose_b=True)
