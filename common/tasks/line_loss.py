"""The smallest regression: a line on one feature. Five means determine its whole loss surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LineLoss:
    """The mean squared error of slope · x + intercept, as a function of slope and intercept.

        loss(w, b) = w² E[x²] + 2 w b E[x] + b² - 2 w E[xy] - 2 b E[y] + E[y²]

    Attributes:
        x: E[x], the mean of the feature over the examples.
        xx: E[x²].
        y: E[y], the mean of the target.
        xy: E[xy].
        yy: E[y²].
    """

    x: float
    xx: float
    y: float
    xy: float
    yy: float

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> LineLoss:
        """Compute the means over the examples; x and y have shape (examples, 1)."""
        x, y = x.astype(np.float64), y.astype(np.float64)
        return cls(*(float(np.mean(values)) for values in (x, x * x, y, x * y, y * y)))

    def __call__(self, slope: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        """Return the loss at points of any shape, in squared units of the target."""
        quadratic = slope**2 * self.xx + 2 * slope * intercept * self.x + intercept**2
        return quadratic - 2 * slope * self.xy - 2 * intercept * self.y + self.yy

    @property
    def hessian(self) -> np.ndarray:
        """The Hessian, (2, 2), which is constant."""
        return 2 * np.array([[self.xx, self.x], [self.x, 1.0]])

    @property
    def minimum(self) -> np.ndarray:
        """The slope and the intercept of least squares, (2,)."""
        return np.linalg.solve(self.hessian, 2 * np.array([self.xy, self.y]))

    @property
    def largest_curvature(self) -> float:
        """The largest eigenvalue of the Hessian: gradient descent diverges at twice its inverse."""
        return float(np.linalg.eigvalsh(self.hessian)[-1])

    @property
    def condition(self) -> float:
        """The largest curvature divided by the smallest, about the number of steps that gradient descent needs."""
        low, high = np.linalg.eigvalsh(self.hessian)
        return float(high / low)
