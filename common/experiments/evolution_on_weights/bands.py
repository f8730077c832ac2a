"""Checks of the known results of notebook 07_evolution_on_weights with the parameters of the presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common import results
from common.experiments.expected import expect

if TYPE_CHECKING:
    from common.experiments.evolution_on_weights.parameters import EvolutionOnWeights

LONGER, AT_ONCE = "a layer at a time, longer", "at once, alike"
# Test accuracy of the longer run, by the data, what is perturbed, and its epochs.
BANDS: dict[tuple, tuple[float, float]] = {
    ("digits", 157, "tiny_convnet", 256, 0.25, (1, 4, 16), 0.02, 0.02, 0.0003, 24): (0.8, 1.0),
    ("mnist", None, "tiny_convnet", 8192, 0.25, (1, 4, 16), 0.02, 0.02, 0.0003, 100): (0.98, 1.0),
}


def check(p: EvolutionOnWeights, frame: pd.DataFrame) -> str:
    """Assert the longer run's band, and that all layers at once learned less; print the results."""
    settings = (p.dataset, p.validation, p.network, p.batch_size, p.keep, tuple(p.pairs), p.sigma, p.learning_rate)
    band = BANDS.get((*settings, p.weight_decay, p.epochs))
    if band is None:
        return "no band is known for these parameters"
    mean = results.summarize(frame, ["run"]).set_index("run")["mean"]
    expect(band[0] <= mean[LONGER] <= band[1], f"test accuracy {mean[LONGER]:.4f} is outside {band}")
    expect(mean[AT_ONCE] < mean[LONGER], f"at once {mean[AT_ONCE]:.4f}, a layer at a time {mean[LONGER]:.4f}")
    return f"a layer at a time within {band}, and above all layers at once: as expected"
