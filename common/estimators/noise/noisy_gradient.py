"""Noise added to any estimator's gradients, as a lossy channel or a privacy mechanism would add it.

    ĝ = c(g) + σ_t n,    n ~ N(0, I) in all P coordinates

with c the clipping of the global norm, if asked for, and σ_t a level: constant, annealed or relative to ‖c(g)‖. In a
random subspace the noise enters behind a sketch to d numbers (see `sign_sketch`): ĝ = Sᵀ(S c(g) + σ_t n), n of d
coordinates. The noise is a function of (run seed, step, variable) alone: on one kind of device, reruns and resumed runs
are bit-identical.
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
    """How strong the noise is at a step; base of the levels."""

    @property
    def is_zero(self) -> bool:
        """Whether it is zero at every step, known before tracing: then nothing is drawn or added."""
        raise NotImplementedError(f"{type(self).__name__} does not say whether it is zero")

    def standard_deviation(self, step: tf.Tensor, signal: list[tf.Tensor]) -> tf.Tensor | float:
        """Return σ_t ≥ 0 for each coordinate; `signal` is what the noise is added to.

        Step t counts from 0. A look that is no training step asks with -1 - t, so that its noise is none that training
        has, and gets the level of step t.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement standard_deviation(step, signal)")


@dataclass(frozen=True, repr=False, eq=False)
class ConstantNoise(NoiseLevel):
    """σ_t = σ, in units of the gradient's coordinates; σ ≥ 0, else a ValueError."""

    sigma: float

    def __post_init__(self):
        require(0 <= self.sigma < math.inf, "sigma", "≥ 0 and finite", self.sigma)

    @property
    def is_zero(self) -> bool:
        """Whether nothing is to be added, at any step."""
        return self.sigma == 0

    def standard_deviation(self, step: tf.Tensor, signal: list[tf.Tensor]) -> float:  # noqa: ARG002 - the signature of NoiseLevel
        """σ, whatever the step and the signal."""
        return self.sigma


@dataclass(frozen=True, repr=False, eq=False)
class AnnealedNoise(NoiseLevel):
    """σ_t² = η / (1 + t)^γ for step t = 0, 1, ... (arXiv 1511.06807, section 3).

    The paper's formula is the *variance*; the standard deviation is its root. A common mistake takes one for the other.

    Attributes:
        eta: η ≥ 0; the paper chooses among 0.01, 0.3 and 1.
        gamma: γ ≥ 0, 0.55 in the paper.

    Raises:
        ValueError: a value out of range.

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
        """Whether nothing is to be added, at any step."""
        return self.eta == 0

    def standard_deviation(self, step: tf.Tensor, signal: list[tf.Tensor]) -> tf.Tensor:  # noqa: ARG002 - the signature of NoiseLevel
        """√(η / (1 + t)^γ), scalar float32, whatever the signal."""
        t = tf.cast(tf.where(step < 0, -1 - step, step), tf.float32)
        return tf.sqrt(self.eta / (1.0 + t) ** self.gamma)


@dataclass(frozen=True, repr=False, eq=False)
class RelativeNoise(NoiseLevel):
    """σ_t = ‖g‖ / √(n r): a given signal-to-noise ratio r = ‖g‖²/(σ_t² n) over the n coordinates that are transmitted.

    Attributes:
        signal_to_noise: r > 0, a ratio of powers (not decibels); math.inf is no noise.

    Raises:
        ValueError: r is not positive.
    """

    signal_to_noise: float

    def __post_init__(self):
        require(self.signal_to_noise > 0, "signal_to_noise", "> 0", self.signal_to_noise)

    @property
    def is_zero(self) -> bool:
        """Whether nothing is to be added, at any step."""
        return self.signal_to_noise == math.inf

    def standard_deviation(self, step: tf.Tensor, signal: list[tf.Tensor]) -> tf.Tensor:  # noqa: ARG002 - the signature of NoiseLevel
        """‖signal‖ / √(n r), scalar float32, whatever the step."""
        coordinates = sum(part.shape.num_elements() for part in signal)
        return tf.linalg.global_norm(signal) / math.sqrt(self.signal_to_noise * coordinates)


def require_noise_level(name: str, value: NoiseLevel) -> None:
    """Refuse, with a ValueError, what is no noise level, such as a number."""
    require(isinstance(value, NoiseLevel), name, "a noise level, such as ConstantNoise(0.1)", value)


class NoisyGradient(GradientEstimator):
    """Another estimator's gradients, clipped if asked for, then disturbed.

    With a level of zero, no clipping and no sketch it returns exactly what the wrapped estimator does. Wrapped in each
    other, the inner and the outer noise are independent.

    Args:
        inner: any estimator.
        level: ConstantNoise, AnnealedNoise or RelativeNoise.
        clip_norm: largest global norm of the inner gradients (over all variables together), > 0; None: not clipped.
        sketch: the random subspace in which the noise enters; None: all P coordinates.

    Raises:
        ValueError: an argument of another kind, or clip_norm not positive and finite; by `build`, more dimensions of
            the sketch than the network has parameters.
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
        """Refuse a sketch that is larger than the network; the noise itself has no state."""
        super().build(task, run)
        if self.sketch is not None:
            self.sketch.require_at_most(task.parameter_count)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Estimate, clip, add noise; see `GradientEstimator.estimate` for shapes. Loss and outputs stay untouched."""
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
        """How many of its kind are anywhere within it, each with a lesser depth and so with noise of its own."""
        return sum(isinstance(part, NoisyGradient) for part in self.submodules)

    def cost(self, batch_size: int) -> float:
        """That of the wrapped estimator: noise needs no gradient."""
        return self.inner.cost(batch_size)

    def bytes_sent(self, batch_size: int) -> float:
        """In a sketch, 4 bytes for each of its dimensions; else what the wrapped estimator sends."""
        return super().bytes_sent(batch_size) if self.sketch is None else 4.0 * self.sketch.dimensions

    def epsilon(self, batch_size: int, steps: int) -> float:
        """That of the wrapped estimator: its own noise is counted as no privacy, whose sensitivity nothing bounds."""
        return self.inner.epsilon(batch_size, steps)
