"""The smallest loss with a saddle: one stiff direction, and one direction along which two minima lie.

    L(u, v) = u²/2 + (μ/4) (1 - v²)²

At the saddle (0, 0) the curvatures are 1 and -μ, at the minima (0, ±1) they are 1 and 2μ. The stiff direction bounds
the learning rate of gradient descent (by 2), so that it needs about 1/μ steps to leave. Saddle-free Newton divides by
|μ|.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.checks import require


@dataclass(frozen=True)
class Saddle:
    """The loss as a function of two weights.

    Attributes:
        mu: μ > 0, the size of the saddle's negative curvature.

    Example:
        >>> loss = Saddle(mu=0.4)
        >>> loss(0.0, 0.0), loss(0.0, 1.0), loss(1.0, 1.0)  # the saddle, a minimum, and beside it
        (0.1, 0.0, 0.5)
    """

    mu: float

    def __post_init__(self):
        require(self.mu > 0, "mu", "> 0", self.mu)

    def __call__(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the loss at points of any shape."""
        return u**2 / 2 + self.mu / 4 * (1 - v**2) ** 2

    @property
    def height(self) -> float:
        """The loss at the saddle; at the minima it is zero."""
        return self.mu / 4
