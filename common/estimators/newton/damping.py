"""The damping added to curvature before inversion: constant, or tied to the smallest known eigenvalue.

A low-rank approximation leaves out eigenvalues. It is only known that these are not larger than the smallest one kept:
|λ| ≤ |λ_r|. A step along them that is longer than 1/|λ_r| trusts curvature that was never measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from common.checks import require
from common.settings import Configured


class Damping(Configured):
    """Base class of dampings: γ > 0 as a function of eigenvalues, (r,) float32, where zeros stand for missing ones."""

    def of(self, values: tf.Tensor) -> tf.Tensor | float:
        """Return γ."""
        raise NotImplementedError(f"{type(self).__name__} does not implement of(values)")


@dataclass(frozen=True, repr=False, eq=False)
class ConstantDamping(Damping):
    """Constant damping γ > 0, in units of curvature."""

    gamma: float

    def __post_init__(self):
        require(0 < self.gamma < math.inf, "damping", "> 0 and finite", self.gamma)

    def of(self, values: tf.Tensor) -> float:  # noqa: ARG002 - the signature of Damping
        """Return γ."""
        return self.gamma


@dataclass(frozen=True, repr=False, eq=False)
class TiedDamping(Damping):
    """Tied damping γ = max(ratio · |λ_r|, floor), with λ_r the smallest known eigenvalue that is not zero.

    Attributes:
        floor: > 0, in units of curvature. Without a floor, the damping follows λ_r to zero, and the run diverges.
        ratio: ≥ 0.

    Example:
        >>> damping = TiedDamping(floor=0.1, ratio=0.5)
        >>> float(damping.of(tf.constant([4.0, -2.0, 0.0])))  # half of |-2|; the zero is no eigenvalue
        1.0
    """

    floor: float
    ratio: float = 1.0

    def __post_init__(self):
        require(0 < self.floor < math.inf, "the damping's floor", "> 0 and finite", self.floor)
        require(0 <= self.ratio < math.inf, "the damping's ratio", "≥ 0 and finite", self.ratio)

    def of(self, values: tf.Tensor) -> tf.Tensor:
        """Return γ; a zero stands for a missing eigenpair, such as a dropped one."""
        known = tf.abs(values)
        smallest = self.ratio * tf.reduce_min(tf.where(known == 0.0, tf.reduce_max(known), known))
        return tf.where(smallest < self.floor, float(self.floor), smallest)


def as_damping(damping: Damping | float) -> Damping:
    """Return a damping; a number becomes a constant damping, and other types raise a ValueError."""
    if isinstance(damping, int | float) and not isinstance(damping, bool):
        return ConstantDamping(float(damping))
    require(isinstance(damping, Damping), "damping", "a number > 0, or a damping such as TiedDamping(0.4)", damping)
    return damping
