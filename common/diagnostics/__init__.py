"""Diagnostics: what the loop measures after a recorded epoch, beside loss and metric."""

from common.diagnostics.alignment import BoundaryAlignment, GradientAlignment, GradientNoiseScale, LogitAlignment
from common.diagnostics.confusion import Confusion
from common.diagnostics.spectrum import SpectrumProbe, eigenvector_overlaps
from common.diagnostics.trajectory import DeadUnits, StepSizes, TestCurve, slope_and_intercept

__all__ = [
    "BoundaryAlignment",
    "Confusion",
    "DeadUnits",
    "GradientAlignment",
    "GradientNoiseScale",
    "LogitAlignment",
    "SpectrumProbe",
    "StepSizes",
    "TestCurve",
    "eigenvector_overlaps",
    "slope_and_intercept",
]
