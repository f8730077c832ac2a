"""Fixtures of the fake results of 01_baseline_sgd."""

import pytest
from fake_baseline_runs import EXPERIMENT, fake_seed, origin

from common import results


@pytest.fixture
def folder(tmp_path):
    """Results of a preset: two complete seeds."""
    for seed in (0, 1):
        path = tmp_path / "results" / EXPERIMENT / f"seed{seed}.parquet"
        results.write(fake_seed(seed), path, origin(seed), {"eager_step_seconds": 0.05})
    return tmp_path / "results"


@pytest.fixture
def frame(folder):
    """Those results as one frame."""
    return results.read(folder)
