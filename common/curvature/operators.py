"""Products of curvature matrices with vectors, (P,), and with blocks of them, (P, r); no matrix is ever formed.

On a batch of b examples with mean loss L(w), outputs z_i = f(x_i; w) and J_i = ∂z_i/∂w,

    Hessian        H = ∇²L(w)
    Gauss-Newton   G = (1/b) Σ_i J_iᵀ ∇²loss(z_i) J_i       (positive semidefinite for a convex loss)

Two summands are separate parameters, because they mean different things. L2 regularisation λ‖w‖²/2 is part of the loss;
it adds λI here and λw to the gradient. Damping γI expresses distrust of the quadratic model and changes no gradient.

Products are reverse-over-reverse. Forward-over-reverse costs as much or up to half more here and takes twice as long to
trace: TensorFlow's forward mode itself differentiates twice backwards. In a block, all columns share the forward and
backward pass of the batch. The columns are processed one by one, which stays within the processor's cache. A product
then costs about `PRODUCT_COST` gradients of the same batch. (`tf.vectorized_map` over the columns is slower and takes r
times the memory.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from common.checks import require
from common.tasks.task import Task
from common.vectors import flatten, unflatten

PRODUCT_COST = 2.0  # gradients of the same batch: six products with the weights of a layer, where a gradient has three

Product = Callable[[tf.Tensor], tf.Tensor]


class CurvatureOperator:
    """A symmetric matrix (P, P), defined by its products with vectors; subclasses implement `linearized`.

    Args:
        task: network and loss.
        x: (b, *input_shape) float32, b ≥ 1.
        y: (b,) labels or (b, 1) targets.
        seed: (2,) int64, determines the dropout mask; None: zeros.
        damping: γ ≥ 0.
        l2: λ ≥ 0, the coefficient of λ‖w‖²/2.

    Raises:
        ValueError: there is no example, or a summand is out of range.
    """

    def __init__(
        self,
        task: Task,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: tf.Tensor | None = None,
        *,
        damping: float = 0.0,
        l2: float = 0.0,
    ):
        require(x.shape[0] >= 1, "the number of examples", "≥ 1", x.shape[0])
        require(0 <= damping < math.inf, "damping", "≥ 0 and finite", damping)
        require(0 <= l2 < math.inf, "l2", "≥ 0 and finite", l2)
        self.task, self.x, self.y, self.damping, self.l2 = task, x, y, damping, l2
        self.seed = tf.zeros([2], tf.int64) if seed is None else seed

    def __repr__(self) -> str:
        about = [f"{type(self).__name__}: {self.size:,} × {self.size:,}"]
        if hasattr(self, "x"):  # a matrix that is known otherwise has no examples
            about += [f"on {self.x.shape[0]} examples, damping={self.damping:g}, l2={self.l2:g}"]
        return f"<{' '.join(about)}>"

    @property
    def size(self) -> int:
        """P, the number of trainable scalars."""
        return self.task.parameter_count

    def vector(self, vector: tf.Tensor) -> tf.Tensor:
        """Return the product with one vector, (P,) float32."""
        return self.product()(vector)

    def product(self) -> Product:
        """Run the batch, and return a function for the product with one vector, (P,), at a time."""
        multiply = self.linearized()
        return lambda vector: multiply(vector) + (self.damping + self.l2) * vector

    def block(self, columns: tf.Tensor) -> tf.Tensor:
        """Return the products with all columns, (P, r) float32; forward and backward pass run once for all."""
        return tf.transpose(tf.map_fn(self.product(), tf.transpose(columns), parallel_iterations=1))

    def linearized(self) -> Product:
        """Run the batch, and return a function for the matrix' product with a vector, (P,), without the summands."""
        raise NotImplementedError(f"{type(self).__name__} does not implement linearized()")

    def _outputs(self) -> tf.Tensor:
        return self.task.outputs(self.x, self.seed, update_state=False)


class HessianOperator(CurvatureOperator):
    """Products with the Hessian of the mean loss, H v = ∇(vᵀ∇L); it is indefinite in general.

    Example:
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples().train, SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> HessianOperator(task, data.x, data.y).block(tf.eye(2)).numpy().tolist()  # diagonal: 1 and μ (3 v² - 1)
        [[1.0, 0.0], [0.0, -0.25]]
    """

    def linearized(self) -> Product:
        """See `CurvatureOperator.linearized`."""
        weights = self.task.weights
        with tf.GradientTape(persistent=True) as outer:
            with tf.GradientTape() as inner:
                loss = self.task.loss(self.y, self._outputs())
            gradients = inner.gradient(loss, weights)

        def product(vector: tf.Tensor) -> tf.Tensor:
            along = unflatten(vector, weights)
            zero = tf.UnconnectedGradients.ZERO  # a weight in which the loss is linear has no second derivative
            parts = outer.gradient(gradients, weights, output_gradients=along, unconnected_gradients=zero)
            return flatten(parts)

        return product


class GaussNewtonOperator(CurvatureOperator):
    """Products with the Gauss-Newton matrix: G v = (1/b) Σ_i J_iᵀ ∇²loss(z_i) J_i v.

    J v comes from differentiating u ↦ Jᵀu once more. ∇²loss is symmetric, so that its product is also a backward pass.
    """

    def linearized(self) -> Product:
        """See `CurvatureOperator.linearized`."""
        weights = self.task.weights
        with tf.GradientTape(persistent=True) as twice:
            with tf.GradientTape(persistent=True) as once:
                outputs = self._outputs()
            cotangents = tf.zeros_like(outputs)
            twice.watch(cotangents)
            pulled_back = once.gradient(outputs, weights, output_gradients=cotangents)
        curve = loss_hessian_product(self.task, self.y, outputs)

        def product(vector: tf.Tensor) -> tf.Tensor:
            pushed = twice.gradient(pulled_back, cotangents, output_gradients=unflatten(vector, weights))
            return flatten(once.gradient(outputs, weights, output_gradients=curve(pushed)))

        return product


def loss_hessian_product(task: Task, y: tf.Tensor, outputs: tf.Tensor) -> Product:
    """Return the product with the Hessian of the mean loss on the outputs, (b, outputs) to (b, outputs)."""
    outputs = tf.stop_gradient(outputs)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(outputs)
        with tf.GradientTape() as inner:
            inner.watch(outputs)
            loss = task.loss(y, outputs)
        gradient = inner.gradient(loss, outputs)
    return lambda along: outer.gradient(gradient, outputs, output_gradients=along)
