import numpy as np

from common.data import Split
from common.diagnostics.confusion import Confusion
from common.tasks import networks as models
from common.tasks import task as tasks


def test_confusion_by_hand():
    """A linear network of identity weights predicts the brightest of its inputs."""
    task = tasks.classification(models.build("mlp", (3,), 3, seed=0, hidden=()))
    task.weights[0].assign(np.eye(3))
    y = np.array([0, 0, 1, 2, 2] * 500, np.int32)  # more than one batch
    x = np.eye(3, dtype=np.float32)[np.array([0, 2, 1, 0, 0] * 500)]
    counts = Confusion(Split(x, y), 3)(task, None, 0, 1)
    expected = {"confusion_0_0": 500, "confusion_0_2": 500, "confusion_1_1": 500, "confusion_2_0": 1000}
    assert {name: count for name, count in counts.items() if count} == expected
    assert len(counts) == 9


def test_an_empty_split_has_no_counts():
    task = tasks.classification(models.build("mlp", (3,), 3, seed=0, hidden=()))
    counts = Confusion(Split(np.zeros((0, 3), np.float32), np.zeros(0, np.int32)), 3)(task, None, 0, 1)
    assert set(counts.values()) == {0.0}
