import pytest

from common.experiments.parameters import ParameterError, validate

NOISY = {
    "dataset": "mnist",
    "validation": None,
    "network": "mnist_convnet",
    "hidden": [],
    "batch_size": 500,
    "epochs": 15,
    "learning_rate": 0.01,
    "sigma": 1,
    "recovery_learning_rate": 0.005,
    "recovery_dimensions": 5,
    "amplification": 10,
    "public_examples": 200,
    "refresh_every": 10,
    "sweep_batch_size": 32,
    "sweep_epochs": 1,
    "sigmas": [0, 0.1],
    "batch_sizes": [128],
    "learning_rates": [0.003],
    "etas": [1],
    "gamma": 0.55,
    "clip_norm": 10,
    "ratio": 0.001,
    "momentum": 0.9,
    "averaging": 0.99,
    "dimensions": [100],
    "public_dimensions": [20],
    "devices": [1, 16],
    "decibels": [0],
    "trial_factors": [0.3, 1],
    "trial_seed": 100,
    "amplifications": [80],
    "public_sets": 1,
    "noise_scale_batches": [64, 1024],
    "seeds": [0],
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma": -1}, ["'sigma' must be greater than 0, got -1"]),
        ({"sigmas": [-0.1]}, ["'sigmas' must be greater than or equal to 0"]),
        ({"devices": [5]}, ["'devices' must be divisors of sweep_batch_size 32, got [5]"]),
        ({"recovery_dimensions": 7}, ["'recovery_dimensions' must be divisors of public_examples 200, got 7"]),
        ({"public_examples": 60_000}, ["'public_examples' must be at most the 55,000 training examples"]),
        ({"hidden": [32]}, ["'hidden' must be the hidden layers' units for mlp"]),
        ({"network": "mlp"}, ["'hidden' must be the hidden layers' units for mlp"]),
        ({"amplification": 0.5}, ["'amplification' must be greater than or equal to 1, got 0.5"]),
        ({"amplifications": [0.5]}, ["'amplifications' must be greater than or equal to 1"]),
        ({"trial_seed": 0}, ["'trial_seed' must be none of the seeds [0], whose results it must not choose, got 0"]),
        ({"trial_factors": [1, 1]}, ["'trial_factors' must be each value once, got [1.0, 1.0]"]),
        ({"validation": 0}, ["'trial_factors' must be at most one where validation is 0"]),
        ({"public_sets": -1}, ["'public_sets' must be"]),
        ({"momentum": 1}, ["'momentum' must be less than 1, got 1"]),
        ({"etas": [1, 1]}, ["'etas' must be each value once, got [1.0, 1.0]"]),
        ({"sigm": 1}, ["unknown parameter 'sigm'", "did you mean 'sigma'?"]),
    ],
)
def test_parameters_of_noise_are_refused_in_one_sentence(changes, words):
    validate("02_noisy_gradients", NOISY)
    with pytest.raises(ParameterError) as refused:
        validate("02_noisy_gradients", NOISY | changes)
    for word in words:
        assert word in str(refused.value)
