"""Learning rates that fall over a run, defined without its length; the training loop provides the number of steps.

    w ← w - η(t) g        t = 0, 1, ... T - 1 counts the updates of a run of T

With a warm-up of a fraction f of the run, W = round(f T) steps, the rate first rises linearly:

    η(t) = η₀ (t + 1) / (W + 1)        for t < W

The schedule's own formula begins at t = W. Without a warm-up, the rates are bit-identical to those of Keras' schedules.
"""

from __future__ import annotations

from numbers import Real

import keras
import tensorflow as tf

from common.checks import require
from common.settings import Configured


class RelativeSchedule(Configured, keras.optimizers.schedules.LearningRateSchedule):
    """Base class of schedules that get the run's length from `bind`; subclasses define the decay after the warm-up."""

    _keras: keras.optimizers.schedules.LearningRateSchedule | None = None
    _warmup_steps = 0

    def bind(self, steps: int, steps_per_epoch: int) -> None:
        """Set the length of the run, in place; a second call replaces the first.

        Args:
            steps: T ≥ 1, the number of updates of the whole run.
            steps_per_epoch: number of updates per epoch, ≥ 1.
        """
        require(steps >= 1, "steps", "≥ 1", steps)
        require(steps_per_epoch >= 1, "steps_per_epoch", "≥ 1", steps_per_epoch)
        self._warmup_steps = min(round(self.warmup * steps), steps - 1)
        self._keras = self._decay(steps - self._warmup_steps, steps_per_epoch)

    @property
    def depends_on_length(self) -> bool:
        """Return whether a longer run has different rates in the steps that it shares with a shorter run."""
        return True

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the learning rate at a step, counted from 0; raises ValueError before `bind`."""
        if self._keras is None:
            raise ValueError(
                f"{self!r} is relative to the length of a run and knows none yet: train with it, or call "
                "bind(steps, steps_per_epoch)"
            )
        if not self._warmup_steps:
            return self._keras(step)
        t, warmup = tf.cast(step, tf.float32), float(self._warmup_steps)
        rising = self.initial * (t + 1.0) / (warmup + 1.0)
        return tf.where(t < warmup, rising, self._keras(tf.maximum(t - warmup, 0.0)))

    def get_config(self) -> dict:
        """Return all arguments as plain data; a copy is not bound to a run."""
        return self.settings

    def _decay(self, steps: int, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
        raise NotImplementedError(f"{type(self).__name__} does not say how it decays")


@keras.saving.register_keras_serializable(package="common.optimizers")
class LinearDecay(RelativeSchedule):
    """Fall along a straight line: η(t) = η₀ + (η₁ - η₀) t / T.

    Args:
        initial: η₀ ≥ 0.
        final: η₁ ≥ 0, reached after the last step.
        warmup: fraction of the run's steps in [0, 1) in which the rate rises to η₀; see the module docstring.

    Raises:
        ValueError: a value is out of range, or the schedule is called before `bind`.

    Example:
        >>> rate = LinearDecay(0.1, warmup=0.25)
        >>> rate.bind(steps=8, steps_per_epoch=4)
        >>> [round(float(rate(step)), 3) for step in range(8)]
        [0.033, 0.067, 0.1, 0.083, 0.067, 0.05, 0.033, 0.017]
    """

    def __init__(self, initial: float, final: float = 0.0, warmup: float = 0.0):
        self.initial, self.final, self.warmup = _rate("initial", initial), _rate("final", final), _fraction(warmup)

    def _decay(self, steps, steps_per_epoch):  # noqa: ARG002 - the signature of RelativeSchedule
        return keras.optimizers.schedules.PolynomialDecay(self.initial, steps, self.final)


@keras.saving.register_keras_serializable(package="common.optimizers")
class CosineDecay(RelativeSchedule):
    """Fall along half a cosine: η(t) = η₁ + (η₀ - η₁) (1 + cos(π t / T)) / 2.

    Args:
        initial: η₀ ≥ 0.
        final: η₁ ≥ 0, reached after the last step; 0 if η₀ is 0.
        warmup: fraction of the run's steps in [0, 1) in which the rate rises to η₀; see the module docstring.

    Raises:
        ValueError: a value is out of range, or the schedule is called before `bind`.

    Reference: Loshchilov and Hutter, arXiv 1608.03983, without restarts.

    Example:
        >>> rate = CosineDecay(0.1, final=0.02)
        >>> rate.bind(steps=4, steps_per_epoch=2)
        >>> [round(float(rate(step)), 3) for step in range(5)]
        [0.1, 0.088, 0.06, 0.032, 0.02]
    """

    def __init__(self, initial: float, final: float = 0.0, warmup: float = 0.0):
        self.initial, self.final, self.warmup = _rate("initial", initial), _rate("final", final), _fraction(warmup)
        require(initial > 0 or final == 0, "final", "0 where initial is", final)

    def _decay(self, steps, steps_per_epoch):  # noqa: ARG002 - the signature of RelativeSchedule
        alpha = self.final / self.initial if self.final else 0.0
        return keras.optimizers.schedules.CosineDecay(self.initial, steps, alpha)


@keras.saving.register_keras_serializable(package="common.optimizers")
class ExponentialDecay(RelativeSchedule):
    """Fall by one factor per epoch: η(t) = η₀ γ^(t / S), with S steps per epoch.

    Args:
        initial: η₀ ≥ 0.
        per_epoch: γ > 0.
        warmup: fraction of the run's steps in [0, 1) in which the rate rises to η₀; see the module docstring.

    Raises:
        ValueError: a value is out of range, or the schedule is called before `bind`.

    Example:
        >>> schedule = ExponentialDecay(0.1, per_epoch=0.5)
        >>> schedule.bind(steps=20, steps_per_epoch=10)
        >>> [round(float(schedule(step)), 4) for step in (0, 10, 20)]
        [0.1, 0.05, 0.025]
    """

    def __init__(self, initial: float, per_epoch: float, warmup: float = 0.0):
        self.initial, self.warmup = _rate("initial", initial), _fraction(warmup)
        require(_is_number(per_epoch) and per_epoch > 0, "per_epoch", "a number above 0", per_epoch)
        self.per_epoch = float(per_epoch)

    @property
    def depends_on_length(self) -> bool:
        """Return whether there is a warm-up: the decay itself does not depend on the length."""
        return self.warmup > 0

    def _decay(self, steps, steps_per_epoch):  # noqa: ARG002 - the signature of RelativeSchedule
        return keras.optimizers.schedules.ExponentialDecay(self.initial, steps_per_epoch, self.per_epoch)


def relative(optimizer: keras.optimizers.Optimizer) -> RelativeSchedule | None:
    """Return the optimizer's learning rate schedule if it is relative to a run's length, else None."""
    rate = optimizer._learning_rate
    return rate if isinstance(rate, RelativeSchedule) else None


def bind(optimizer: keras.optimizers.Optimizer, steps: int, steps_per_epoch: int) -> None:
    """Bind an optimizer's relative schedule, if it has one, to the run's length; see `RelativeSchedule.bind`."""
    schedule = relative(optimizer)
    if schedule is not None:
        schedule.bind(steps, steps_per_epoch)


def _rate(name: str, value: float) -> float:
    require(_is_number(value) and value >= 0, name, "a number ≥ 0", value)
    return float(value)


def _fraction(warmup: float) -> float:
    require(_is_number(warmup) and 0 <= warmup < 1, "warmup", "a fraction of the run's steps in [0, 1)", warmup)
    return float(warmup)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
