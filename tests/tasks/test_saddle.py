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
    surface, point = saddle_problem.SaddleSurface(0.02), saddle_problem.examples()
    options = {"epochs": steps, "batch_size": 2, "seed": 0, "record_every": steps}
    options |= {"diagnostics": [saddle_problem.Position()]}
    return training.train(surface.task(point, 0), estimator, keras.optimizers.SGD(0.5), point, **options).epochs


@pytest.mark.slow
def test_gradient_descent_lingers_and_saddle_free_newton_leaves():
    start, lingering = _walk(Backpropagation())
    assert (start["epoch"], start["step"]) == (0, 0)
    assert (start["u"], start["v"]) == pytest.approx((1, 0.01))
    assert lingering["test_loss"] > 0.9 * SADDLE.height
    assert abs(lingering["u"]) < 1e-3
    leaving = _walk(SaddleFreeNewton(Backpropagation(), 2, 0.005, 2, 1, oversampling=0))[-1]
    assert leaving["test_loss"] < 0.01 * SADDLE.height
    assert leaving["v"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("surface", [Saddle, saddle_problem.SaddleSurface])
def test_mu_must_be_positive(surface):
    with pytest.raises(ValueError, match=r"^mu must be > 0, got 0$"):
        surface(0)


def test_the_surface_is_its_settings():
    assert repr(saddle_problem.SaddleSurface(0.02, [1.0, 0.1])) == "SaddleSurface(0.02, start=[1.0, 0.1])"
    with pytest.raises(ValueError, match=r"^start must be two numbers, u and v, got \[1\]$"):
        saddle_problem.SaddleSurface(0.02, [1])
