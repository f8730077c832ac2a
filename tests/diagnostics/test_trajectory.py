import keras
import numpy as np

from common import training
from common.data import Dataset, Split
from common.diagnostics import trajectory
from common.estimators.backpropagation import Backpropagation
from common.optimizers.adam import Adam
from common.tasks import networks as models
from common.tasks import task as tasks


def _split(examples, seed):
    x = np.random.default_rng(seed).random((examples, 3), dtype=np.float32)  # all positive
    return Split(x, x.sum(1, keepdims=True))


DATASET = Dataset("sums", "regression", _split(20, 0), _split(5, 1), _split(5, 2), None, "abc", "made here")


def _task(hidden=(4,)):
    return tasks.regression(models.build("mlp", (3,), 1, seed=0, hidden=hidden))


def _train(task, optimizer, diagnostic):
    options = {"epochs": 4, "batch_size": 8, "seed": 0, "record_every": 2}
    return training.train(task, Backpropagation(), optimizer, DATASET, diagnostics=[diagnostic], **options).epochs


def test_the_test_curve_ends_in_the_test_loss():
    task = _task()
    first, last = _train(task, keras.optimizers.SGD(0.01), trajectory.TestCurve(task, DATASET.test))
    assert last["curve_test_loss"] == last["test_loss"]
    assert first["curve_test_loss"] != last["curve_test_loss"]


def test_dead_units_are_counted_in_all_hidden_layers():
    task = _task((4, 3))
    weights = [np.abs(weight) + 0.1 for weight in task.network.get_weights()]
    probe = trajectory.DeadUnits(task, DATASET.train)
    for layer, unit in [(None, None), (0, 1), (0, 3), (2, 0)]:
        if layer is not None:
            weights[layer][:, unit], weights[layer + 1][unit] = -1, 0  # negative weights on positive inputs
        task.network.set_weights(weights)
        expected = [(None, None), (0, 1), (0, 3), (2, 0)].index((layer, unit))
        assert probe(task, DATASET.train, 0, 1) == {"dead_units": expected}


def test_slope_and_intercept_of_a_line():
    task = tasks.regression(models.build("mlp", (1,), 1, seed=0, hidden=()))
    task.network.set_weights([np.array([[2.0]]), np.array([-3.0])])
    assert trajectory.slope_and_intercept(task, DATASET.train, 0, 1) == {"slope": 2.0, "intercept": -3.0}


def test_one_step_size_for_each_parameter():
    task, adam = _task(), Adam(0.01)
    records = _train(task, adam, trajectory.StepSizes(adam))
    sizes = [records[-1][f"step_size {i}"] for i in range(task.parameter_count)]
    expected = np.concatenate([part.numpy().ravel() for part in adam.effective_step_sizes()])
    np.testing.assert_allclose(sizes, expected)
    assert f"step_size {task.parameter_count}" not in records[-1]
