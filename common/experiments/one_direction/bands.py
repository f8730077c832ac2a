"""Checks of the known results of notebook 00_one_direction with its default parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common import results
from common.experiments.expected import expect

if TYPE_CHECKING:
    from common.experiments.one_direction.parameters import OneDirection

NOISY = "NoisyGradient(Backpropagation(), ConstantNoise(0.1))"
BANDS: dict[tuple, tuple[float, float]] = {
    ("digits", None, "mlp", (32,), NOISY, "SGD(0.05)", 32, 8, "float32"): (0.85, 0.97)
}


def check(p: OneDirection, frame: pd.DataFrame) -> str:
    """Assert that the direction's test accuracy is in the band known for these parameters, and print it."""
    settings = (p.dataset, p.validation, p.network, tuple(p.hidden), p.estimator, p.optimizer, p.batch_size, p.epochs)
    band = BANDS.get((*settings, p.precision))
    if band is None:
        return "no band is known for these parameters"
    mean = results.summarize(frame, ["run"]).set_index("run")["mean"]["this direction"]
    expect(band[0] <= mean <= band[1], f"test accuracy {mean:.4f} is outside {band}")
    return f"test accuracy within {band}: as expected"
