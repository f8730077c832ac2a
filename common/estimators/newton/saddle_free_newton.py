"""Saddle-free Newton with a low-rank Hessian (arXiv 2002.02881; the absolute value: arXiv 1406.2572).

With the r eigenpairs of largest |λ| of the curvature on a few examples, A ≈ U Λ Uᵀ, and damping γ,

    p = [U|Λ|Uᵀ + γI]⁻¹ g = (1/γ) (g - U diag(|λ_i| / (|λ_i| + γ)) Uᵀ g)        (Woodbury; UᵀU = I)

Directions of large curvature, of either sign, are divided by it, and all others by γ: along negative curvature Newton's
own step would climb to the saddle, this one goes downhill. The learning rate is that of the optimizer, α; outside of
span U, the step is gradient descent's at rate α/γ.

The eigenpairs are computed anew every few steps, from another minibatch. They start from random vectors and then from
what the last time left (see `common.curvature.eigensolvers`), so that a refresh is one pass over r + 4 columns.

A few examples tell little: most of them are soon classified with certainty and have no curvature. So the eigenpairs are
those of a running average, of which rank r is kept (averaging Hessians: arXiv 2204.09266),

    A ← β U Λ Uᵀ + (1 - β) H        β = min(averaging, n / (n + 1)) at the n-th refresh after the first: a mean at first

and refreshes come often while curvature changes fast: it grows fiftyfold and falls again within the first hundred
steps. At step t they are t / 8 steps apart, not less than `first_interval` and not more than `refresh_every`.

Deviations from the paper: warm starts, the average, and eigenpairs kept for several steps; it computes them anew at
each step from fresh random vectors. The damping may follow |λ_r|. L2 regularisation is not the damping: it adds λw to
the gradient and λ to every eigenvalue, of those that are not known too, and is off by default.
"""

from __future__ import annotations

import math

import tensorflow as tf

from common.checks import require, require_one_of
from common.curvature.eigensolvers import (
    OVERSAMPLING,
    Eigenpairs,
    rayleigh_quotients,
    significantly_nonzero,
    subspace_iteration,
    subspace_size,
)
from common.curvature.gauss_newton import gauss_newton_eigenpairs
from common.curvature.operators import PRODUCT_COST, HessianOperator
from common.estimators.estimator import (
    UNKNOWN_RUN,
    GradientEstimate,
    GradientEstimator,
    RunContext,
    require_estimator,
)
from common.estimators.newton.damping import Damping, TiedDamping, as_damping
from common.estimators.newton.line_search import ArmijoLineSearch, require_line_search
from common.randomness import Stream, standard_normal
from common.tasks.task import Task
from common.vectors import flatten, unflatten

CURVATURES = ("hessian", "gauss_newton")
DAMPING = TiedDamping(floor=0.4)
INTERVAL_SHARE = 8  # intervals grow with the step, to this part of it
BACKWARD_COST = 2 / 3  # of a gradient: two of its three products with the weights of a layer


class SaddleFreeNewton(GradientEstimator):
    """Another estimator's gradient, divided by the absolute curvature where that is known and by γ elsewhere.

    Its state: `eigenvectors` (P, r) and `eigenvalues` (r,), the basis (P, r + oversampling) from which the next refresh
    starts, `age`, the steps since the last one, and how many `refreshes` there were.

    Args:
        inner: any estimator.
        rank: r, from 1 to P; for "gauss_newton" at most hessian_batch × outputs.
        damping: γ > 0, or a `Damping` such as `TiedDamping(floor=0.4)`: max(|λ_r|, 0.4).
        hessian_batch: examples for the curvature, ≥ 1: the first ones of the minibatch, which they (with sub_batches,
            twice as many) do not exceed.
        refresh_every: steps, ≥ 1, for which eigenpairs are kept, in the end. An epoch's smaller last batch puts a
            refresh off (where `build` is told the batch size).
        curvature: "hessian", indefinite, by products; or "gauss_newton", semidefinite, exactly, without a start.
        averaging: β, from 0 to below 1: how much of the running average stays at a refresh; 0: each minibatch's own
            eigenpairs.
        first_interval: steps, ≥ 1, for which eigenpairs are kept at first, if refresh_every is larger.
        oversampling: columns beyond r, ≥ 0; "hessian" only, like the next four.
        power_iterations: passes beyond two that start from random vectors, ≥ 0.
        warm_start: start from the last basis; else from random vectors at each refresh, with two passes or more.
        fresh_vectors: draw random vectors from the step's seed; else the same ones at each refresh, as a common bug
            does.
        sub_batches: ≥ 2: drop the eigenpairs whose Rayleigh quotients over so many parts of as many further examples
            of the minibatch are within two standard errors of zero, at the price of one more pass; 0: keep all.
        l2: λ ≥ 0, of λ‖w‖²/2, which the loss that is reported does not contain.
        line_search: how far to go, by the loss of the minibatch, which is without the L2 term: not with l2; None: as
            far as the optimizer's learning rate says.

    Raises:
        ValueError: an argument of another kind or out of range; by `build`, a rank above P; by `estimate`, a minibatch
            too small for hessian_batch (an epoch's smaller last one excepted).

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = SaddleFreeNewton(
        ...     Backpropagation(), rank=2, damping=0.25, hessian_batch=2, averaging=0.0, oversampling=0
        ... )
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().astype(float).round(4).tolist()  # (1 / (1 + γ), -0.375 / (0.25 + γ))
        [0.8, -0.75]
    """

    def __init__(
        self,
        inner: GradientEstimator,
        rank: int = 10,
        damping: Damping | float = DAMPING,
        hessian_batch: int = 32,
        refresh_every: int = 50,
        curvature: str = "hessian",
        *,
        averaging: float = 0.9,
        first_interval: int = 3,
        oversampling: int = OVERSAMPLING,
        power_iterations: int = 1,
        warm_start: bool = True,
        fresh_vectors: bool = True,
        sub_batches: int = 0,
        l2: float = 0.0,
        line_search: ArmijoLineSearch | None = None,
    ):
        super().__init__()
        require_estimator("inner", inner)
        require(rank >= 1, "rank", "≥ 1", rank)
        require(hessian_batch >= 1, "hessian_batch", "≥ 1", hessian_batch)
        require(refresh_every >= 1, "refresh_every", "≥ 1", refresh_every)
        require(first_interval >= 1, "first_interval", "≥ 1", first_interval)
        require(0 <= averaging < 1, "averaging", "from 0 to below 1", averaging)
        require_one_of("curvature", curvature, CURVATURES)
        require(power_iterations >= 0, "power_iterations", "≥ 0", power_iterations)
        require(0 <= l2 < math.inf, "l2", "≥ 0 and finite", l2)
        divisor = sub_batches == 0 or (sub_batches >= 2 and hessian_batch % sub_batches == 0)
        divisor &= sub_batches == 0 or curvature == "hessian"
        allowed = f"0, or a divisor of hessian_batch, {hessian_batch}, from 2 up, with curvature 'hessian'"
        require(divisor, "sub_batches", allowed, sub_batches)
        as_damping(damping)
        require_line_search(line_search)
        searched = "0 with a line search, whose loss is without the L2 term"
        require(l2 == 0 or line_search is None, "l2", searched, l2)
        self.inner, self.rank, self.damping = inner, rank, damping
        self.hessian_batch, self.refresh_every, self.curvature = hessian_batch, refresh_every, curvature
        self.averaging, self.first_interval = averaging, first_interval
        self.oversampling, self.power_iterations, self.warm_start = oversampling, power_iterations, warm_start
        self.fresh_vectors, self.sub_batches, self.l2, self.line_search = fresh_vectors, sub_batches, l2, line_search

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Make the eigenpairs, which are zero until the first step computes them."""
        super().build(task, run)
        self._whole_batch = run.batch_size
        size = task.parameter_count
        columns = subspace_size(self.rank, self.oversampling, size)
        if self.curvature == "gauss_newton":
            columns = 0
        self.eigenvalues = tf.Variable(tf.zeros([self.rank]), trainable=False)
        self.eigenvectors = tf.Variable(tf.zeros([size, self.rank]), trainable=False)
        self.basis = tf.Variable(tf.zeros([size, columns]), trainable=False)
        self.age, self.refreshes = (tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(2))

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate, refresh if it is time, then divide; see `GradientEstimator.estimate` for shapes."""
        estimate = self.inner.estimate(x, y, seed)
        self._refresh_if_due(x, y, seed)
        gradients = estimate.gradients
        if self.l2:
            gradients = [part + self.l2 * weight for part, weight in zip(gradients, self.task.weights, strict=True)]
        direction = unflatten(self.divided(flatten(gradients)), gradients)
        if self.line_search:
            direction = self.line_search.shortened(direction, self.task, (x, y, seed), estimate.loss, gradients)
        return estimate._replace(gradients=direction)

    def divided(self, gradient: tf.Tensor) -> tf.Tensor:
        """Return [U|Λ|Uᵀ + γI]⁻¹ g for a vector, (P,), with the eigenpairs of the last refresh."""
        diagonal = as_damping(self.damping).of(self.eigenvalues) + self.l2  # of what is not known
        # λ of the L2 term adds to each eigenvalue before its sign is dropped: |λ_i + λ| + γ where it is known.
        curvature = tf.abs(self.eigenvalues + self.l2) - self.l2
        along = tf.linalg.matvec(self.eigenvectors, gradient, transpose_a=True)
        known = tf.linalg.matvec(self.eigenvectors, along * curvature / (curvature + diagonal))
        return (gradient - known) / diagonal

    def _refresh_if_due(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> None:
        batch = x.shape[0]
        if batch < (self._whole_batch or 0):  # an epoch's last: a second graph of all this costs more than it brings
            self.age.assign_add(1)
            return
        allowed = f"at most the minibatch's {batch:,} examples"
        if self.sub_batches:
            allowed = f"with sub_batches, at most half the minibatch's {batch:,} examples"
        needed = self.hessian_batch * (2 if self.sub_batches else 1)
        require(needed <= batch, "hessian_batch", allowed, self.hessian_batch)
        interval = tf.minimum(tf.maximum(seed[1] // INTERVAL_SHARE, self.first_interval), self.refresh_every)
        due = (self.refreshes == 0) | (self.age >= interval)
        tf.cond(due, lambda: self._refresh(x, y, seed), lambda: tf.constant(False))
        self.age.assign_add(1)

    def _refresh(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        before = tf.cast(self.refreshes, tf.float32)
        old = tf.minimum(self.averaging, before / (before + 1.0))
        kept = Eigenpairs(old * self.eigenvalues, self.eigenvectors)
        few = x[: self.hessian_batch], y[: self.hessian_batch]
        if self.curvature == "gauss_newton":
            eigenpairs = gauss_newton_eigenpairs(self.task, *few, self.rank, seed, weight=1.0 - old, plus=kept)
        else:
            operator = HessianOperator(self.task, *few, seed)
            warm = tf.constant(self.warm_start) & (self.refreshes > 0)
            start = tf.cond(warm, lambda: tf.identity(self.basis), lambda: self._random_vectors(seed))
            passes = tf.where(warm, 1, 2 + self.power_iterations)

            def average(columns: tf.Tensor) -> tf.Tensor:
                return (1.0 - old) * operator.block(columns) + kept.product(columns)

            eigenpairs, next_columns = subspace_iteration(average, start, passes, self.rank)
            self.basis.assign(next_columns)
        self._keep(self._denoised(eigenpairs, x, y, seed))
        self.age.assign(0)
        self.refreshes.assign_add(1)
        return tf.constant(True)

    def _random_vectors(self, seed: tf.Tensor) -> tf.Tensor:
        drawn_at = seed if self.fresh_vectors else tf.zeros_like(seed)
        return standard_normal(self.basis.shape, tf.random.fold_in(drawn_at, Stream.CURVATURE))

    def _denoised(self, eigenpairs: Eigenpairs, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Eigenpairs:
        """Set to zero what sub-batches do not agree on: of other examples, whose noise the eigenpairs do not follow."""
        if not self.sub_batches:
            return eigenpairs
        size = self.hessian_batch // self.sub_batches
        starts = [self.hessian_batch + number * size for number in range(self.sub_batches)]
        parts = [slice(start, start + size) for start in starts]
        operators = [HessianOperator(self.task, x[part], y[part], seed) for part in parts]
        quotients = rayleigh_quotients(operators, eigenpairs.vectors)
        keep = tf.cast(significantly_nonzero(quotients), tf.float32)
        values, vectors = eigenpairs
        return Eigenpairs(tf.where(tf.math.is_finite(values), keep * values, values), vectors)

    def _keep(self, eigenpairs: Eigenpairs) -> None:
        self.eigenvalues.assign(eigenpairs.values)
        self.eigenvectors.assign(eigenpairs.vectors)

    def cost(self, batch_size: int) -> float:
        """That of the wrapped estimator, and every product of a refresh; halvings of a line search are not known.

        What the first refreshes cost more than the others is `setup_cost`.
        """
        search = self.line_search.cost(batch_size) if self.line_search else 0.0
        return self.inner.cost(batch_size) + self._refresh_cost(self._usual_passes) / self.refresh_every + search

    def setup_cost(self, batch_size: int, steps: int) -> float:
        """Refreshes that come early, and passes that a warm start saves later."""
        early = self._early_refreshes(steps) * self._refresh_cost(self._usual_passes)
        if self.warm_start and self.curvature == "hessian":
            early += self._refresh_cost(2 + self.power_iterations) - self._refresh_cost(1)
        return super().setup_cost(batch_size, steps) + early

    @property
    def _usual_passes(self) -> int:
        return 1 if self.warm_start else 2 + self.power_iterations

    def _early_refreshes(self, steps: int) -> float:
        """How many more there are than steps / refresh_every, until intervals have grown to that."""
        count = age = 0
        growing = min(steps, INTERVAL_SHARE * self.refresh_every)
        for step in range(growing):
            if step == 0 or age >= min(max(step // INTERVAL_SHARE, self.first_interval), self.refresh_every):
                count, age = count + 1, 0
            age += 1
        return count - growing / self.refresh_every

    def _refresh_cost(self, passes: int) -> float:
        """Of hessian_batch examples: a gradient that each pass shares, and its products; for all, see the solvers."""
        if self.curvature == "gauss_newton":
            outputs = self.task.network.output_shape[-1]
            products = 1 / 3 + BACKWARD_COST * outputs  # a forward pass, and backward passes; no products
        else:
            columns = subspace_size(self.rank, self.oversampling, self.task.parameter_count)
            products = passes * (1 + PRODUCT_COST * columns)
        products += bool(self.sub_batches) * (1 + PRODUCT_COST * self.rank)
        return products * self.hessian_batch
