"""Checks of the known results of notebook 04_evolution_strategies with the parameters of the presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common import results
from common.experiments.evolution_strategies.run_selection import LIKELIHOOD, REFERENCE
from common.experiments.expected import expect

if TYPE_CHECKING:
    from common.experiments.evolution_strategies.parameters import EvolutionStrategies

# Test accuracy of the likelihood's full run, by what decides it most.
BANDS = {
    ("digits", 157, "mlp", 32, 6, 0.002, 1.0, 200): (0.8, 1.0),
    ("mnist", None, "lenet5", 128, 15, 0.001, 1.0, 200): (0.985, 1.0),
}


def check(p: EvolutionStrategies, frame: pd.DataFrame) -> str:
    """Assert the likelihood's band, and that it learned more than the source's objective; print the results."""
    settings = (p.dataset, p.validation, p.network, p.batch_size, p.epochs, p.learning_rate, p.sigma, p.samples)
    band = BANDS.get(settings) if p.precision == "float32" else None
    if band is None:
        return "no band is known for these parameters"
    mean = results.summarize(frame, ["run"]).set_index("run")["mean"]
    likelihood, smoothed = mean[LIKELIHOOD], mean[REFERENCE]
    expect(band[0] <= likelihood <= band[1], f"test accuracy {likelihood:.4f} of the likelihood is outside {band}")
    expect(smoothed < likelihood, f"smoothed accuracy at {smoothed:.4f}, likelihood at {likelihood:.4f}")
    return f"the likelihood within {band}, and above the source's setting: as expected"
