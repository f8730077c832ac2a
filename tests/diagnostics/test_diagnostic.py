"""What all diagnostics have in common."""

import copy

import pytest
from moments import linear_task, moment, random_split

from common import diagnostics, settings
from common.diagnostics import Diagnostic, GradientAlignment, GradientNoiseScale, LogitAlignment, SpectrumProbe
from common.estimators.evolution.logit_evolution import LogitEvolution
from common.estimators.evolution.logit_gradient import Likelihood

NAMES = [name for name in diagnostics.__all__ if name not in ("Diagnostic", "eigenvector_overlaps")]
CALLS = {name: f"{name}()" for name in NAMES} | {
    "BoundaryAlignment": "BoundaryAlignment(8)",
    "BoundaryGradients": "BoundaryGradients(8)",
    "DirectionQuality": "DirectionQuality([LogitEvolution(Likelihood(), 1.0, samples=10)], 8, at=[0])",
    "EstimatorAlignment": "EstimatorAlignment([LogitEvolution(Likelihood(), 1.0, samples=10)], 8)",
    "GradientAlignment": "GradientAlignment(8, at=[0, 3])",
    "LastWeightGradients": "LastWeightGradients(8)",
    "LayerAlignment": "LayerAlignment(8, batches=1)",
    "LogitAlignment": "LogitAlignment([LogitEvolution(Likelihood(), 1.0, samples=10)], at=[0])",
    "SamplePredictions": "SamplePredictions(8)",
    "SpectrumProbe": "SpectrumProbe(8, 4, at='ends')",
    "WeightPath": "WeightPath(['slope', 'intercept'])",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_diagnostic_is_its_constructor_call(name):
    known = {each: getattr(diagnostics, each) for each in NAMES}
    known |= {"LogitEvolution": LogitEvolution, "Likelihood": Likelihood}
    assert repr(settings.parse(CALLS[name], known, "diagnostic")) == CALLS[name]


class _Counts(Diagnostic):
    def __init__(self, at=None):
        self.at = at

    def measure(self, moment):
        return {"traced": self._once([moment.task], object)}


def test_it_is_called_when_it_is_due():
    epochs = [0, 1, 2, 5]
    moments = [moment(linear_task(), random_split(features=1), epoch, epochs=5) for epoch in epochs]
    looks = {str(at): [now.epoch for now in moments if _Counts(at)(now)] for at in (None, "end", "ends", [0, 2])}
    assert looks == {"None": epochs, "end": [5], "ends": [0, 5], "[0, 2]": [0, 2]}
    assert [_Counts(at).at_start for at in (None, "end", "ends", [0, 2], [1])] == [False, False, True, True, False]


def test_a_trace_serves_one_task_and_no_copy():
    counts, first, second = _Counts(), *(moment(linear_task(), random_split(features=1)) for _ in range(2))
    traced = counts(first)
    assert counts(first) == traced != copy.deepcopy(counts)(first)
    assert counts(second) != traced


@pytest.mark.parametrize("at", ["start", [-1], [0.5], 3, True])
def test_epochs_that_are_none_are_named(at):
    with pytest.raises(ValueError, match=r'at must be None, "end", "ends" or a list of epochs ≥ 0, got'):
        SpectrumProbe(4, 2, at=at)


def test_an_unfinished_one_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="Diagnostic does not implement measure"):
        Diagnostic()(moment(linear_task(), random_split(features=1)))


def test_no_estimator_is_no_setting_of_those_that_look_at_the_one_that_trains():
    assert list(GradientAlignment(8).settings) == ["batch_size", "batches", "at"]
    assert list(GradientNoiseScale().settings) == ["small", "large", "large_batches"]
    assert next(iter(LogitAlignment([LogitEvolution(Likelihood(), 1.0)]).settings)) == "estimators"
