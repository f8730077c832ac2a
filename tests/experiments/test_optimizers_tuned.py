"""The optimizers at cross-validated learning rates: what is trained on which examples."""

import pytest
from test_optimizers_parameters import OPTIMIZERS

from common.data import load
from common.estimators import Backpropagation
from common.experiments.optimizers_from_scratch.tuned import tuned
from common.experiments.parameters import validate
from common.experiments.run import Run
from common.optimizers import Adam, CosineDecay, GradientDescent
from common.settings import text
from common.tasks.networks import Network

SHARED = {"network": Network("mlp", [4]), "experiment": "03_optimizers_from_scratch"}


@pytest.fixture(scope="module")
def plan():
    scaled = load("diabetes", standardize=True).named("diabetes, standardised")
    raw = Run("minibatches", Backpropagation(), GradientDescent(0.001), epochs=30, batch_size=32, group="minibatches")
    small = raw.but("minibatches, standardised", data=scaled)
    network = small.but("Adam, hidden layers [16]", optimizer=Adam(CosineDecay(0.01)), network=Network("mlp", [16]))
    held = raw.but("minibatches, nothing held out", data=load("diabetes", 0).named("diabetes, raw, nothing held out"))
    return [raw, held, small, network.but(network.name, epochs=3)]


def test_methods_on_standardised_features_are_trained_on_all_examples(plan):
    p = validate("03_optimizers_from_scratch", OPTIMIZERS | {"trial_factors": [3]})
    runs, trials = tuned(plan, load("diabetes", 0), p, **SHARED)
    assert [run.name for run in runs] == ["tuned: minibatches", "tuned: Adam, hidden layers [16]"]
    assert [text(run.optimizer) for run in runs] == ["GradientDescent(0.003)", "Adam(CosineDecay(0.03))"]
    assert [run.epochs for run in runs] == [10, 3]  # the shared network's methods alike, whatever each had before
    assert {len(run.data.train) for run in runs} == {354}
    assert {run.group for run in runs} == {"tuned"}
    assert trials.empty


def test_trials_hold_out_one_fold_each(plan):
    p = validate("03_optimizers_from_scratch", OPTIMIZERS | {"trial_factors": [1, 2], "epochs": 1})
    runs, trials = tuned(plan[2:3], load("diabetes", 0), p, **SHARED)
    assert len(runs) == 1
    assert trials.groupby("run")["train_examples"].first().eq(236).all()
    assert trials["run"].nunique() == 2 * 3
    assert set(trials["seed"]) == {100}


def test_without_factors_there_are_no_runs(plan):
    p = validate("03_optimizers_from_scratch", OPTIMIZERS | {"trial_factors": []})
    runs, trials = tuned(plan, load("diabetes", 0), p, **SHARED)
    assert runs == []
    assert trials.empty
