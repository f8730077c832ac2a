"""Settings chosen on validation data, with equally many trials for every method."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from common.data import Dataset, Split, folds
from common.estimators import Backpropagation
from common.experiments.run import Run
from common.experiments.tuning import best_of, choose
from common.optimizers import SGD, ExponentialDecay, Lazy
from common.settings import text
from common.tasks.networks import Network


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.random((examples, 6, 6, 1), dtype=np.float32), rng.integers(0, 3, examples).astype(np.int32)
    x[np.arange(examples), y * 2] += 2.0  # a brighter row tells the class
    return Split(x, y)


DATA = Dataset("rows", "classification", _split(96, 0), _split(48, 1), _split(48, 2), 3, "abc", "made here")
SHARED = {"network": Network("mlp", [8], dropout=False), "seeds": [7], "experiment": "mine"}
PLAIN = Run("plain", Backpropagation(), SGD(0.1), epochs=3, batch_size=16)


def test_the_rate_that_is_best_on_validation_data_is_taken():
    schedule = PLAIN.but("schedule", optimizer=SGD(ExponentialDecay(0.1, 0.9)))
    lazy = PLAIN.but("lazy", optimizer=Lazy(SGD(0.1)))
    chosen, trials = choose([PLAIN, schedule, lazy], DATA, factors=[1e-4, 1.0, 1e30], **SHARED)
    assert [text(run.optimizer) for run in chosen] == [text(run.optimizer) for run in (PLAIN, schedule, lazy)]
    assert set(trials["trial_of"]) == {"plain", "schedule", "lazy"}
    assert set(trials["group"]) == {"trial"}
    assert trials["run"].nunique() == 9
    assert "diverged" in set(trials["status"])  # which loses, whatever it had reached


def test_a_single_factor_is_taken_without_a_trial():
    chosen, trials = choose([PLAIN], DATA, factors=[2.0], **SHARED)
    assert text(chosen[0].optimizer) == "SGD(0.2)"
    assert trials.empty


def test_a_rate_is_chosen_by_the_mean_over_the_folds():
    parts = folds(DATA, 3)
    chosen, trials = choose([PLAIN, PLAIN.but("other")], DATA, folds=parts, factors=[1e-4, 1.0, 1e30], **SHARED)
    assert [text(run.optimizer) for run in chosen] == ["SGD(0.1)", "SGD(0.1)"]
    assert [run.data for run in chosen] == [None, None]
    assert trials["run"].nunique() == 2 * 3 * 3
    last = trials[(trials["epoch"] == 3) & (trials["trial_of"] == "plain")]
    means = last.groupby("learning_rate")["validation_metric"].mean()
    assert means[0.1] > means[1e-5]
    assert last["dataset"].nunique() == 3
    assert set(trials["group"]) == {"trial"}


def test_a_rate_that_diverges_on_one_fold_loses():
    parts = folds(DATA, 2)
    parts[1] = replace(parts[1], train=Split(parts[1].train.x * np.float32(1e30), parts[1].train.y))
    chosen, trials = choose([PLAIN], DATA, folds=parts, factors=[1e-35, 1.0], **SHARED)
    assert text(chosen[0].optimizer) == "SGD(1e-36)"
    assert "diverged" in set(trials["status"])


def test_a_schedule_without_a_first_rate_is_refused():
    run = PLAIN.but("restarts", optimizer=SGD(keras.optimizers.schedules.CosineDecayRestarts(0.1, 10)))
    with pytest.raises(ValueError, match=r"the learning rate of .restarts. must be a number or a schedule of common"):
        choose([run], DATA, factors=[1.0, 2.0], **SHARED)


def test_every_method_has_as_many_trials_as_all_others():
    with pytest.raises(ValueError, match=r"the numbers of trials must be the same for every method, got \[1, 2\]"):
        best_of({"a": [PLAIN], "b": [PLAIN.but("b 1"), PLAIN.but("b 2")]}, DATA, **SHARED)
