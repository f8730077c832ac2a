"""Checks of the known results of notebook 02_noisy_gradients with the parameters of the two presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common import results
from common.experiments.expected import expect
from common.plotting.curves import select

if TYPE_CHECKING:
    from common.experiments.noisy_gradients.parameters import NoisyGradients

# (dataset, network, batch size, epochs, learning rate, σ) to the lowest and highest test accuracy under that noise. A
# job of the paper has one seed, and seeds differ by six points: the band must leave out no unlucky one.
BANDS = {
    ("digits", "mlp", 64, 10, 0.02, 1.0): (0.5, 0.9),
    ("mnist", "mnist_convnet", 500, 15, 0.01, 1.0): (0.7, 0.9),
}


def check(p: NoisyGradients, frame: pd.DataFrame) -> str:
    """Assert the band of the reference noise, and that the recovery is above it; print the results."""
    settings = (p.dataset, p.network, p.batch_size, p.epochs, p.learning_rate, p.sigma)
    usual = p.precision == "float32" and p.validation is None
    band = BANDS.get(settings) if usual else None
    if band is None:
        return "no band is known for these parameters"
    full = results.summarize(select(frame, group="full"), ["order"])["mean"]
    noisy, recovered = full
    expect(band[0] <= noisy <= band[1], f"{noisy:.4f} is outside {band}")
    expect(noisy < recovered, f"recovery at {recovered:.4f}, noise alone at {noisy:.4f}")
    return f"the reference noise within {band}, and the recovery above it: as expected"
