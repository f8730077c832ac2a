"""Attaching a diagnostic changes no bit of a run, on a network with batch norm and dropout."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from moments import random_split

from common import diagnostics
from common.data import Dataset, Split
from common.diagnostics import Diagnostic
from common.estimators import (
    Backpropagation,
    ConstantNoise,
    LogitEvolution,
    NoisyGradient,
    SmoothedAccuracy,
    SyntheticGradients,
    WeightRegression,
)
from common.optimizers import Adam
from common.tasks import task as tasks
from common.training import train
from common.training.state import variables_of


def _images(examples, seed):
    split = random_split(examples, seed=seed)
    return Split(split.x.reshape(-1, 2, 3, 1), split.y)


SPLIT = _images(32, 0)
DATASET = Dataset("made up", "classification", SPLIT, SPLIT, _images(8, 1), 3, "abc", "made here")
SAMPLED = LogitEvolution(SmoothedAccuracy(), 1.0, samples=4)
TRAINS = {"BoundaryAlignment": "synthetic", "BoundaryGradients": "synthetic", "LastWeightGradients": "regression"}
CONSTRUCTORS = {
    "BoundaryAlignment": lambda cls: cls(8),
    "BoundaryGradients": lambda cls: cls(8),
    "DirectionQuality": lambda cls: cls([SAMPLED, SyntheticGradients(width=4)], 8, repeats=2),
    "EstimatorAlignment": lambda cls: cls([SAMPLED, SyntheticGradients(width=4)], 8),
    "GradientAlignment": lambda cls: cls(8, at="ends"),
    "GradientNoiseScale": lambda cls: cls(4, 16),
    "LastWeightGradients": lambda cls: cls(8),
    "LayerAlignment": lambda cls: cls(8),
    "LogitAlignment": lambda cls: cls([SAMPLED], examples=8, repeats=2),
    "SamplePredictions": lambda cls: cls(8),
    "SpectrumProbe": lambda cls: cls(8, 3, at="ends"),
    "WeightPath": lambda cls: cls([f"w{number}" for number in range(_task().parameter_count)]),
}
NAMES = [name for name in diagnostics.__all__ if name not in ("Diagnostic", "eigenvector_overlaps")]


class MovesEverything(Diagnostic):
    """A careless one: it trains the network, runs it in training mode and forgets what an optimizer knew."""

    at = "ends"

    def __init__(self):
        pass

    def measure(self, moment):
        moment.task.network(tf.ones([4, 2, 3, 1]), training=True)
        for variable in variables_of(moment.task, moment.estimator, moment.optimizer):
            variable.assign(tf.zeros_like(variable))
        return {"moved": 1.0}


def _task():
    keras.utils.set_random_seed(0)
    body = [layers.Dense(5, use_bias=False, name="dense_1"), layers.BatchNormalization(name="norm_1")]
    body += [layers.ReLU(name="relu_1"), layers.Dropout(0.3, seed=0, name="dropout_1"), layers.Dense(3, name="dense_2")]
    return tasks.classification(keras.Sequential([keras.Input((2, 3, 1)), layers.Flatten(), *body]))


ESTIMATORS = {
    "noisy": lambda: NoisyGradient(Backpropagation(), ConstantNoise(0.01)),
    "synthetic": lambda: SyntheticGradients(hidden_layers=1, width=4),
    "regression": WeightRegression,
}


def _run(name, *attached):
    """Train two epochs; return the records without what the diagnostic adds, and all variables."""
    task, estimator, optimizer = _task(), ESTIMATORS[name](), Adam(0.01)
    options = {"epochs": 2, "batch_size": 8, "seed": 0, "diagnostics": attached}
    history = train(task, estimator, optimizer, DATASET, **options)
    state = [tf.convert_to_tensor(part).numpy() for part in variables_of(task, estimator, optimizer)]
    assert history.status == "finished"
    return history.epochs, state


_bare = functools.cache(_run)


def _make(name):
    cls = getattr(diagnostics, name)
    return CONSTRUCTORS[name](cls) if name in CONSTRUCTORS else cls()


@pytest.mark.parametrize("name", [*NAMES, "MovesEverything"])
def test_a_run_is_the_same_to_the_last_bit(name):
    diagnostic = MovesEverything() if name == "MovesEverything" else _make(name)
    expected, expected_state = _bare(TRAINS.get(name, "noisy"))
    records, state = _run(TRAINS.get(name, "noisy"), diagnostic)
    assert set().union(*records) > set().union(*expected), "the diagnostic measured nothing"
    for record, other in zip([record for record in records if record["epoch"]], expected, strict=True):
        assert {key: record[key] for key in other if key != "seconds"} == _without_seconds(other)
    assert len(state) == len(expected_state)
    for now, then in zip(state, expected_state, strict=True):
        np.testing.assert_array_equal(now, then)


def _without_seconds(record):
    assert not any(math.isnan(value) for value in record.values())
    return {key: value for key, value in record.items() if key != "seconds"}
