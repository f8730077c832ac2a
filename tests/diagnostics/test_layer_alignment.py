"""Angles between an estimate and the exact gradient, layer by layer."""

import math

import pytest
from moments import moment, random_split

from common.diagnostics import LayerAlignment
from common.estimators import Backpropagation, FeedbackAlignment, LastModuleOnly
from common.tasks import networks as models
from common.tasks import task as tasks


def _measured(estimator):
    split = random_split(64, 5)
    task = tasks.classification(models.build("mlp", (5,), 3, seed=0, hidden=(40, 40)))
    estimator.build(task)
    return LayerAlignment(32)(moment(task, split, estimator=estimator, classes=3))


def test_every_layer_has_an_angle_and_exact_gradients_none():
    measured = _measured(Backpropagation())
    assert list(measured) == ["angle_dense_1", "angle_dense_2", "angle_dense_3"]
    assert all(angle < 0.1 for angle in measured.values())


def test_random_feedback_is_far_from_the_gradient_but_in_the_last_layer():
    measured = _measured(FeedbackAlignment())
    assert measured["angle_dense_3"] < 0.1
    assert all(45 < measured[f"angle_dense_{number}"] < 135 for number in (1, 2))


def test_signs_of_the_weights_bring_it_nearer():
    measured = _measured(FeedbackAlignment("sign_symmetric"))
    assert all(measured[f"angle_dense_{number}"] < 60 for number in (1, 2))


def test_a_layer_without_a_direction_has_no_angle():
    measured = _measured(LastModuleOnly())
    assert math.isnan(measured["angle_dense_1"])
    assert measured["angle_dense_3"] < 0.1


def test_impossible_looks_are_named():
    with pytest.raises(ValueError, match="batch_size must be ≥ 1, got 0"):
        LayerAlignment(0)
