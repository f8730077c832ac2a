"""Parameters of the two notebooks on evolution strategies, 04 on logits and 07 on weights."""

import pytest

from common.experiments.parameters import ParameterError, validate

EVOLUTION = {
    "dataset": "mnist",
    "validation": None,
    "network": "lenet5",
    "hidden": [],
    "batch_size": 128,
    "samples": 200,
    "source_epochs": 15,
    "source_learning_rate": 0.0001,
    "source_sigma": 4,
    "target_rate": 1,
    "eta": 16,
    "gamma": 0.55,
    "epochs": 15,
    "learning_rate": 0.001,
    "sigma": 1,
    "sweep_epochs": 5,
    "sample_counts": [2, 20],
    "sigmas": [0.5, 2],
    "alignment_examples": 1000,
    "alignment_repeats": 30,
    "seeds": [0],
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma": 0}, ["'sigma' must be greater than 0, got 0"]),
        ({"sigmas": [-1]}, ["'sigmas' must be greater than 0"]),
        ({"samples": 1}, ["'samples' must be greater than or equal to 2, got 1"]),
        ({"samples": 7}, ["'samples' must be even, for they come in antithetic pairs, got 7"]),
        ({"sample_counts": [2, 5]}, ["'sample_counts' must be even, for they come in antithetic pairs, got [2, 5]"]),
        ({"sample_counts": [2, 2]}, ["'sample_counts' must be each value once, got [2, 2]"]),
        ({"hidden": [32]}, ["'hidden' must be the hidden layers' units for mlp"]),
        ({"batch_size": 60_000}, ["'batch_size' must be at most the 55,000 training examples"]),
        ({"alignment_examples": 60_000}, ["'alignment_examples' must be at most the 55,000 training examples"]),
        ({"alignment_repeats": 1}, ["'alignment_repeats' must be greater than or equal to 2, got 1"]),
        ({"validation": 0}, ["'validation' must be greater than or equal to 1, got 0"]),
        ({"sampels": 1}, ["unknown parameter 'sampels'", "did you mean 'samples'?"]),  # codespell:ignore
    ],
)
def test_parameters_of_evolution_are_refused_in_one_sentence(changes, words):
    validate("04_evolution_strategies", EVOLUTION)
    with pytest.raises(ParameterError) as refused:
        validate("04_evolution_strategies", EVOLUTION | changes)
    for word in words:
        assert word in str(refused.value)


WEIGHTS = {
    "dataset": "mnist",
    "validation": None,
    "network": "tiny_convnet",
    "batch_size": 2048,
    "keep": 0.25,
    "chunk": 128,
    "pairs": [1, 4, 16],
    "sigma": 0.02,
    "learning_rate": 0.02,
    "weight_decay": 0,
    "epochs": 90,
    "passes": 20,
    "backpropagation_batch_size": 128,
    "backpropagation_learning_rate": 0.005,
    "trial_seed": 100,
    "trial_factors": [0.5, 1, 2],
    "mlp_hidden": [128],
    "mlp_batch_size": 256,
    "mlp_population": 256,
    "mlp_learning_rate": 0.01,
    "mlp_epochs": 15,
    "record_every": 5,
    "populations": [32, 512],
    "population_examples": 128,
    "seeds": [0],
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma": 0}, ["'sigma' must be greater than 0, got 0"]),
        ({"chunk": 100}, ["'chunk' must be a divisor of the 512 examples kept (keep times batch_size), got 100"]),
        ({"keep": 1.5}, ["'keep' must be less than or equal to 1, got 1.5"]),
        ({"pairs": [1, 0]}, ["'pairs' must be greater than or equal to 1"]),
        ({"network": "mlp"}, ["'network' must be"]),
        ({"precision": "mixed_bfloat16"}, ["'precision' must be 'float32', got 'mixed_bfloat16'"]),
        ({"batch_size": 2**16}, ["'batch_size' must be at most the 55,000 training examples"]),
        ({"population_examples": 60_000}, ["'population_examples' must be at most the 55,000 training examples"]),
        ({"mlp_population": 7}, ["'mlp_population' must be even, for members come in antithetic pairs, got 7"]),
        ({"trial_seed": 0}, ["'trial_seed' must be none of the seeds [0], whose results it must not choose, got 0"]),
        ({"trial_factors": [1, 1]}, ["'trial_factors' must be each value once"]),
        ({"populations": [32, 33]}, ["'populations' must be even"]),
        ({"populations": [32, 32]}, ["'populations' must be each value once"]),
        ({"weights_keep": 0.5}, ["unknown parameter 'weights_keep'"]),
    ],
)
def test_parameters_of_evolution_on_weights_are_refused_in_one_sentence(changes, words):
    validate("07_evolution_on_weights", WEIGHTS)
    with pytest.raises(ParameterError) as refused:
        validate("07_evolution_on_weights", WEIGHTS | changes)
    for word in words:
        assert word in str(refused.value)
