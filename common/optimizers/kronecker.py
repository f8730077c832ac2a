"""Kronecker factors of Shampoo and SOAP: the running second moments of a gradient's rows and columns.

    L ← β L + (1 - β) G Gᵀ        (rows × rows)
    R ← β R + (1 - β) Gᵀ G        (columns × columns)

G is the gradient as a matrix: a dense kernel is unchanged, a convolution's kernel (height, width, in, out) becomes
(height · width · in) × out. A side longer than `max_size` has no factor, and the matrix is not changed on that side. A
side of length 1 has none either, since its factor would be one number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import tensorflow as tf

from common.checks import require


@dataclass(frozen=True)
class Side:
    """One side of a matrix, with its factor and the square matrix that multiplies this side.

    Attributes:
        axis: 0 for the rows, 1 for the columns.
        factor: L or R, (size, size).
        multiplier: (size, size): SOAP's eigenvectors, Shampoo's inverse root.
    """

    axis: int
    factor: keras.Variable
    multiplier: keras.Variable

    def second_moment(self, matrix: tf.Tensor) -> tf.Tensor:
        """Return G Gᵀ for the rows and Gᵀ G for the columns, (size, size)."""
        return tf.matmul(matrix, matrix, transpose_a=self.axis == 1, transpose_b=self.axis == 0)

    def multiply(self, square: tf.Tensor, matrix: tf.Tensor, transpose: bool = False) -> tf.Tensor:
        """Return square · matrix for the rows and matrix · squareᵀ for the columns; square may be transposed."""
        if self.axis == 0:
            return tf.matmul(square, matrix, transpose_a=transpose)
        return tf.matmul(matrix, square, transpose_b=not transpose)


def as_matrix(tensor: tf.Tensor) -> tf.Tensor:
    """Return a tensor of rank ≥ 2 as (all axes but the last) × last."""
    return tf.reshape(tensor, [-1, tensor.shape[-1]])


def sides_of(
    variable: keras.Variable, max_size: int, optimizer: keras.optimizers.Optimizer, one_sided: bool = False
) -> list[Side]:
    """Create the factors of a variable as state of an optimizer; vectors, scalars and too long sides have none.

    Args:
        variable: the weights, of any shape.
        max_size: the longest side that has a factor.
        optimizer: the owner of the state. Factors start at zero, multipliers at the identity.
        one_sided: whether only the shorter side has a factor; for a square these are the columns.
    """
    if len(variable.shape) < 2:
        return []
    sizes = math.prod(variable.shape[:-1]), variable.shape[-1]
    sides = []
    for axis, (size, name) in enumerate(zip(sizes, ("rows", "columns"), strict=True)):
        if not 1 < size <= max_size or (one_sided and axis != (0 if sizes[0] < sizes[1] else 1)):
            continue
        factor, multiplier = (
            optimizer.add_variable(
                (size, size), initializer=initializer, dtype=variable.dtype, name=f"{variable.name}_{name}_{role}"
            )
            for initializer, role in (("zeros", "factor"), ("identity", "multiplier"))
        )
        sides.append(Side(axis, factor, multiplier))
    return sides


def scaled(factor: keras.Variable) -> tf.Tensor:
    """Return a factor divided by its trace, because squares of small gradients would leave the range of float32."""
    return tf.math.divide_no_nan(tf.convert_to_tensor(factor), tf.linalg.trace(factor))


def whole(name: str, value: int) -> int:
    """Return a whole number ≥ 1; raises ValueError for anything else."""
    require(isinstance(value, int) and not isinstance(value, bool) and value >= 1, name, "a whole number ≥ 1", value)
    return value
