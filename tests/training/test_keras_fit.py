import keras
import numpy as np
import pytest

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation, ConstantNoise, NoisyGradient
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training import keras_fit


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
    options = {"epochs": epochs, "batch_size": 32, "seed": 0} | options
    return keras_fit.fit(task, Backpropagation(), keras.optimizers.SGD(0.05), dataset, **options)


def test_records_what_keras_says(dataset):
    task = _task()
    history = _fit(dataset, task)
    last = history.epochs[-1]
    assert history.status == "finished"
    assert [record["step"] for record in history.epochs] == [3, 6, 9]
    assert last["cost"] == 3 * 70
    loss, metric = training.evaluate(task, dataset.validation)
    assert last["validation_loss"] == pytest.approx(loss, rel=1e-5)
    assert last["validation_metric"] == pytest.approx(metric)
    assert (last["test_loss"], last["test_metric"]) == training.evaluate(task, dataset.test)


def test_a_finished_run_is_returned_as_it_is(dataset, tmp_path):
    first = _fit(dataset, _task(), epochs=2, checkpoint_dir=tmp_path)
    again = _fit(dataset, _task(), epochs=2, checkpoint_dir=tmp_path)
    assert again.epochs == first.epochs


def test_goes_on_after_the_last_full_epoch(dataset, tmp_path, monkeypatch):
    def interrupt(self, batch, logs=None):  # noqa: ARG001 - Keras' signature
        if len(self._history.epochs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(keras_fit._Recorder, "on_train_batch_begin", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _fit(dataset, _task(), epochs=4, checkpoint_dir=tmp_path)
    monkeypatch.undo()
    resumed = _fit(dataset, _task(), epochs=4, checkpoint_dir=tmp_path)
    whole = _fit(dataset, _task(), epochs=4)
    assert [record["step"] for record in resumed.epochs] == [3, 6, 9, 12]
    for a, b in zip(resumed.epochs[:2], whole.epochs[:2], strict=True):
        assert a["train_loss"] == b["train_loss"]
    assert resumed.status == "finished"


def test_a_checkpoint_of_another_run_is_refused(dataset, tmp_path):
    _fit(dataset, _task(), epochs=1, checkpoint_dir=tmp_path)
    options = {"epochs": 1, "batch_size": 32, "seed": 0, "checkpoint_dir": tmp_path}
    with pytest.raises(ValueError, match=r"optimizer = 'SGD\(0.05\)', this one has 'SGD\(5.0\)'"):
        keras_fit.fit(_task(), Backpropagation(), keras.optimizers.SGD(5.0), dataset, **options)


def test_a_huge_learning_rate_is_a_result(dataset):
    options = {"epochs": 2, "batch_size": 32, "seed": 0}
    history = keras_fit.fit(_task(), Backpropagation(), keras.optimizers.SGD(1e30), dataset, **options)
    assert history.status == "diverged"
    assert history.diverged_step == history.epochs[-1]["step"] <= 3
    assert "test_loss" not in history.epochs[-1]


def test_refuses_a_task_that_fit_would_not_train_as_told(dataset):
    with pytest.raises(ValueError, match="training_mode=True"):
        _fit(dataset, _task(training_mode=False))


def test_it_is_called_as_our_loop_is(dataset):
    class AtStart:
        at_start = True

        def __call__(self, moment):
            return {"epoch_seen": moment.epoch}

    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=10.0)
    history = _fit(dataset, _task(), epochs=5, callbacks=[stop], diagnostics=[AtStart()])
    assert [record["epoch_seen"] for record in history.epochs] == [0, 1, 2]
    assert history.status == "stopped"
    assert "test_loss" in history.epochs[-1]


def test_another_estimator_than_its_own_is_refused(dataset):
    noisy = NoisyGradient(Backpropagation(), ConstantNoise(0.1))
    with pytest.raises(ValueError, match=r"estimator must be Backpropagation\(\), got NoisyGradient\("):
        keras_fit.fit(_task(), noisy, keras.optimizers.SGD(0.1), dataset, epochs=1, batch_size=32, seed=0)
