"""Looks at the curvature along a run."""

import keras
import numpy as np
import pytest

from common.data import Split
from common.diagnostics.spectrum import SpectrumProbe, eigenvector_overlaps
from common.estimators.backpropagation import Backpropagation
from common.tasks import networks as models
from common.tasks import task as tasks


@pytest.fixture
def split():
    rng = np.random.default_rng(0)
    return Split(rng.normal(size=(24, 6)).astype(np.float32), rng.integers(0, 3, 24).astype(np.int32))


def _task():
    return tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))


def test_the_spectrum_is_a_distribution_in_columns(split):
    found = SpectrumProbe(examples=16, steps=6)(_task(), split, seed=0, epoch=4)
    nodes, weights = ([found[f"lanczos_{name} {i}"] for i in range(6)] for name in ("node", "weight"))
    assert nodes == sorted(nodes)
    assert sum(weights) == pytest.approx(1)
    assert len(found) == 12


def test_it_looks_at_the_epochs_that_it_is_asked_for(split):
    probe = SpectrumProbe(examples=4, steps=2, at={0, 3})
    assert [bool(probe(_task(), split, 0, epoch)) for epoch in (0, 1, 3)] == [True, False, True]


def test_without_examples_there_is_no_spectrum():
    with pytest.raises(ValueError, match=r"^examples must be ≥ 1, got 0$"):
        SpectrumProbe(0, 3)


def _overlaps(split, rate, before=0):
    how = {"batch_size": 8, "before": before, "at_steps": [1, 4], "examples": 24, "rank": 2, "seed": 0}
    return eigenvector_overlaps(_task(), Backpropagation(), keras.optimizers.SGD(rate), split, **how)


def test_eigenvectors_stay_where_the_weights_stay_and_turn_where_they_move(split):
    still, moved = _overlaps(split, 0.0), _overlaps(split, 1.0)
    assert list(still) == [0, 1, 4]
    assert min(still.values()) > 0.999
    assert moved[0] == still[0]
    assert moved[4] < 0.99


def test_the_comparison_begins_after_the_steps_before_it(split):
    later, moved = _overlaps(split, 1.0, before=3), _overlaps(split, 1.0)
    assert list(later) == [0, 1, 4]
    assert later[0] > 0.999
    assert abs(later[1] - moved[1]) > 1e-6
