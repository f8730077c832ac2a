import math

import keras
import pytest
import tensorflow as tf
from moments import linear_task, moment, random_split

from common.diagnostics import BoundaryAlignment
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.tasks import networks as models
from common.tasks import task as tasks


def _boundaries(mixing, steps):
    """Two boundaries of a network with batch norm, after some steps of training on half of the examples."""
    split = random_split(64, 5)
    task = tasks.classification(models.build("normalised_mlp", (5,), 3, seed=0, hidden=(8, 8)))
    settings = {"hidden_layers": 1, "width": 16, "optimizer": keras.optimizers.Adam(0.01)}
    estimator = SyntheticGradients(mixing=mixing, **settings)
    estimator.build(task)
    estimate = tf.function(estimator.estimate)
    for step in range(steps):
        estimate(tf.constant(split.x[:32]), tf.constant(split.y[:32]), tf.constant([0, step], tf.int64))
    return task, split, estimator


def test_boundary_alignment_grows_as_predictors_learn():
    task, split, estimator = _boundaries(1.0, 100)
    measure = BoundaryAlignment(32)
    now, later = (moment(task, split, epoch, estimator=estimator, classes=3) for epoch in (1, 2))
    measured = measure(now)
    assert list(measured) == ["cosine_boundary_1", "cosine_boundary_2"]
    assert all(0.5 < value < 1 for value in measured.values())
    assert measured == measure(now) != measure(later)


def test_boundary_alignment_traces_once(monkeypatch):
    task, split, estimator = _boundaries(1.0, 1)
    traces = []
    boundary_gradients = estimator.boundary_gradients
    monkeypatch.setattr(estimator, "boundary_gradients", lambda *batch: traces.append(0) or boundary_gradients(*batch))
    measure = BoundaryAlignment(32)
    for epoch in (1, 2, 3):
        measure(moment(task, split, epoch, estimator=estimator, classes=3))
    assert len(traces) == 1


def test_boundary_alignment_of_untrained_predictors_is_undefined():
    task, split, estimator = _boundaries(0.0, 0)
    measured = BoundaryAlignment(32)(moment(task, split, estimator=estimator, classes=3))
    assert all(math.isnan(value) for value in measured.values())


def test_an_impossible_boundary_alignment_is_named():
    with pytest.raises(ValueError, match="batch_size must be ≥ 1, got 0"):
        BoundaryAlignment(0)


def test_an_estimator_without_predictors_is_named():
    with pytest.raises(ValueError, match=r"Backpropagation\(\) has none"):
        BoundaryAlignment(4)(moment(linear_task(), random_split(features=1), classes=None))
