"""Forward gradient: directional derivatives along random tangents of the weights, without a backward pass.

Let v_k be K tangents of mean 0 and covariance I in the space of all D weights. One forward pass per tangent carries
value and derivative along v_k through the network (a Jacobian-vector product). It gives d_k = ∇L · v_k. With V, (K, D),
the tangents as rows, and d, (K,), the derivatives,

    "mean"          ĝ = (1/K) Vᵀ d              E ĝ = ∇L
    "projection"    ĝ = Vᵀ (V Vᵀ)⁻¹ d           the orthogonal projection of ∇L onto the span of the tangents

On average, the squared cosine between ĝ and ∇L is K/D for the projection and about K/(K + D + 1) for the mean. The mean
is unbiased and about √((K + D)/K) times as long as ∇L. The projection is √(K/D) times as long, and E ĝ = (K/D) ∇L, so
that it needs larger learning rates.

Source: arXiv 2202.08587, section 4 (one tangent), and arXiv 2410.17764, section III (several tangents, and the
projection). Deviations: tangents come from a table of random rows, and their entries may also be signs. `tangents`
describes both, and how value and derivative pass through the layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras
import tensorflow as tf

from common.checks import require, require_one_of
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.estimators.forward.tangents import TABLES, Dual, TangentSource, activated, derived, of_layer
from common.estimators.parametrised_layers import sequential_layers
from common.randomness import Stream
from common.tasks.task import Task
from common.vectors import unflatten

JITTER = 1e-6  # of the tangents' mean squared length, added to the diagonal of V Vᵀ: more than K = D tangents depend


class ForwardGradient(GradientEstimator):
    """Forward gradient of the minibatch loss along random tangents of all weights. It has no state.

    All tangents see one dropout mask; batch norm's averages move as in one pass.

    Args:
        tangents: K ≥ 1, the number of tangents; K D numbers are held in memory.
        combination: "mean", or "projection", for which K must be at most D.
        directions: entries of the tangents: "gaussian", or "signs" (±1), which have the same covariance but constant
            length.

    Raises:
        ValueError: a value is out of range. `build` raises it if the network is not sequential, or if the projection
            has more tangents than weights.

    Example:
        >>> import numpy as np
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = ForwardGradient(combination="projection")
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> projected = estimate.gradients[0].numpy().ravel()  # of (1, -0.375): the rest is orthogonal to it
        >>> bool(abs(projected @ (np.array([1.0, -0.375]) - projected)) < 0.01 * projected @ projected)
        True
    """

    def __init__(self, tangents: int = 1, *, combination: str = "mean", directions: str = "gaussian"):
        super().__init__()
        require(tangents >= 1, "tangents", "≥ 1", tangents)
        require_one_of("combination", combination, COMBINATIONS)
        require_one_of("directions", directions, TABLES)
        self.tangents, self.combination, self.directions = tangents, combination, directions

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Create the table of directions; see the class for the errors raised."""
        super().build(task, run)
        count = task.parameter_count
        allowed = f"at most the {count:,} weights, for the projection"
        require(self.combination != "projection" or self.tangents <= count, "tangents", allowed, self.tangents)
        self._layers = tuple(sequential_layers(task, type(self).__name__))
        self._source = TangentSource(self.directions)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Run one pass per tangent; see `GradientEstimator.estimate` for shapes."""
        weights, own_seed = self.task.weights, tf.random.fold_in(seed, Stream.TANGENTS)
        if self.tangents == 1 and self.combination == "mean":
            parts = self._source.draw_tensors(weights, own_seed)
            loss, outputs, derivative = self._derivative(x, y, seed, parts, update_state=True)
            return GradientEstimate(loss, outputs, [derivative * part for part in parts])
        tangents = self._drawn(own_seed)
        loss, outputs, first = self._derivative(x, y, seed, unflatten(tangents[0], weights), update_state=True)
        derivatives = first[None]
        if self.tangents > 1:

            def along(tangent: tf.Tensor) -> tf.Tensor:
                return self._derivative(x, y, seed, unflatten(tangent, weights), update_state=False)[2]

            rest = tf.map_fn(along, tangents[1:], parallel_iterations=1)
            derivatives = tf.concat([derivatives, rest], 0)
        return GradientEstimate(
            loss, outputs, unflatten(COMBINATIONS[self.combination](tangents, derivatives), weights)
        )

    def _drawn(self, seed: tf.Tensor) -> tf.Tensor:
        """Draw V, (K, D)."""
        return self._source.draw(self.tangents, self.task.parameter_count, seed)

    def _derivative(self, x, y, seed, tangent: Sequence[tf.Tensor], *, update_state: bool) -> tuple[tf.Tensor, ...]:
        """Return loss, outputs and the loss' derivative along one tangent: a tensor per weight tensor."""
        if not update_state:
            with keras.StatelessScope():  # as in `Task.outputs`
                return self._derivative(x, y, seed, tangent, update_state=True)
        self.task.seed_dropout(seed)
        tangents, state = iter(tangent), Dual(x, None)
        for layer in self._layers:
            own = list(itertools.islice(tangents, len(layer.trainable_variables)))
            state = activated(layer, of_layer(layer, state, own, self.task.training_mode))
        outputs = derived(lambda value: tf.cast(value, tf.float32), state)
        loss = derived(lambda value: self.task.loss(y, value), outputs)
        return loss.value, outputs.value, loss.tangent

    def cost(self, batch_size: int) -> float:
        """Return the cost of one gradient per tangent.

        A pass with its derivative has the matrix products of a gradient: h W, ḣ W and h Ẇ per layer. The first layer
        lacks ḣ W. The combination adds K or K² products of length D for the whole batch, which are not counted.
        """
        return float(self.tangents * batch_size)


def _mean(tangents: tf.Tensor, derivatives: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matvec(tangents, derivatives, transpose_a=True) / derivatives.shape[0]


def _projection(tangents: tf.Tensor, derivatives: tf.Tensor) -> tf.Tensor:
    products = tf.matmul(tangents, tangents, transpose_b=True)
    diagonal = tf.linalg.diag_part(products)
    products = tf.linalg.set_diag(products, diagonal + JITTER * tf.reduce_mean(diagonal))
    coefficients = tf.linalg.cholesky_solve(tf.linalg.cholesky(products), derivatives[:, None])
    return tf.linalg.matvec(tangents, coefficients[:, 0], transpose_a=True)


COMBINATIONS = {"mean": _mean, "projection": _projection}
