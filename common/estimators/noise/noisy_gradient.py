"""Noise added to any estimator's gradients, as a lossy channel or a privacy mechanism would add it.

    ĝ = c(g) + σ_t n,    n ~ N(0, I) in all P coordinates

Here c clips the global norm, if `clip_norm` is given, and σ_t is a level: constant, annealed or relative to ‖c(g)‖. In
a random subspace, the noise is added to a sketch of d numbers (see `sign_sketch`). Then ĝ = Sᵀ(S c(g) + σ_t n), with n
of d coordinates. The noise is a function only of (run seed, step, variable). On one kind of device, reruns and resumed
runs are therefore bit-identical.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from common.checks import require
from common.estimators.estimator import (
    UNKNOWN_RUN,
    GradientEstimate,
    GradientEstimator,
    RunContext,
    require_estimator,
)
from common.estimators.noise.sign_sketch import SignSketch
from common.randomness import Stream, add_noise
from common.settings import Configured
from common.tasks.task import Task
from common.vectors import flatten, unflatten


class NoiseLevel(Configured):
    """Base class of noise levels: the standard deviation of the noise at each step."""

    @property
    def is_zero(self) -> bool:
        """Return whether the level is zero at every step, known before tracing: then no noise is drawn or added."""
        raise NotImplementedError(f"{type(self).__name__} does not say whether it is zero")

    def standard_deviation(self, step: tf.Tensor, signal: list[tf.Tensor]) -> tf.Tensor | float:
        """Return σ_t ≥ 0 for each coordinate; steps count from 0, and the noise is added to `signal`.

        A diagnostic, which is no training step, asks with -1 - t, so that its noise occurs in no training. It gets the
        level of step t.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement standard_deviation(step, signal)")


@dataclass(frozen=True, repr=False, eq=False)
class ConstantNoise(NoiseLevel):
    """Constant noise: σ_t = σ ≥ 0, in units of the gradient's coordinates; a negative σ raises a ValueError.

    Example:
        >>> ConstantNoise(0.1).standard_deviation(tf.constant(7), [])
        0.1
    """

    sigma: float

    def __post_init__(self):
        require(0 <= self.sigma < math.inf, "sigma", "≥ 0 and finite", self.sigma)

    @property
    def is_zero(self) -> bool:
        """Return whether no noise is added at any step."""
        return self.sigma == 0

    def standard_deviation(self, step: tf.Tensor, signal: list[tf.Tensor]) -> float:  # noqa: ARG002 - the signature of NoiseLevel
        """Return σ, whatever the step and the signal."""
        return self.sigma


@dataclass(frozen=True, repr=False, eq=False)
class AnnealedNoise(NoiseLevel):
    """Annealed noise: σ_t² = η / (1 + t)^γ for step t = 0, 1, ... (arXiv 1511.06807, section 3).

    The paper's formula is the *variance*; the standard deviation is its root. A common mistake confuses the two.

    Attributes:
        eta: η ≥ 0; the paper chooses among 0.01, 0.3 and 1.
        gamma: γ ≥ 0, 0.55 in the paper.

    Raises:
        ValueError: a value is out of range.

    Example:
        >>> noise = AnnealedNoise(eta=0.01)
        >>> [round(float(noise.standard_deviation(tf.constant(step), [])), 4) for step in (0, 100, 10_000)]
        [0.1, 0.0281, 0.0079]
    """

    eta: float
    gamma: float = 0.55

    def __post_init__(self):
        require(0 <= self.eta < math.inf, "eta", "≥ 0 and finite", self.eta)
        require(0 <= self.gamma < math.inf, "gamma", "≥ 0 and finite", self.gamma)

    @property
    def is_zero(self) -> bool:
        """Return whether no noise is added at any step."""
        return self.eta == 0

    def standard_deviation(self, step: tf.Tensor, signal: list[tf.Tensor]) -> tf.Tensor:  # noqa: ARG002 - the signature of NoiseLevel
        """Return √(η / (1 + t)^γ), scalar float32, whatever the signal."""
        t = tf.cast(tf.where(step < 0, -1 - step, step), tf.float32)
        return tf.sqrt(self.eta / (1.0 + t) ** self.gamma)


@dataclass(frozen=True, repr=False, eq=False)
class RelativeNoise(NoiseLevel):
    """Relative noise: σ_t = ‖g‖ / √(n r), for a signal-to-noise ratio r = ‖g‖²/(σ_t² n) over n coordinates.

    Attributes:
        signal_to_noise: r > 0, a ratio of powers (not decibels); math.inf means no noise.

    Raises:
        ValueError: r is not positive.

    Example:
        >>> noise = RelativeNoise(signal_to_noise=0.5)
        >>> float(noise.standard_deviation(tf.constant(0), [tf.constant([3.0, 4.0])]))  # 5 / √(2 · 0.5)
        5.0
    """

    signal_to_noise: float

    def __post_init__(self):
        require(self.signal_to_noise > 0, "signal_to_noise", "> 0", self.signal_to_noise)

    @property
    def is_zero(self) -> bool:
        """Return whether no noise is added at any step."""
        return self.signal_to_noise == math.inf

    def standard_deviation(self, step: tf.Tensor, signal: list[tf.Tensor]) -> tf.Tensor:  # noqa: ARG002 - the signature of NoiseLevel
        """Return ‖signal‖ / √(n r), scalar float32, whatever the step."""
        coordinates = sum(part.shape.num_elements() for part in signal)
        return tf.linalg.global_norm(signal) / math.sqrt(self.signal_to_noise * coordinates)


def require_noise_level(name: str, value: NoiseLevel) -> None:
    """Raise a ValueError unless the argument is a noise level; a number is not one."""
    require(isinstance(value, NoiseLevel), name, "a noise level, such as ConstantNoise(0.1)", value)


class NoisyGradient(GradientEstimator):
    """Another estimator's gradients, clipped if `clip_norm` is given, plus noise.

    With a level of zero, no clipping and no sketch, it returns exactly the wrapped estimator's estimate. If one
    NoisyGradient wraps another, their noises are independent.

    Args:
        inner: any estimator.
        level: ConstantNoise, AnnealedNoise or RelativeNoise.
        clip_norm: largest global norm of the inner gradients (over all variables together), > 0; None: no clipping.
        sketch: the random subspace in which the noise enters; None: all P coordinates.

    Raises:
        ValueError: an argument has the wrong type, or clip_norm is not positive and finite. `build` raises it if the
            sketch has more dimensions than the network has parameters.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = NoisyGradient(Backpropagation(), ConstantNoise(0.0))
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().tolist()  # without noise, the exact gradient
        [1.0, -0.375]
    """

    def __init__(
        self,
        inner: GradientEstimator,
        level: NoiseLevel,
        *,
        clip_norm: float | None = None,
        sketch: SignSketch | None = None,
    ):
        super().__init__()
        require_estimator("inner", inner)
        require_noise_level("level", level)
        require(sketch is None or isinstance(sketch, SignSketch), "sketch", "a SignSketch, or None", sketch)
        allowed = clip_norm is None or 0 < clip_norm < math.inf
        require(allowed, "clip_norm", "> 0 and finite, or None for no clipping", clip_norm)
        self.inner, self.level, self.clip_norm, self.sketch = inner, level, clip_norm, sketch

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Check that the sketch is not larger than the network; the noise itself has no state."""
        super().build(task, run)
        if self.sketch is not None:
            self.sketch.require_at_most(task.parameter_count)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate, clip, add noise; see `GradientEstimator.estimate` for shapes. Loss and outputs are unchanged."""
        estimate = self.inner.estimate(x, y, seed)
        gradients = estimate.gradients
        if self.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm)
        own_seed = tf.random.fold_in(seed, Stream.NOISE + self._depth())
        if self.sketch is None:
            return estimate._replace(gradients=self._disturbed(gradients, own_seed, seed[1]))
        drawn = self.sketch.draw(self.task.parameter_count, seed)
        (received,) = self._disturbed([drawn.apply(flatten(gradients))], own_seed, seed[1])
        return estimate._replace(gradients=unflatten(drawn.apply_transpose(received), gradients))

    def _disturbed(self, signal: list[tf.Tensor], seed: tf.Tensor, step: tf.Tensor) -> list[tf.Tensor]:
        if self.level.is_zero:
            return signal
        return add_noise(signal, self.level.standard_deviation(step, signal), seed)

    def _depth(self) -> int:
        """Return the number of nested estimators of this class; each depth has its own noise."""
        return sum(isinstance(part, NoisyGradient) for part in self.submodules)

    def cost(self, batch_size: int) -> float:
        """Return the cost of the wrapped estimator: noise needs no gradient."""
        return self.inner.cost(batch_size)

    def bytes_sent(self, batch_size: int) -> float:
        """Return 4 bytes per dimension of the sketch; without a sketch, the bytes of the wrapped estimator."""
        return super().bytes_sent(batch_size) if self.sketch is None else 4.0 * self.sketch.dimensions

    def epsilon(self, batch_size: int, steps: int) -> float:
        """Return ε of the wrapped estimator: this noise does not count, since nothing bounds the sensitivity."""
        return self.inner.epsilon(batch_size, steps)
