import numpy as np
import pytest
from moments import linear_task, moment, random_split

from common.data import Split
from common.diagnostics import Confusion
from common.tasks import networks as models
from common.tasks import task as tasks


def test_confusion_by_hand():
    """A linear network of identity weights predicts the brightest of its inputs."""
    task = tasks.classification(models.build("mlp", (3,), 3, seed=0, hidden=()))
    task.weights[0].assign(np.eye(3))
    y = np.array([0, 0, 1, 2, 2] * 500, np.int32)  # more than one batch
    x = np.eye(3, dtype=np.float32)[np.array([0, 2, 1, 0, 0] * 500)]
    counts = Confusion()(moment(task, Split(x, y), classes=3))["confusion"]
    np.testing.assert_array_equal(counts, [[500, 0, 500], [0, 500, 0], [1000, 0, 0]])


def test_an_empty_split_has_no_counts():
    task = tasks.classification(models.build("mlp", (3,), 3, seed=0, hidden=()))
    counts = Confusion()(moment(task, Split(np.zeros((0, 3), np.float32), np.zeros(0, np.int32)), classes=3))
    np.testing.assert_array_equal(counts["confusion"], np.zeros((3, 3)))


def test_a_split_that_is_none_and_a_task_without_classes_are_named():
    with pytest.raises(ValueError, match=r"split must be one of .* got 'validate'; did you mean 'validation'\?"):
        Confusion("validate")
    with pytest.raises(ValueError, match="the dataset 'made up' has none"):
        Confusion()(moment(linear_task(), random_split(features=1), classes=None))
