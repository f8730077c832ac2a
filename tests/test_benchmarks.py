"""The benchmark runs and computes its ratios; what it measures is no test."""

import math

import numpy as np
import pytest

from benchmarks import (
    baseline,
    convnets,
    curvature,
    evolution_logits,
    evolution_weights,
    optimizers,
    seeds,
    sources,
    synthetic_gradients,
)
from benchmarks.timing import Timing, median_ratio, race


def test_every_subject_takes_its_turn_in_every_round():
    turns = []
    timings = race({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=2)
    assert turns == ["a", "b"] * 3  # a warm-up and two rounds
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2]


def test_ratios_are_taken_within_a_round():
    timings = {"a": Timing([1.0, 10.0, 2.0]), "b": Timing([2.0, 20.0, 8.0])}
    assert median_ratio(timings, "a", "b") == 0.5
    assert timings["a"].median == 2.0
    assert timings["a"].spread == 9.0


@pytest.mark.parametrize(
    "make", [baseline.our_loop, baseline.keras_fit, evolution_logits.independent, evolution_logits.antithetic]
)
def test_a_subject_trains_an_epoch(make):
    run = make(baseline.images(256))
    run()
    run()


@pytest.mark.parametrize("network", convnets.AT_MOST)
def test_networks_that_pool_are_trained_and_evaluated_with_either_s_layers(network):
    makers = convnets.makers(network)
    for make in makers.values():
        make(baseline.images(256))()
    names = {name for candidate, reference, _ in convnets.comparisons(network) for name in (candidate, reference)}
    pytorch = {
        form.format(name) for name in (convnets.PYTORCH, convnets.CHANNELS_LAST) for form in ("{}", convnets.EVALUATED)
    }
    assert names - pytorch <= set(makers) <= names


def test_every_source_trains_an_epoch(monkeypatch):
    monkeypatch.setitem(sources.NETWORKS, "small", ("mlp", (4, 4)))
    makers = sources.makers("small")
    assert {name for candidate, reference, _ in sources.COMPARISONS for name in (candidate, reference)} == set(makers)
    for make in makers.values():
        make(baseline.images(256))()


def test_synthetic_gradients_train_an_epoch_and_their_chains_are_shorter(monkeypatch):
    monkeypatch.setattr(synthetic_gradients, "HIDDEN", (4, 4))
    for make in (synthetic_gradients.backpropagation, synthetic_gradients.synthetic):
        make(baseline.images(256))()
    for layers, exact, decoupled, exact_wait, decoupled_wait in synthetic_gradients.chains():
        assert (exact, decoupled, exact_wait, decoupled_wait) == (2 * layers, layers + 1, 2 * layers - 1, 2)


@pytest.mark.parametrize("make", [maker for pair in optimizers.PAIRS.values() for maker in pair])
def test_an_optimizer_is_timed_over_all_its_steps(make, monkeypatch):
    monkeypatch.setattr(optimizers, "STEPS", 3)
    run = optimizers.steps(make)
    assert [run(), run()] == [3, 3]


def test_the_loops_of_a_small_network_run(monkeypatch):
    monkeypatch.setattr(optimizers, "EPOCHS", 3)
    for run in optimizers.loops().values():
        run()


def test_a_population_and_its_network_are_timed_over_as_many_evaluations(monkeypatch):
    for name, value in {"MEMBERS": 4, "SAMPLES": 4, "PAIRS": 4, "INFERENCE_BATCH": 8, "BATCH": 512}.items():
        monkeypatch.setattr(evolution_weights, name, value)
    runs = [evolution_weights.population(), evolution_weights.own_examples()]
    runs += [evolution_weights.layer_by_layer(), evolution_weights.backpropagation()]
    runs += [
        evolution_weights.inference(network(), 16) for network in (evolution_weights.mlp, evolution_weights.convnet)
    ]
    assert all(math.isfinite(run()) for run in runs)


def test_curvature_is_timed_beside_its_gradients(monkeypatch):
    for name, value in {"BATCH": 4, "RANK": 2, "FACTOR_EXAMPLES": 2, "GRADIENTS": 2}.items():
        monkeypatch.setattr(curvature, name, value)
    makers = (curvature.gradients, curvature.full_refresh, curvature.warm_refresh, curvature.factor)
    assert all(math.isfinite(make()()) for make in makers)


def test_one_trace_and_a_trace_each_end_with_the_same_weights():
    dataset = seeds.data()
    for traced_once, traced_anew in zip(seeds.one_trace(dataset), seeds.a_trace_each(dataset), strict=True):
        for a, b in zip(traced_once, traced_anew, strict=True):
            np.testing.assert_array_equal(a, b)
