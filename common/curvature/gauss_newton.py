"""The exact low-rank factor of a small batch's Gauss-Newton matrix, and its eigenpairs through the Gram matrix.

With b examples and c outputs, J_i = ∂z_i/∂w (c, P) and the square root ∇²loss(z_i) = S_i S_iᵀ,

    G = (1/b) Σ_i J_iᵀ S_i S_iᵀ J_i = FᵀF        F = [S_iᵀ J_i]_i / √b   (b·c, P)

The rows of F need c backward passes. Softmax cross-entropy has S_i = diag(√p) - p√pᵀ of rank c - 1, so that G has rank
at most b(c - 1). The square root is computed here for any convex loss. The nonzero eigenvalues of FᵀF are those of the
Gram matrix F Fᵀ (b·c, b·c), with eigenvectors Fᵀv/√λ. This needs no iteration and no random vectors.
"""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.curvature.eigensolvers import Eigenpairs, symmetric_eigh
from common.curvature.operators import loss_hessian_product
from common.tasks.task import Task
from common.vectors import flatten


def gauss_newton_factor(task: Task, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
    """Return F with FᵀF = G, (b·c, P) float32, with the rows of each example together.

    Args:
        task: network and loss, convex in the outputs.
        x: (b, *input_shape) float32, b ≥ 1 and small: F has b·c rows.
        y: (b,) labels or (b, 1) targets.
        seed: (2,) int64, determines the dropout mask, the same for all examples; None: zeros.

    Raises:
        ValueError: the network has batch norm in training mode, so its outputs are functions of the whole batch.
    """
    _refuse_batch_statistics(task)
    seed = tf.zeros([2], tf.int64) if seed is None else seed
    examples = x.shape[0]

    def rows(example: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        one_x, one_y = (part[None] for part in example)
        with tf.GradientTape(persistent=True) as tape:
            outputs = task.outputs(one_x, seed, update_state=False)
        roots = _loss_hessian_root(task, one_y, outputs)
        return tf.map_fn(
            lambda root: flatten(tape.gradient(outputs, task.weights, output_gradients=root[None])),
            tf.transpose(roots),
            parallel_iterations=1,
        )

    factors = tf.map_fn(rows, (x, y), parallel_iterations=1, fn_output_signature=tf.float32)
    return tf.reshape(factors, [-1, task.parameter_count]) / examples**0.5


def gauss_newton_eigenpairs(
    task: Task,
    x: tf.Tensor,
    y: tf.Tensor,
    rank: int,
    seed: tf.Tensor | None = None,
    *,
    weight: float | tf.Tensor = 1.0,
    plus: Eigenpairs | None = None,
) -> Eigenpairs:
    """Return the largest eigenvalues of the Gauss-Newton matrix and their eigenvectors, computed exactly.

    With `plus`, the matrix is weight · G + U Λ Uᵀ, such as a running average. The rows of √Λ Uᵀ join those of √weight
    F.

    Args:
        task: network and loss, convex in the outputs.
        x: (b, *input_shape) float32.
        y: (b,) labels or (b, 1) targets.
        rank: the number of eigenpairs, 1 to b·c. Beyond the rank of the matrix, value and vector are zero.
        seed: (2,) int64, determines the dropout mask; None: zeros.
        weight: the weight of G, > 0.
        plus: U and Λ ≥ 0.

    Raises:
        ValueError: the rank is out of range.
    """
    factor = gauss_newton_factor(task, x, y, seed)
    most = min(factor.shape)
    require(1 <= rank <= most, "rank", f"from 1 to {most}, all that {x.shape[0]} examples can tell", rank)
    factor *= tf.sqrt(tf.cast(weight, tf.float32))
    if plus is not None:
        factor = tf.concat([factor, tf.transpose(plus.vectors * tf.sqrt(plus.values))], 0)
    values, vectors = symmetric_eigh(tf.matmul(factor, factor, transpose_b=True))
    values, vectors = values[:rank], vectors[:, :rank]
    # What is left of rounding has no direction: dividing by its root would make one up.
    known = values > 1e-6 * tf.reduce_max(values)
    lengths = tf.sqrt(tf.where(known, values, 1.0))
    columns = tf.matmul(factor, vectors, transpose_a=True) / lengths
    keep = tf.where(tf.math.is_nan(values), values, tf.cast(known, tf.float32))  # what is not a number stays so
    return Eigenpairs(values * keep, columns * keep)


def _refuse_batch_statistics(task: Task) -> None:
    # Alone in its batch, an example is its own mean: normalised to zero, it would have no Jacobian.
    if task.batch_norms:
        raise ValueError(
            "the Gauss-Newton factor runs one example at a time, and layer "
            f"{task.batch_norms[0]!r} normalises by its batch: take products (GaussNewtonOperator), the Hessian, or a "
            "network without batch norm"
        )


def _loss_hessian_root(task: Task, y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Return S with S Sᵀ = ∇²loss on one example's outputs, (1, c): (c, c)."""
    product = loss_hessian_product(task, y, outputs)
    hessian = tf.map_fn(lambda row: product(row[None])[0], tf.eye(outputs.shape[1]), parallel_iterations=1)
    values, vectors = symmetric_eigh(hessian)
    return vectors * tf.sqrt(tf.where(values < 0.0, 0.0, values))  # what is not a number stays so
