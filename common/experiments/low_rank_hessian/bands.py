"""Checks of the known results of notebook 05_low_rank_hessian with the parameters of the presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from common import results
from common.experiments.expected import expect
from common.experiments.low_rank_hessian.run_selection import MU, SADDLE, networks
from common.plotting.curves import select
from common.tasks.saddle import Saddle

if TYPE_CHECKING:
    from common.experiments.low_rank_hessian.parameters import LowRankHessian

# Test accuracy of saddle-free Newton after its last epoch, by what decides it most.
BANDS = {
    ("digits", 157, "mlp", 64, 8, 0.008, 8, 20): (0.85, 0.98),
    ("mnist", None, "leaky_convnet", 128, 4, 0.004, 10, 50): (0.99, 0.995),
}


def check(p: LowRankHessian, frame: pd.DataFrame) -> str:
    """Assert the known results of saddle-free Newton and of the artificial saddle, and print them."""
    return f"{_saddle(p, frame)}\n{_accuracy(p, frame)}".strip()


def _accuracy(p: LowRankHessian, frame: pd.DataFrame) -> str:
    settings = (p.dataset, p.validation, p.network, p.batch_size, p.epochs, p.learning_rate, p.rank, p.refresh_every)
    band = BANDS.get(settings) if p.precision == "float32" else None
    if band is None:
        return "no band is known for these parameters"
    mean = _last(networks(frame), "test_metric")["saddle-free Newton"]
    expect(band[0] <= mean <= band[1], f"test accuracy {mean:.4f} of saddle-free Newton is outside {band}")
    return f"saddle-free Newton's test accuracy is within {band}: as expected"


def _saddle(p: LowRankHessian, frame: pd.DataFrame) -> str:
    if not 100 <= p.saddle_steps <= 400:
        return ""
    height, loss = Saddle(MU).height, _last(select(frame, group="saddle"), "test_loss")
    lingering, leaving = loss[f"{SADDLE}gradient descent"], loss[f"{SADDLE}saddle-free Newton"]
    expect(leaving < 0.1 * height < 0.5 * lingering, f"losses {lingering:.2g}, {leaving:.2g}; saddle {height:.2g}")
    return "gradient descent lingers at the saddle, saddle-free Newton left it: as expected"


def _last(frame: pd.DataFrame, value: str) -> pd.Series:
    return results.summarize(frame, ["run"], value).set_index("run")["mean"]
