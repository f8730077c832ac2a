"""SOAP: Adam in the eigenbasis of Shampoo's second moments."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from common.optimizers import arguments
from common.optimizers.adam import Adam
from common.optimizers.kronecker import as_matrix, scaled, sides_of, whole


@keras.saving.register_keras_serializable(package="common.optimizers")
class SOAP(Adam):
    """Shampoo with Adam in the Preconditioner's eigenbasis.

    For a matrix W (rows × columns), with G its gradient and α as in `Adam`:

        G' = Q_Lᵀ G Q_R
        M' ← β₁ M' + (1 - β₁) G'
        V ← β₂ V + (1 - β₂) G'²
        W ← W - Q_L (α M' / (√V + ε)) Q_Rᵀ
        L ← β₂ L + (1 - β₂) G Gᵀ,     R ← β₂ R + (1 - β₂) Gᵀ G
        every f steps:  Q_L ← QR(L Q_L),  Q_R ← QR(R Q_R),  M' expressed in the new basis

    Q_L and Q_R are orthogonal; one power iteration with a QR decomposition keeps them near the eigenvectors of L and R.
    The first step sets them to the eigenvectors of G Gᵀ and Gᵀ G, and changes no weight. In this basis its own gradient
    would be diagonal, and Adam would divide rounding errors by themselves.

    A side longer than `max_size` has Q = I, has no factor, and costs nothing. If both sides are longer, and for biases
    and scales, this is Adam, including its first step. A convolution's kernel is the matrix (height · width · in) ×
    out. State of a matrix: M' and V of its shape, L, R, Q_L and Q_R.

    Cost: an n × n matrix takes six products of n³ multiply-accumulates per step, whatever the refresh interval. Four
    rotate G and rotate the step back; two are for L and R. Its gradient from B examples takes three products of B n².
    The step thus adds 2 n / B of the gradient's arithmetic. SOAP is cheap if batches are large compared with layers.

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable. The defaults of η (0.003), β₁, β₂ and f are the
            paper's.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1), for V, L and R.
        epsilon: ε > 0; see `Adam`.
        refresh_every: f ≥ 1, the number of steps between updates of the basis.
        max_size: ≥ 1, the longest side that is rotated. The paper uses 10,000, for much larger networks.
        one_sided: whether to rotate only the shorter side of each matrix, or neither if it is longer than `max_size`.
            This is the paper's variant for less memory and time, at half the cost or less.
        factors_every: ≥ 1, the number of steps between updates of L and R; the paper uses 1. Above 1, the gradients
            between updates are left out, and the means reach further back by this factor.
        **options: options of every Keras optimizer (`clipnorm`, `weight_decay`, ...).

    Raises:
        ValueError: an argument has a wrong value or an unknown name.

    Reference: Vyas et al., SOAP: improving and stabilizing Shampoo using Adam, arXiv 2409.11321, algorithms 3 and 4.
    Deviations: M' is kept in the basis and rotated with it. This equals the paper's Q_Lᵀ M Q_R and saves two products.
    As in the authors' code, the first step only initialises. Columns are sorted by their eigenvalue before each QR (V
    with them), and the bias of M' and V is corrected. V is not rotated. ε stands outside the root. There is no weight
    decay unless `weight_decay` is set.

    Example:
        >>> matrix, optimizer = keras.Variable(tf.zeros([2, 2])), SOAP(0.1)
        >>> for _ in range(2):  # the first step only sets the basis; the second is Adam's first, of length η in it
        ...     optimizer.apply([tf.constant([[3.0, 0.0], [0.0, 0.1]])], [matrix])
        >>> matrix.numpy().astype(float).round(4).tolist()
        [[-0.1, 0.0], [0.0, -0.1]]
    """

    def __init__(
        self,
        learning_rate: arguments.LearningRate = 0.003,
        beta_1: float = 0.95,
        beta_2: float = 0.95,
        epsilon: float = 1e-8,
        refresh_every: int = 10,
        max_size: int = 512,
        one_sided: bool = False,
        factors_every: int = 1,
        **options: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self.refresh_every = whole("refresh_every", refresh_every)
        self.max_size = whole("max_size", max_size)
        self.one_sided = bool(one_sided)
        self.factors_every = whole("factors_every", factors_every)

    def build(self, variables: list[keras.Variable]) -> None:
        """Create the two running means for each variable, and factors and bases for matrices."""
        if self.built:
            return
        super().build(variables)
        self._sides = [sides_of(variable, self.max_size, self, self.one_sided) for variable in variables]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Apply the formula to one variable; gradient and variable have the same shape."""
        index = self._get_variable_index(variable)
        if not self._sides[index]:
            return super().update_step(gradient, variable, learning_rate)
        g = as_matrix(arguments.dense(gradient, variable.dtype))
        steps = tf.convert_to_tensor(self.iterations)
        tf.cond(steps > 0, lambda: self._move(g, variable, index, learning_rate), lambda: self._first_basis(g, index))
        for interval, act in (
            (self.factors_every, lambda: self._accumulate(g, index)),
            (self.refresh_every, lambda: self._turn(variable.shape, index)),
        ):
            tf.cond((steps > 0) & (steps % interval == 0), act, lambda: tf.constant(False))
        return None

    def effective_step_sizes(self) -> list[tf.Tensor]:
        """Return the effective step sizes of Adam's variables only: the factor of M' belongs to no single weight."""
        sizes = super().effective_step_sizes()
        return [size for size, sides in zip(sizes, self._sides, strict=True) if not sides]

    def get_config(self) -> dict[str, Any]:
        """Return all arguments as plain data."""
        return super().get_config() | {
            "refresh_every": self.refresh_every,
            "max_size": self.max_size,
            "one_sided": self.one_sided,
            "factors_every": self.factors_every,
        }

    def _first_basis(self, g: tf.Tensor, index: int) -> tf.Tensor:
        for side in self._sides[index]:
            self.assign(side.factor, (1 - self.beta_2) * side.second_moment(g))
            _, vectors = tf.linalg.eigh(scaled(side.factor))
            self.assign(side.multiplier, tf.reverse(vectors, [1]))  # the largest eigenvalue first, as in `_turn`
        return tf.constant(True)

    def _move(self, g: tf.Tensor, variable: tf.Variable, index: int, learning_rate: tf.Tensor) -> tf.Tensor:
        sides, m, v = self._sides[index], self._m[index], self._v[index]
        rotated = g
        for side in sides:
            rotated = side.multiply(side.multiplier, rotated, transpose=True)
        rotated = tf.reshape(rotated, variable.shape)
        self.assign_add(m, (1 - self.beta_1) * (rotated - m))
        self.assign_add(v, (1 - self.beta_2) * (tf.square(rotated) - v))
        alpha = self._alpha(self.iterations, learning_rate, variable.dtype)  # the first step moved nothing
        step = as_matrix(alpha * m / (tf.sqrt(v) + self.epsilon))
        for side in sides:
            step = side.multiply(side.multiplier, step)
        self.assign_sub(variable, tf.reshape(step, variable.shape))
        return tf.constant(True)

    def _accumulate(self, g: tf.Tensor, index: int) -> tf.Tensor:
        for side in self._sides[index]:
            self.assign_add(side.factor, (1 - self.beta_2) * (side.second_moment(g) - side.factor))
        return tf.constant(True)

    def _turn(self, shape: tf.TensorShape, index: int) -> tf.Tensor:
        m, v = as_matrix(self._m[index]), as_matrix(self._v[index])
        for side in self._sides[index]:
            old = tf.convert_to_tensor(side.multiplier)
            new, order = power_iteration(scaled(side.factor), old)
            self.assign(side.multiplier, new)
            m = side.multiply(tf.matmul(new, old, transpose_a=True), m)
            v = tf.gather(v, order, axis=side.axis)
        self.assign(self._m[index], tf.reshape(m, shape))
        self.assign(self._v[index], tf.reshape(v, shape))
        return tf.constant(True)


def power_iteration(factor: tf.Tensor, basis: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Move an orthogonal basis towards the eigenvectors of a factor: Q ← QR(P Q), the paper's algorithm 4.

    Args:
        factor: P, (size, size), symmetric, with eigenvalues ≥ 0.
        basis: Q, (size, size), orthogonal.

    Returns:
        The new basis, and the order (size,) of the old columns in it: by qᵀ P q, the largest first. Without this order,
        an overtaken column would have to rotate through all columns between.
    """
    product = tf.matmul(factor, basis)
    order = tf.argsort(tf.reduce_sum(basis * product, 0), direction="DESCENDING", stable=True)
    new, _ = tf.linalg.qr(tf.gather(product, order, axis=1))
    return new, order
