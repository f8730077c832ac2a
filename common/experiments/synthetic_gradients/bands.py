"""Checks of the known results of notebook 06_synthetic_gradients with its default parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common.experiments.expected import expect
from common.results.summary import summarize

if TYPE_CHECKING:
    from common.experiments.synthetic_gradients.parameters import SyntheticGradients

BANDS: dict[tuple, tuple[float, float]] = {("digits", 157, 3, 128, 32, 10, 0.002, 0.003, "float32"): (0.85, 1.0)}


def check(p: SyntheticGradients, frame: pd.DataFrame) -> str:
    """Assert that cDNI's test accuracy is in its known band, and above that of the last layer alone."""
    settings = (p.dataset, p.validation, p.layers[0], p.units, p.batch_size, p.epochs, p.adam_learning_rate)
    band = BANDS.get((*settings, p.predictor_learning_rate, p.precision))
    if band is None:
        return "no band is known for these parameters"
    accuracy = summarize(frame, ["run"]).set_index("run")["mean"]
    conditioned, alone = (accuracy[f"{p.layers[0]} layers, {method}"] for method in ("cDNI", "no backprop"))
    expect(band[0] <= conditioned <= band[1], f"test accuracy {conditioned:.4f} of cDNI is outside {band}")
    expect(alone < conditioned, f"the last layer alone reaches {alone:.4f}, cDNI {conditioned:.4f}")
    return f"cDNI's test accuracy within {band}, and above that of the last layer alone: as expected"
