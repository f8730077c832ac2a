"""The sources of 08_comparison: what may be asked for, how settings are sampled, what a budget pays for."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from common import optimizers, results
from common.data import Dataset, Split
from common.estimators import parse
from common.experiments.budgets import affordable_steps
from common.experiments.comparison.measurements import with_measured_steps
from common.experiments.comparison.plan import Conditions, with_angles, with_directions, zeroth_order
from common.experiments.comparison.sources import EQUAL, FAMILIES, NEEDS, SOURCES, ZEROTH, Source, settings, source
from common.experiments.parameters import ParameterError, validate
from common.experiments.run import train_all
from common.tasks.networks import Network
from common.training.best_weights import BestWeights

COMPARISON = {
    "dataset": "digits",
    "validation": None,
    "network": "mlp",
    "hidden": [8],
    "sources": ["backpropagation", "signs"],
    "batch_size": 32,
    "passes": 2,
    "long_passes": 4,
    "long_seeds": [],
    "seeds": [0, 1],
    "trials": 2,
    "trial_seeds": [100],
    "alignment_seeds": [],
    "alignment_batches": 1,
    "alignment_repeats": 2,
    "alignment_warm_up": 0,
    "timed_examples": 64,
    "timed_rounds": 0,
    "zeroth_hidden": [],
    "zeroth_directions": [1],
}


def test_all_stands_for_the_whole_table_and_one_name_for_a_list():
    assert validate("08_comparison", COMPARISON | {"sources": "all"}).sources == list(SOURCES)
    convnet = validate("08_comparison", COMPARISON | {"sources": "all", "network": "tiny_convnet", "hidden": []})
    assert convnet.sources == [name for name, row in SOURCES.items() if not row.normalised]
    assert validate("08_comparison", COMPARISON | {"sources": "backpropagation"}).sources == ["backpropagation"]
    call = "NoisyGradient(Backpropagation(), ConstantNoise(0.5))"
    assert validate("08_comparison", COMPARISON | {"sources": ["backpropagation", call]}).sources[1] == call


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": ["backpropagation", "sings"]}, "names no source: 'sings'; did you mean 'signs'"),
        ({"sources": ["backpropagation", "NoisyGradiant(Backpropagation())"]}, "did you mean 'NoisyGradient'"),
        ({"sources": ["signs"]}, "a list with 'backpropagation', which all others are compared with"),
        ({"sources": ["backpropagation", "backpropagation"]}, "each value once"),
        ({"trial_seeds": [1]}, "'trial_seeds' must be other seeds than the runs' own, .0, 1., got .1."),
        ({"batch_size": 2_000}, "'batch_size' must be at most the 1,257 training examples"),
        ({"network": "lenet5", "hidden": [], "sources": ["backpropagation", "cDNI, batch norm"]}, "without batch norm"),
        ({"zeroth_directions": [3]}, "'zeroth_directions' must be divisors of batch_size, 32"),
        ({"zeroth_directions": [2, 2]}, "each value once"),
        ({"alignment_repeats": 1}, "'alignment_repeats' must be greater than or equal to 2, got 1"),
        ({"trials": 0}, "'trials' must be greater than or equal to 1, got 0"),
    ],
)
def test_wrong_parameters_are_named(changes, words):
    with pytest.raises(ParameterError, match=words):
        validate("08_comparison", COMPARISON | changes)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_can_be_made(name):
    row = SOURCES[name]
    values = {field: low for field, (low, _) in row.ranges.items()} | ({"noise_multiplier": 1.0} if row.epsilon else {})
    assert repr(parse(row.estimator.format(**values)))
    assert isinstance(optimizers.parse(row.optimizer.format(**values)), keras.optimizers.Optimizer)
    assert row.family in FAMILIES
    assert row.needs <= set(NEEDS)
    assert "=" not in name  # papermill leaves out what it cannot parse


def test_a_field_without_a_range_is_refused():
    with pytest.raises(ValueError, match=r"odd: the fields are \['rate', 'sigma'\], but ranges are of \['rate'\]"):
        Source("odd", "noise", "NoisyGradient(Backpropagation(), ConstantNoise({sigma}))")


def test_settings_are_within_their_ranges_and_stay_when_there_are_more():
    row = SOURCES["noise, public subspace"]
    few, many = settings(row, 4), settings(row, 16)
    assert many[:4] == few
    for name, (low, high) in row.ranges.items():
        values = np.log([setting[name] for setting in many])
        assert np.log(low) <= values.min() < values.max() <= np.log(high)
        middle = np.log(low * high) / 2
        assert 6 <= (values < middle).sum() <= 10  # evenly in the logarithm


@pytest.fixture(scope="module")
def conditions():
    rng = np.random.default_rng(0)
    x, y = rng.random((1_000, 4, 4, 1), dtype=np.float32), rng.integers(0, 3, 1_000).astype(np.int32)
    data = Dataset("random", "classification", Split(x, y), Split(x[:50], y[:50]), Split(x[:50], y[:50]), 3, "abc", "")
    return Conditions(data, Network("mlp", [8], dropout=False), 50)


@pytest.mark.parametrize(
    ("expression", "steps_per_epoch", "epochs"),
    [
        ("Backpropagation()", 20, 4),
        ("SaddleFreeNewton(Backpropagation(), 2, hessian_batch=10, refresh_every=5)", None, 4),
        ("LastModuleOnly()", None, None),
    ],
)
def test_a_run_spends_its_budget_and_no_more(conditions, expression, steps_per_epoch, epochs):
    run = conditions.run(source(expression), {"rate": 0.001}, "mine", group="g", passes=4)
    steps = run.epochs * run.options["steps_per_epoch"]
    assert steps <= affordable_steps(run, 4_000) < steps + run.epochs
    assert run.options["steps_per_epoch"] == (steps_per_epoch or run.options["steps_per_epoch"])
    assert run.epochs == epochs if epochs else run.epochs > 4


def test_a_budget_that_pays_for_too_few_steps_is_refused(conditions):
    dear = source("ParameterEvolution(4096, 0.1, own_data=False)")
    with pytest.raises(ValueError, match=r"'mine': 4,000 gradients pay for 0 steps, which must be 4 at least"):
        conditions.run(dear, {"rate": 0.001}, "mine", group="g", passes=4)


def test_a_long_run_keeps_its_best_weights_and_batch_norm_is_trained(conditions):
    run = conditions.run(SOURCES["cDNI, batch norm"], {"rate": 0.001, "head_rate": 0.001}, "m", group="g", passes=4,
                         keep_best=True)  # fmt: skip
    assert run.callbacks == [BestWeights]
    assert repr(run.network) == "Network('normalised_mlp', hidden=[8])"  # dropout=True: it normalises by the batch
    assert conditions.run(SOURCES["SGD"], {"rate": 0.1}, "m", group="g", passes=4).callbacks == ()
    images = replace(conditions, network=Network("lenet5"))
    with pytest.raises(ValueError, match="the network of a source with batch norm must be mlp, got 'lenet5'"):
        images.run(SOURCES["backpropagation, batch norm"], {"rate": 0.1}, "m", group="g", passes=4)


def test_estimators_are_looked_at_once_and_without_batch_norm(conditions):
    rows = [SOURCES[name] for name in ("backpropagation", "backpropagation, batch norm", "SGD", "signs")]
    plan = [conditions.run(row, {"rate": 0.1}, row.name, group="g", passes=4) for row in rows]
    assert [run.name for run in with_directions(plan)] == ["backpropagation", "signs"]


def test_the_angles_of_the_layers_are_measured_along_runs_of_feedback(conditions):
    rows = [SOURCES[name] for name in ("backpropagation", "sign-symmetric", "direct feedback alignment")]
    plan = [conditions.run(row, {"rate": 0.001}, row.name, group="g", passes=4) for row in rows]
    runs = with_angles(plan, 2)
    assert [run.name for run in runs] == ["sign-symmetric, angles", "direct feedback alignment, angles"]
    frame, _ = train_all(runs, conditions.data, network=conditions.network, seeds=[0], experiment="08_comparison")
    angles = [name for name in frame if name.startswith("angle_")]
    assert len(angles) == 2  # of the layers
    assert frame[angles].max(axis=None) <= 180
    last = frame[angles[-1]]
    assert last.max() < 0.1  # whose part is exact


def test_zeroth_order_is_tuned_on_each_network(conditions):
    options = {"passes": 2, "trials": 2, "seeds": [100], "experiment": "08_comparison"}
    plan, tried = zeroth_order(conditions, [[4], [8]], [1, 5], **options)
    assert [run.name for run in plan] == [
        f"{name} on {size}" for size in (4, 8) for name in ("backpropagation", "1 direction", "5 directions")
    ]
    assert {run.group for run in plan} == {ZEROTH}
    assert [len(results.last_rows(frame)) for frame in tried] == [6, 6]
    assert "ParameterEvolution(10, " in repr(plan[2].estimator)


def test_steps_are_measured_for_runs_of_equal_arithmetic_only(conditions):
    plan = [conditions.run(SOURCES[name], {"rate": 0.1}, name, group=EQUAL, passes=2) for name in ("SGD", "momentum")]
    frame = pd.DataFrame({"run": ["SGD", "momentum", "SGD"], "group": [EQUAL, EQUAL, "trial"]})
    measured = with_measured_steps(frame, plan, examples=100, rounds=1, seed=0)
    assert (measured["example_seconds"][:2] > 0).all()
    weights = plan[0].network.task(plan[0].data, 0).parameter_count
    assert measured["kept_memory"][1] - measured["kept_memory"][0] == pytest.approx(4 * weights, abs=16)  # velocities
    assert measured.loc[2, ["example_seconds", "step_memory", "kept_memory"]].isna().all()
    assert "example_seconds" not in with_measured_steps(frame, plan, examples=100, rounds=0, seed=0)


def test_noise_is_what_the_privacy_takes(conditions):
    run = conditions.run(SOURCES["DP, ε 3"], {"rate": 0.001, "clip_norm": 1.0}, "private", group="g", passes=4)
    task, estimator, _ = run.built_for(0)
    estimator.build(task)
    estimator._examples = 1_000  # what the loop's context says
    assert 2.8 < estimator.epsilon(run.batch_size, run.epochs * run.options["steps_per_epoch"]) <= 3.0
