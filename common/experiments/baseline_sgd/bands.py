"""Checks of the known results of notebook 01_baseline_sgd with the parameters of the two presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common import results
from common.experiments.expected import expect
from common.plotting.curves import select

if TYPE_CHECKING:
    from common.experiments.baseline_sgd.parameters import BaselineSGD

# (dataset, batch sizes, reference batch, epochs, learning rate) to the reference's lowest and highest test accuracy.
BANDS = {
    ("digits", (16, 128), 16, 4, 0.02): (0.7, 1.0),
    ("mnist", (64, 128, 500, 2048), 128, 15, 0.01): (0.965, 0.985),
}


def check(p: BaselineSGD, frame: pd.DataFrame) -> str:
    """Assert the reference's band and that the smallest batch learned more than the largest; print the results."""
    settings = (p.dataset, tuple(p.batch_sizes), p.reference_batch_size, p.epochs, p.learning_rate)
    usual = p.network == "mnist_convnet" and p.precision == "float32" and p.validation is None
    band = BANDS.get(settings) if usual else None
    if band is None:
        return "no band is known for these parameters"
    fixed = results.summarize(select(frame, group="fixed rate"), ["batch_size"]).set_index("batch_size")["mean"]
    reached = fixed[p.reference_batch_size]
    expect(band[0] <= reached <= band[1], f"{reached:.4f} is outside {band}")
    expect(fixed[min(p.batch_sizes)] > fixed[max(p.batch_sizes)], "more updates should have learned more")
    return f"reference setting within {band}, and the smallest batch ahead of the largest: as expected"
