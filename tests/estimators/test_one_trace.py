"""One trace serves all seeds of a run: after `restart`, every number is that of freshly made objects, bit for bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_cases import ESTIMATORS

from common import training
from common.data import Dataset, Split
from common.tasks.networks import Network
from common.training.state import variables_of


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    return Split(rng.random((examples, 12, 12, 1), dtype=np.float32), rng.integers(0, 4, examples).astype(np.int32))


DATASET = Dataset("noise", "classification", _split(48, 0), _split(8, 1), _split(8, 2), 4, "abc", "made here")
OPTIONS = {"epochs": 1, "batch_size": 24}  # what the table's estimators divide their batches by


def _fresh(make, seed):
    return Network("mnist_convnet").task(DATASET, seed), make(), keras.optimizers.Adam(0.005)


def _state(*parts):
    return [tf.convert_to_tensor(variable).numpy() for variable in variables_of(*parts)]


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=list(ESTIMATORS))
def test_another_seed_in_the_same_trace_is_bit_identical_to_fresh_objects(make):
    trainer = training.Trainer(*_fresh(make, 0), DATASET, **OPTIONS)
    trainer.run(0)
    first = _state(trainer.task, trainer.estimator, trainer.optimizer)
    given = _fresh(make, 1)
    trainer.restart(*given)
    history = trainer.run(1)
    expected = _fresh(make, 1)
    expected_history = training.train(*expected, DATASET, seed=1, **OPTIONS)
    found = _state(trainer.task, trainer.estimator, trainer.optimizer)
    for a, b in zip(found, _state(*expected), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, found, strict=True))
    for weight, value in zip(given[0].network.get_weights(), expected[0].network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, value)
    for a, b in zip(history.epochs, expected_history.epochs, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    assert history.tracing_seconds == 0
