import pytest

from common.experiments.parameters import ParameterError, validate

SYNTHETIC = {
    "dataset": "mnist",
    "validation": None,
    "source_hidden": [100],
    "source_batch_size": 10,
    "source_steps": 1000,
    "source_record_every": 20,
    "learning_rate": 0.02,
    "source_predictor_rate": 0.0001,
    "corrected_predictor_rate": 0.01,
    "synth_step": 1,
    "sample_digits": 8,
    "layers": [3, 4, 5, 6],
    "units": 256,
    "convolutional_layers": [3, 4],
    "batch_size": 256,
    "epochs": 20,
    "convolutional_epochs": 10,
    "convolutional_learning_rate": 0.002,
    "convolutional_predictor_rate": 0.0003,
    "adam_learning_rate": 0.001,
    "predictor_learning_rate": 0.001,
    "dni_batch_size": 128,
    "dni_epochs": 20,
    "dni_cut": "norm",
    "dni_learning_rate": 0.0001,
    "dni_predictor_rate": 0.001,
    "dni_hidden_layers": 2,
    "dni_width": 512,
    "unlocked_layers": 4,
    "update_probabilities": [1, 0.5, 0.2],
    "unlocked_epochs": 20,
    "control_layers": 6,
    "alignment_examples": 1000,
    "seeds": [0],
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": [1]}, ["'layers' must be greater than or equal to 2, got 1"]),
        ({"layers": [3, 3]}, ["'layers' must be each value once, got [3, 3]"]),
        ({"convolutional_layers": [5]}, ["'convolutional_layers' must be less than or equal to 4, got 5"]),
        ({"update_probabilities": [0]}, ["'update_probabilities' must be greater than 0, got 0"]),
        ({"update_probabilities": [1.5]}, ["'update_probabilities' must be less than or equal to 1, got 1.5"]),
        ({"control_layers": 1}, ["'control_layers' must be 0 for no controls, or a number of layers from 2 on, got 1"]),
        ({"dni_hidden_layers": 3}, ["'dni_hidden_layers' must be less than or equal to 2, got 3"]),
        ({"dni_cut": "nrom"}, ["'dni_cut'", "got 'nrom'; did you mean 'norm'?"]),
        ({"source_steps": 30}, ["'source_steps' must be a multiple of source_record_every, 20, got 30"]),
        ({"batch_size": 60_000}, ["'batch_size' must be at most the 55,000 training examples"]),
        ({"alignment_examples": 60_000}, ["'alignment_examples' must be at most the 55,000 training examples"]),
        ({"validation": 0}, ["'validation' must be greater than or equal to 1, got 0"]),
        ({"synth_steps": 2}, ["unknown parameter 'synth_steps'", "did you mean 'synth_step'?"]),
    ],
)
def test_parameters_of_synthetic_gradients_are_refused_in_one_sentence(changes, words):
    validate("06_synthetic_gradients", SYNTHETIC)
    with pytest.raises(ParameterError) as refused:
        validate("06_synthetic_gradients", SYNTHETIC | changes)
    for word in words:
        assert word in str(refused.value)
