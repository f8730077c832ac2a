import pytest

from common.experiments.parameters import ParameterError, validate

OPTIMIZERS = {
    "dataset": "diabetes", "validation": None, "hidden": [4], "learning_rates": [0.001], "learning_rate": 0.001,
    "clipnorm": 2.0, "momentum": 0.98, "batch_size": 32, "full_batch_epochs": 10, "minibatch_epochs": 10, "epochs": 10,
    "full_batch_record_every": 1, "record_every": 1, "newer_methods": ["Muon"], "nothing_held_out": False,
    "adaptive_learning_rate": 0.1, "networks": [[16], [64, 64]], "network_learning_rate": 0.01, "network_epochs": 1,
    "trial_factors": [0.1, 1], "folds": 3, "trial_seed": 100, "line_feature": 2, "line_epochs": 1, "seeds": [0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "boston"}, "got 'boston'; did you mean 'boston_housing'?"),
        ({"dataset": "digits"}, "'dataset' must be"),
        ({"clipnorm": 0}, "'clipnorm' must be greater than 0, got 0"),
        ({"momentum": 1}, "'momentum' must be less than 1, got 1"),
        ({"learning_rates": [0.1, -0.1]}, "'learning_rates' must be greater than 0, got -0.1"),
        ({"learning_rates": [0.1, 0.1]}, "'learning_rates' must be each value once"),
        ({"newer_methods": ["Moun"]}, "got 'Moun'; did you mean 'Muon'?"),
        ({"networks": []}, "'networks' must be a list of at least 1 value"),
        ({"networks": [[0]]}, "'networks' must be greater than or equal to 1, got 0"),
        ({"batch_size": 311}, "'batch_size' must be at most the 310 training examples of 'diabetes', got 311"),
        ({"validation": 354}, "'validation' must be below the 354 examples"),
        ({"folds": 1}, "'folds' must be greater than or equal to 2, got 1"),
        ({"trial_seed": 0}, "'trial_seed' must be none of the seeds [0], whose results it must not choose, got 0"),
        ({"trial_factors": [1, 1]}, "'trial_factors' must be each value once"),
        ({"line_feature": 10}, "'line_feature' must be below the 10 features of 'diabetes', got 10"),
    ],
)
def test_wrong_parameters_of_the_optimizers_notebook(changes, words):
    assert validate("03_optimizers_from_scratch", OPTIMIZERS).networks == [[16], [64, 64]]
    with pytest.raises(ParameterError) as error:
        validate("03_optimizers_from_scratch", OPTIMIZERS | changes)
    assert words in str(error.value)
