"""Looks at the curvature along a run."""

import keras
import pytest
from moments import moment, random_split

from common.diagnostics import SpectrumProbe, eigenvector_overlaps
from common.estimators.backpropagation import Backpropagation
from common.optimizers.schedules import ExponentialDecay
from common.tasks import networks as models
from common.tasks import task as tasks


@pytest.fixture
def split():
    return random_split(24)


def _task():
    return tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))


def test_the_spectrum_is_a_distribution(split):
    spectrum = SpectrumProbe(examples=16, steps=6)(moment(_task(), split, 4))
    nodes, weights = spectrum["spectrum_nodes"], spectrum["spectrum_weights"]
    assert list(nodes) == sorted(nodes)
    assert sum(weights) == pytest.approx(1)
    assert nodes.shape == weights.shape == (6,)


def test_it_looks_at_the_epochs_that_it_is_asked_for(split):
    probe, task = SpectrumProbe(examples=4, steps=2, at=[0, 3]), _task()
    assert probe.at_start
    assert [bool(probe(moment(task, split, epoch))) for epoch in (0, 1, 3)] == [True, False, True]


@pytest.mark.parametrize(("sizes", "word"), [((0, 3), "examples"), ((3, 0), "steps")])
def test_without_examples_or_steps_there_is_no_spectrum(sizes, word):
    with pytest.raises(ValueError, match=rf"^{word} must be ≥ 1, got 0$"):
        SpectrumProbe(*sizes)


def _overlaps(split, rate, before=0):
    options = {"batch_size": 8, "before": before, "at_steps": [1, 4], "examples": 24, "rank": 2, "seed": 0}
    return eigenvector_overlaps(_task(), Backpropagation(), keras.optimizers.SGD(rate), split, **options)


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


def test_a_relative_schedule_is_bound_to_the_steps(split):
    assert _overlaps(split, ExponentialDecay(1.0, 1.0)) == _overlaps(split, 1.0)
