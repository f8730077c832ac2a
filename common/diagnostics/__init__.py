"""Diagnostics: measurements after recorded epochs, in addition to loss and metric. Read `diagnostic.py` first."""

from common.diagnostics.boundary_alignment import BoundaryAlignment
from common.diagnostics.boundary_gradients import BoundaryGradients
from common.diagnostics.confusion import Confusion
from common.diagnostics.dead_units import DeadUnits
from common.diagnostics.diagnostic import Diagnostic
from common.diagnostics.direction_quality import DirectionQuality
from common.diagnostics.eigenvector_overlaps import eigenvector_overlaps
from common.diagnostics.evaluation_curve import TestCurve
from common.diagnostics.gradient_alignment import EstimatorAlignment, GradientAlignment
from common.diagnostics.gradient_noise_scale import GradientNoiseScale
from common.diagnostics.last_weight_gradients import LastWeightGradients
from common.diagnostics.layer_alignment import LayerAlignment
from common.diagnostics.logit_alignment import LogitAlignment
from common.diagnostics.sample_predictions import SamplePredictions
from common.diagnostics.spectrum import SpectrumProbe
from common.diagnostics.step_sizes import StepSizes
from common.diagnostics.weight_path import WeightPath

__all__ = [
    "BoundaryAlignment",
    "BoundaryGradients",
    "Confusion",
    "DeadUnits",
    "Diagnostic",
    "DirectionQuality",
    "EstimatorAlignment",
    "GradientAlignment",
    "GradientNoiseScale",
    "LastWeightGradients",
    "LayerAlignment",
    "LogitAlignment",
    "SamplePredictions",
    "SpectrumProbe",
    "StepSizes",
    "TestCurve",
    "WeightPath",
    "eigenvector_overlaps",
]


def __dir__() -> list[str]:
    return __all__
