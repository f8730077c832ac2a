"""Checks of the known results of notebook 08_comparison with its default parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common import results
from common.experiments.comparison.sources import BASELINE, EQUAL
from common.experiments.expected import expect
from common.plotting.curves import select

if TYPE_CHECKING:
    from common.experiments.comparison.parameters import Comparison

BANDS: dict[tuple, tuple[float, float]] = {("digits", None, "mlp", (32, 32), 32, 8, 2, "float32"): (0.88, 0.98)}


def check(p: Comparison, frame: pd.DataFrame) -> str:
    """Assert that backpropagation's test accuracy is in the band known for these parameters, and print it."""
    settings = (p.dataset, p.validation, p.network, tuple(p.hidden), p.batch_size, p.passes, p.trials, p.precision)
    band = BANDS.get(settings)
    if band is None:
        return "no band is known for these parameters"
    runs = select(frame, run=BASELINE, group=EQUAL)
    mean = float(results.summarize(runs, ["run"])["mean"].iloc[0])
    expect(band[0] <= mean <= band[1], f"test accuracy {mean:.4f} is outside {band}")
    return f"test accuracy of backpropagation within {band}: as expected"
