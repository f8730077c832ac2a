"""Checks of the known results of notebook 03_optimizers_from_scratch with the parameters of the two presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common.experiments.expected import expect
from common.experiments.optimizers_from_scratch import run_selection
from common.plotting.curves import select

if TYPE_CHECKING:
    from common.experiments.optimizers_from_scratch.parameters import OptimizersFromScratch

# (dataset, hidden, largest rate of gradient descent, rate of the methods, epochs, validation)
KNOWN = {
    ("diabetes", (4,), 0.001, 0.001, 100, None),
    ("boston_housing", (4,), 0.001, 0.001, 1000, None),
}


def check(p: OptimizersFromScratch, frame: pd.DataFrame) -> str:
    """Assert that the largest rate kills all units, that clipping helps, and that standardising helps more.

    The last two are statements on the median seed: clipping does not help in every one, and a job may have only one.
    """
    settings = (p.dataset, tuple(p.hidden), max(p.learning_rates), p.learning_rate, p.epochs, p.validation)
    if settings not in KNOWN:
        return "no band is known for these parameters"
    constant = run_selection.measured(frame, "constant_test_loss")
    values = run_selection.run_values(frame)
    raw = select(values, features="raw")
    longest = select(raw, method="gradient descent", learning_rate=max(p.learning_rates))
    expect((longest["dead_units"] == sum(p.hidden)).all(), "units survived the largest rate")
    expect((abs(longest["last"] / constant - 1) < 0.02).all(), "what is left is not the training mean")
    if len(p.seeds) == 1:
        return "dead at the largest rate: as expected; of one seed nothing else is"
    method, layers = run_selection.chosen_network(frame)
    network = select(values, features="standardised", cosine=True, method=method, hidden=layers)
    clipped, easy = select(raw, method="clipping")["chosen"].median(), network["last"].median()
    expect(clipped < 0.95 * constant, f"clipping rescued nothing: {clipped:.1f}")
    expect(easy < clipped, f"standardised {easy:.1f} is not below clipped {clipped:.1f}")
    return "dead at the largest rate, rescued by clipping, easier when standardised: as expected"
