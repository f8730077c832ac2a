import inspect

import pytest

from common.estimators import KNOWN
from common.experiments.low_rank_hessian.parameters import CALLS
from common.experiments.parameters import ParameterError, validate

HESSIAN = {
    "dataset": "mnist",
    "validation": None,
    "network": "leaky_convnet",
    "hidden": [],
    "batch_size": 128,
    "epochs": 25,
    "large_batch_size": 2048,
    "sweep_epochs": 1,
    "sweep_examples": 27_500,
    "timed_epochs": 3,
    "target_accuracies": [0.985, 0.99],
    "trial_seed": 100,
    "trial_factors": [0.5, 1, 2],
    "learning_rate": 0.002,
    "newton_momentum_learning_rate": 0.04,
    "gauss_newton_learning_rate": 0.004,
    "cg_learning_rate": 0.3,
    "sgd_learning_rate": 0.1,
    "momentum_learning_rate": 0.05,
    "adam_learning_rate": 0.001,
    "rmsprop_learning_rate": 0.001,
    "rate_decay": 0.8,
    "rank": 20,
    "damping_floor": 1,
    "hessian_batch": 64,
    "gauss_newton_batch": 8,
    "refresh_every": 50,
    "newton_cg": "NewtonCG(Backpropagation(), 3, 1.0, 32)",
    "source": "SaddleFreeNewton(Backpropagation(), 40, ConstantDamping(0.1), 128, 50)",
    "source_learning_rate": 0.05,
    "ranks": [5, 40],
    "hessian_batches": [16, 128],
    "refreshes": [10, 200],
    "spectrum_examples": 512,
    "spectrum_steps": 80,
    "overlap_examples": 256,
    "overlap_steps": [1, 50],
    "saddle_steps": 150,
    "seeds": [0],
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"damping_floor": 0}, "'damping_floor' must be greater than 0, got 0"),
        ({"rank": 0}, "'rank' must be greater than or equal to 1, got 0"),
        ({"target_accuracies": [98.5]}, "'target_accuracies' must be less than 1, got 98.5"),
        ({"hessian_batch": 200}, "'hessian_batch' must be at most batch_size, 128, got 200"),
        ({"gauss_newton_batch": 200}, "'gauss_newton_batch' must be at most batch_size, 128, got 200"),
        ({"large_batch_size": 60_000}, "'large_batch_size' must be at most the 55,000 training examples"),
        ({"large_batch_size": 1}, "'large_batch_size' must be 0, or at least batch_size"),
        ({"timed_epochs": -1}, "'timed_epochs' must be greater than or equal to 0, got -1"),
        ({"rate_decay": 1.5}, "'rate_decay' must be less than or equal to 1, got 1.5"),
        (
            {"source": "SaddleFreeNewton(Backpropagation(), hessian_batch=200)"},
            "'source' must be one with a hessian_batch at most batch_size, 128, got 'SaddleFreeNewton(",
        ),
        (
            {"newton_cg": "NewtonCG(Backpropagation(), 3, 1.0, 200)"},
            "'newton_cg' must be one with a hessian_batch at most batch_size, 128, got 'NewtonCG(",
        ),
        ({"newton_cg": "Backpropagation()"}, "'newton_cg' must be a call such as NewtonCG(Backpropagation(), hess"),
        (
            {"newton_cg": "NewtonCG("},
            "'newton_cg' must be a call such as NewtonCG(Backpropagation(), hessian_batch=64)",
        ),
        ({"source": "SaddleFreeNewton"}, "'source' must be a call such as SaddleFreeNewton(Backpropagation(), hess"),
        ({"source": "SaddleFreeNewton(Backpropagation(), 4, 0.1, '8')"}, "hessian_batch a whole number, got"),
        ({"hessian_batches": [16, 256]}, "'hessian_batches' must be at most batch_size, 128, got [16, 256]"),
        ({"sweep_examples": 60_000}, "'sweep_examples' must be at most the 55,000 training examples"),
        ({"sweep_examples": 100}, "'sweep_examples' must be at least batch_size, 128, got 100"),
        ({"spectrum_examples": 60_000}, "'spectrum_examples' must be at most the 55,000 training examples"),
        ({"trial_factors": [1, 1]}, "'trial_factors' must be each value once, got [1.0, 1.0]"),
        (
            {"rank": 11, "gauss_newton_batch": 1},
            "'rank' must be at most 10: the Gauss-Newton matrix of gauss_newton_batch examples",
        ),
        ({"trial_seed": 0}, "'trial_seed' must be none of the seeds [0], whose results it must not choose, got 0"),
        ({"ranks": [5, 5]}, "'ranks' must be each value once, got [5, 5]"),
        ({"hidden": [32]}, "'hidden' must be the hidden layers' units for mlp"),
        ({"validation": 0}, "'validation' must be greater than or equal to 1, got 0"),
    ],
)
def test_a_wrong_value_is_named(changes, words):
    with pytest.raises(ParameterError) as refused:
        validate("05_low_rank_hessian", HESSIAN | changes)
    assert words in str(refused.value)


def test_the_papers_values_are_accepted():
    assert validate("05_low_rank_hessian", HESSIAN).rank == 20


@pytest.mark.parametrize("parameter", CALLS)
def test_what_a_call_leaves_out_is_the_estimators_default(parameter):
    owner, positions, default = CALLS[parameter]
    signature = inspect.signature(KNOWN[owner]).parameters
    assert tuple(signature)[: len(positions)] == positions
    assert signature["hessian_batch"].default == default
    assert validate("05_low_rank_hessian", HESSIAN | {parameter: f"{owner}(Backpropagation())"})
