"""The artificial saddle: its derivatives by differences, and the task that has it as its loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.curvature.operators import HessianOperator
from common.estimators.backpropagation import Backpropagation
from common.estimators.newton.saddle_free_newton import SaddleFreeNewton
from common.tasks import saddle_task as saddle_problem
from common.tasks.saddle import Saddle

SADDLE = Saddle(0.02)


def test_heights_of_saddle_and_minima():
    assert SADDLE(0.0, 0.0) == pytest.approx(SADDLE.height) == pytest.approx(0.005)
    assert SADDLE(0.0, 1.0) == SADDLE(0.0, -1.0) == 0
    assert SADDLE(np.array([2.0, 0.0]), np.array([1.0, 2.0])) == pytest.approx([2.0, 0.005 * 9])


@pytest.mark.parametrize("at", [(0.0, 0.0), (1.0, 0.3), (-0.4, 1.0)])
def test_the_task_has_this_loss(at):
    task, split = saddle_problem.task_at(SADDLE, at), saddle_problem.examples().train
    batch = tf.constant(split.x), tf.constant(split.y)
    loss = task.loss(batch[1], task.predictions(batch[0]))
    assert float(loss) == pytest.approx(SADDLE(*at), rel=1e-5, abs=1e-8)
    expected = [[1.0, 0.0], [0.0, 0.02 * (3 * at[1] ** 2 - 1)]]
    np.testing.assert_allclose(HessianOperator(task, *batch).block(tf.eye(2)), expected, atol=1e-6)


def _walk(estimator, steps=60):
    task, point = saddle_problem.task_at(SADDLE, (1.0, 0.01)), saddle_problem.examples()
    how = {"epochs": steps, "batch_size": 2, "seed": 0, "diagnostics": [saddle_problem.place], "record_every": steps}
    return training.train(task, estimator, keras.optimizers.SGD(0.5), point, **how).epochs[-1]


def test_gradient_descent_lingers_and_saddle_free_newton_leaves():
    lingering = _walk(Backpropagation())
    assert lingering["test_loss"] > 0.9 * SADDLE.height
    assert abs(lingering["u"]) < 1e-3
    leaving = _walk(SaddleFreeNewton(Backpropagation(), 2, 0.005, 2, 1, oversampling=0))
    assert leaving["test_loss"] < 0.01 * SADDLE.height
    assert leaving["v"] == pytest.approx(1, abs=0.1)


def test_mu_must_be_positive():
    with pytest.raises(ValueError, match=r"^mu must be > 0, got 0$"):
        Saddle(0)
