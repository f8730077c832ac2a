import keras
import numpy as np
import pytest

from common import keras_fit, models, tasks, training
from common.data import Dataset, Split


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    parts = [
        Split(rng.random((n, 12, 12, 1), dtype=np.float32), rng.integers(0, 4, n).astype(np.int32))
        for n in (70, 30, 20)
    ]
    return Dataset("noise", "classification", *parts, 4, "abc", "made here")


def _task(**options):
    return tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0), **options)


def _fit(dataset, task, epochs=3, **options):
    return keras_fit.fit(task, keras.optimizers.SGD(0.05), dataset, epochs=epochs, batch_size=32, seed=0, **options)


def test_records_what_keras_says(dataset):
    task = _task()
    history = _fit(dataset, task)
    last = history.epochs[-1]
    assert history.status == "finished"
    assert [record["step"] for record in history.epochs] == [3, 6, 9]
    assert last["cost"] == 9
    loss, metric = training.evaluate(task, dataset.validation)
    assert last["validation_loss"] == pytest.approx(loss, rel=1e-5)
    assert last["validation_metric"] == pytest.approx(metric)
    assert (last["test_loss"], last["test_metric"]) == training.evaluate(task, dataset.test)


def test_goes_on_after_the_last_full_epoch(dataset, tmp_path):
    first = _fit(dataset, _task(), epochs=2, checkpoint_dir=tmp_path)
    again = _fit(dataset, _task(), epochs=2, checkpoint_dir=tmp_path)
    assert again.epochs == first.epochs


def test_a_huge_learning_rate_is_a_result(dataset):
    history = keras_fit.fit(_task(), keras.optimizers.SGD(1e30), dataset, epochs=2, batch_size=32, seed=0)
    assert history.status == "diverged"


def test_refuses_a_task_that_fit_would_not_train_as_told(dataset):
    with pytest.raises(ValueError, match="training_mode=True"):
        _fit(dataset, _task(training_mode=False))
