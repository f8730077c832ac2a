import keras
import numpy as np
import pytest
import tensorflow as tf
from moments import moment

from common import training
from common.data import Split
from common.diagnostics import DeadUnits, StepSizes, TestCurve, WeightPath
from common.optimizers.adam import Adam
from common.tasks import networks as models
from common.tasks import task as tasks


def _split(examples, seed):
    x = np.random.default_rng(seed).random((examples, 3), dtype=np.float32)  # all positive
    return Split(x, x.sum(1, keepdims=True))


SPLIT = _split(20, 0)


def _task(hidden=(4,)):
    return tasks.regression(models.build("mlp", (3,), 1, seed=0, hidden=hidden))


def test_the_test_curve_is_that_of_the_test_split():
    task, test = _task(), _split(5, 2)
    now = moment(task, SPLIT, classes=None)
    now = now._replace(dataset=now.dataset.__class__(**vars(now.dataset) | {"test": test}))
    loss, metric = training.evaluate(task, test)
    assert TestCurve()(now) == {"curve_test_loss": loss, "curve_test_metric": metric}


def test_dead_units_are_counted_in_all_hidden_layers():
    task = _task((4, 3))
    weights = [np.abs(weight) + 0.1 for weight in task.network.get_weights()]
    probe = DeadUnits()
    for expected, (layer, unit) in enumerate([(None, None), (0, 1), (0, 3), (2, 0)]):
        if layer is not None:
            weights[layer][:, unit], weights[layer + 1][unit] = -1, 0  # negative weights on positive inputs
        task.network.set_weights(weights)
        assert probe(moment(task, SPLIT, classes=None)) == {"dead_units": expected}


def test_a_line_is_its_slope_and_its_intercept():
    task = tasks.regression(models.build("mlp", (1,), 1, seed=0, hidden=()))
    task.network.set_weights([np.array([[2.0]]), np.array([-3.0])])
    now = moment(task, SPLIT, classes=None)
    assert WeightPath(["slope", "intercept"])(now) == {"slope": 2.0, "intercept": -3.0}
    with pytest.raises(ValueError, match=r"one for each of the 2 parameters, got \['u'\]"):
        WeightPath(["u"])(now)


def test_one_step_size_for_each_parameter():
    task, adam = _task(), Adam(0.01)
    adam.build(task.weights)
    adam.apply([tf.ones(weight.shape) for weight in task.weights])
    sizes = StepSizes()(moment(task, SPLIT, optimizer=adam, classes=None))["step_sizes"]
    expected = np.concatenate([part.numpy().ravel() for part in adam.effective_step_sizes()])
    np.testing.assert_array_equal(sizes, expected)
    assert sizes.shape == (task.parameter_count,)


def test_step_sizes_of_another_optimizer_are_refused():
    with pytest.raises(ValueError, match=r"needs common\.optimizers\.Adam as optimizer, got SGD"):
        StepSizes()(moment(_task(), SPLIT, optimizer=keras.optimizers.SGD(), classes=None))
