"""Saddle-free Newton with a low-rank Hessian (arXiv 2002.02881; the absolute value: arXiv 1406.2572).

Let A ≈ U Λ Uᵀ be the r eigenpairs of largest |λ| of the curvature on a few examples. With damping γ,

    p = [U|Λ|Uᵀ + γI]⁻¹ g = (1/γ) (g - U diag(|λ_i| / (|λ_i| + γ)) Uᵀ g)        (Woodbury; UᵀU = I)

Directions of large curvature of either sign are divided by its absolute value, and all others by γ. Along negative
curvature, Newton's own step climbs to the saddle; this one descends. The learning rate is the optimizer's, α. Outside
of span U, the step is that of gradient descent at learning rate α/γ.

Every few steps, the eigenpairs are refreshed from another minibatch. The first refresh starts from random vectors, each
later one from the previous basis (see `common.curvature.eigensolvers`). A refresh is thus one pass over r + 4 columns.

A few examples give little information: most of them are soon classified with certainty and have no curvature. The
eigenpairs are therefore those of a running average of rank r (averaging Hessians: arXiv 2204.09266),

    A ← β U Λ Uᵀ + (1 - β) H        β = min(averaging, n / (n + 1)) at the n-th refresh after the first: a mean at first

Refreshes are frequent while curvature changes fast: it grows by a factor of fifty and falls again within the first
hundred steps. At step t they are t / 8 steps apart, at least `first_interval` and at most `refresh_every`.

Deviations from the paper: warm starts, the average, and eigenpairs kept for several steps. The paper computes them at
each step from fresh random vectors. Here the damping may follow |λ_r|. L2 regularisation is separate from the damping
and off by default. It adds λw to the gradient and λ to every eigenvalue, including the unknown ones.
"""

from __future__ import annotations

import math

import numpy as np
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
from common.tasks.networks import hash_seed
from common.tasks.task import Task
from common.vectors import flatten, unflatten

CURVATURES = ("hessian", "gauss_newton")
DAMPING = TiedDamping(floor=0.4)
INTERVAL_SHARE = 8  # intervals grow with the step, to this part of it
BACKWARD_COST = 2 / 3  # of a gradient: two of its three products with the weights of a layer


class SaddleFreeNewton(GradientEstimator):
    """Another estimator's gradient, divided by the absolute curvature where it is known and by γ elsewhere.

    Its state holds `eigenvectors` (P, r) and `eigenvalues` (r,), and the basis (P, r + oversampling) from which the
    next refresh starts. It also holds `age`, the steps since the last refresh, and `refreshes`, their number.

    Args:
        inner: any estimator.
        rank: r, from 1 to P; at most hessian_batch × outputs for "gauss_newton".
        damping: γ > 0, or a `Damping` such as `TiedDamping(floor=0.4)`, which is max(|λ_r|, 0.4).
        hessian_batch: number of examples for the curvature, ≥ 1. These are the first of the minibatch. The minibatch
            must have at least as many, or twice as many with sub_batches.
        refresh_every: number of steps, ≥ 1, for which eigenpairs are finally kept. An epoch's smaller last batch delays
            a refresh (if `build` knows the batch size).
        curvature: "hessian", indefinite, computed by products; or "gauss_newton", semidefinite, computed exactly
            without starting vectors.
        averaging: β in [0, 1), the share of the running average that stays at a refresh; 0: each minibatch's own
            eigenpairs.
        first_interval: number of steps, ≥ 1, for which eigenpairs are kept at first, if refresh_every is larger.
        oversampling: number of columns beyond r, ≥ 0; for "hessian" only, like the next four.
        power_iterations: number of passes beyond two when starting from random vectors, ≥ 0.
        warm_start: whether a refresh starts from the last basis. Otherwise each starts from random vectors, with two
            passes or more.
        fresh_vectors: whether random vectors are drawn from the step's seed. Otherwise every refresh uses the same
            ones, which is a common bug.
        sub_batches: number of parts, ≥ 2, into which hessian_batch further examples are divided. Eigenpairs are dropped
            if their Rayleigh quotients over the parts are within two standard errors of zero. This takes one more pass.
            0: all eigenpairs are kept.
        l2: λ ≥ 0 of the term λ‖w‖²/2, which the reported loss does not contain.
        shuffled: whether the coordinates of all eigenvectors are permuted before the division, by a permutation drawn
            from the run's seed. Eigenvalues, damping and cost stay the same: a control, whose divided directions have
            nothing to do with curvature.
        line_search: sets the step's length by the loss of the minibatch. It excludes l2, since that loss has no L2
            term. None: the optimizer's learning rate sets the length.

    Raises:
        ValueError: an argument has the wrong type or is out of range. `build` raises it for a rank above P. `estimate`
            raises it for a minibatch too small for hessian_batch, except an epoch's smaller last one.

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
        shuffled: bool = False,
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
        self.shuffled = shuffled

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Create the eigenpairs, which are zero until the first step computes them."""
        super().build(task, run)
        self._whole_batch = run.batch_size
        size = task.parameter_count
        columns = subspace_size(self.rank, self.oversampling, size)
        if self.curvature == "gauss_newton":
            columns = 0
        self.eigenvalues = tf.Variable(tf.zeros([self.rank]), trainable=False)
        self.eigenvectors = tf.Variable(tf.zeros([size, self.rank]), trainable=False)
        self.basis = tf.Variable(tf.zeros([size, columns]), trainable=False)
        if self.shuffled:
            self._order = np.random.default_rng(hash_seed(run.seed, Stream.CURVATURE)).permutation(size)
        self.age, self.refreshes = (tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(2))

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate the gradient, refresh if it is due, then divide; see `GradientEstimator.estimate` for shapes."""
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
        """Return [U|Λ|Uᵀ + γI]⁻¹ g for a vector g, (P,), with the eigenpairs of the last refresh."""
        diagonal = as_damping(self.damping).of(self.eigenvalues) + self.l2  # of what is not known
        # λ of the L2 term adds to each eigenvalue before its sign is dropped: |λ_i + λ| + γ where it is known.
        curvature = tf.abs(self.eigenvalues + self.l2) - self.l2
        vectors = tf.gather(self.eigenvectors, self._order) if self.shuffled else self.eigenvectors
        along = tf.linalg.matvec(vectors, gradient, transpose_a=True)
        known = tf.linalg.matvec(vectors, along * curvature / (curvature + diagonal))
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
        """Set eigenpairs to zero on which sub-batches disagree; their examples are others, with independent noise."""
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
        """Return the cost of the wrapped estimator and of all products of a refresh, without halvings of a line search.

        The extra cost of the first refreshes is `setup_cost`.
        """
        search = self.line_search.cost(batch_size) if self.line_search else 0.0
        return self.inner.cost(batch_size) + self._refresh_cost(self._usual_passes) / self.refresh_every + search

    def setup_cost(self, batch_size: int, steps: int) -> float:
        """Return the cost of early refreshes, and of passes that a warm start saves later."""
        early = self._early_refreshes(steps) * self._refresh_cost(self._usual_passes)
        if self.warm_start and self.curvature == "hessian":
            early += self._refresh_cost(2 + self.power_iterations) - self._refresh_cost(1)
        return super().setup_cost(batch_size, steps) + early

    @property
    def _usual_passes(self) -> int:
        return 1 if self.warm_start else 2 + self.power_iterations

    def _early_refreshes(self, steps: int) -> float:
        """Return the number of refreshes beyond steps / refresh_every, until intervals have grown to refresh_every."""
        count = age = 0
        growing = min(steps, INTERVAL_SHARE * self.refresh_every)
        for step in range(growing):
            if step == 0 or age >= min(max(step // INTERVAL_SHARE, self.first_interval), self.refresh_every):
                count, age = count + 1, 0
            age += 1
        return count - growing / self.refresh_every

    def _refresh_cost(self, passes: int) -> float:
        """Return the cost of a refresh on hessian_batch examples: each pass has one gradient, plus its products."""
        if self.curvature == "gauss_newton":
            outputs = self.task.network.output_shape[-1]
            products = 1 / 3 + BACKWARD_COST * outputs  # a forward pass, and backward passes; no products
        else:
            columns = subspace_size(self.rank, self.oversampling, self.task.parameter_count)
            products = passes * (1 + PRODUCT_COST * columns)
        products += bool(self.sub_batches) * (1 + PRODUCT_COST * self.rank)
        return products * self.hessian_batch
