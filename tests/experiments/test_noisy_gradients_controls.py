"""The remedies of 02_noisy_gradients with tuned rates, and their controls: what they are made of, without training."""

import numpy as np
import pytest
from keras.optimizers import SGD
from test_noisy_gradients_parameters import NOISY

from common.data import Dataset, Split
from common.estimators import Backpropagation, ConstantNoise, NoisyGradient, PublicStart, PublicSubspace, RandomSubspace
from common.experiments.noisy_gradients.controls import server_only, tuned
from common.experiments.parameters import validate
from common.experiments.run import Run
from common.optimizers import LinearDecay

SMALL = {"public_examples": 10, "recovery_dimensions": 5, "public_dimensions": [5], "trial_factors": [1]}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    parts = [
        Split(rng.random((count, 4), dtype=np.float32), rng.integers(0, 3, count).astype(np.int32))
        for count in (70, 8, 9)
    ]
    return Dataset("noise", "classification", *parts, 3, "", "here")


@pytest.fixture(scope="module")
def plan():
    noise = NoisyGradient(Backpropagation(), ConstantNoise(1.0))
    public = PublicSubspace(noise, examples=10, dimensions=5, amplification=10.0)
    base = Run("nothing done", noise, SGD(0.01), epochs=1, batch_size=32, group="sweep")
    fallen = SGD(LinearDecay(0.01))
    return [
        base.but("full: σ = 1", group="full"),
        base,
        base.but("σ = 0", estimator=NoisyGradient(Backpropagation(), ConstantNoise(0.0))),
        base.but("rate 0.003", optimizer=SGD(0.003)),
        base.but("rate 0.01 → 0", optimizer=fallen),
        base.but("momentum 0.9", optimizer=SGD(0.001, 0.9)),
        base.but("public gradients d = 5, rate → 0", estimator=public, optimizer=SGD(LinearDecay(0.005))),
    ]


def _tuned(plan, images, **changes):
    p = validate("02_noisy_gradients", NOISY | SMALL | changes)
    runs, frame = tuned(plan, images, p, network=None, experiment="02_noisy_gradients")
    assert frame.empty
    return {run.name.removeprefix("tuned: "): run for run in runs}


def test_the_sweep_s_remedies_and_their_controls_are_tuned(plan, images):
    runs = _tuned(plan, images)
    assert list(runs) == [
        "nothing done",
        "rate 0.01 → 0",
        "momentum 0.9",
        "public gradients d = 5, rate → 0",
        "random directions d = 5, rate → 0",
        "public gradients d = 5, gain 80, rate → 0",
        "server alone, rate → 0",
        "public gradients d = 5, set 1, rate → 0",
        "server alone, set 1, rate → 0",
        "server alone, twice the steps",
        "server first, then noise",
        "server first, then public gradients",
    ]
    assert {run.group for run in runs.values()} == {"tuned"}


def test_random_directions_differ_from_public_gradients_in_the_basis_alone(plan, images):
    runs = _tuned(plan, images)
    public, control = (runs[f"{name} d = 5, rate → 0"] for name in ("public gradients", "random directions"))
    assert isinstance(control.estimator, RandomSubspace)
    assert control.estimator.settings == {
        name: value for name, value in public.estimator.settings.items() if name != "examples"
    }
    assert control.optimizer.get_config() == public.optimizer.get_config()


def test_a_start_has_the_server_s_epochs_first_and_twice_as_many_in_all(plan, images):
    runs = _tuned(plan, images)
    start = runs["server first, then public gradients"]
    assert isinstance(start.estimator, PublicStart)
    assert start.estimator.steps == 3  # one epoch of 70 examples, 32 at a time
    assert (start.epochs, runs["server alone, twice the steps"].epochs, runs["nothing done"].epochs) == (2, 2, 1)
    assert repr(start.estimator.inner) == repr(runs["public gradients d = 5, rate → 0"].estimator)


def test_other_sets_put_other_examples_first(plan, images):
    runs = _tuned(plan, images, public_sets=2)
    first = [runs[f"public gradients d = 5, set {number}, rate → 0"].data.train.x[:10] for number in (1, 2)]
    assert not np.array_equal(*first)
    whole = runs["public gradients d = 5, set 1, rate → 0"].data.train
    assert np.array_equal(np.sort(whole.x, axis=0), np.sort(images.train.x, axis=0))
    alone = runs["server alone, set 1, rate → 0"].data.train
    np.testing.assert_array_equal(alone.x[:10], first[0])
    np.testing.assert_array_equal(alone.x[10:20], first[0])


def test_the_server_s_data_have_as_many_steps_an_epoch(images):
    alone = server_only(images, 10)
    assert len(alone.train) == len(images.train)
    assert len(np.unique(alone.train.x, axis=0)) == 10
    np.testing.assert_array_equal(alone.train.y[:10], images.train.y[:10])


def test_without_factors_there_are_none(plan, images):
    assert _tuned(plan, images, trial_factors=[]) == {}
