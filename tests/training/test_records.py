"""What joins a record: diagnostics at the start and after epochs, arrays, and how a checkpoint keeps them."""

import keras
import numpy as np
import pytest

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation
from common.optimizers import SGD, CosineDecay, ExponentialDecay
from common.settings import Configured
from common.tasks.networks import Network


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    return Split(rng.normal(size=(examples, 6)).astype(np.float32), rng.integers(0, 3, examples).astype(np.int32))


DATASET = Dataset("noise", "classification", _split(40, 0), _split(8, 1), _split(8, 2), 3, "abc", "made here")


def _train(optimizer=None, **options):
    options = {"epochs": 3, "batch_size": 16, "seed": 3} | options
    task = Network("mlp", (5,)).task(DATASET, 0)
    return training.train(task, Backpropagation(), optimizer or SGD(0.05), DATASET, **options)


class _Sketch(Configured):
    """A setting with a memory: each run has a copy of its own."""

    at_start = True

    def __init__(self, size=2):
        self.size, self._calls = size, 0

    def __call__(self, moment):
        self._calls += 1
        kernel = moment.task.weights[0].numpy()[: self.size, : self.size]
        values = np.array([np.nan, np.inf, 1 / 3])
        return {"sketch": kernel, "calls": np.int64(self._calls), "values": values, "of": moment.epochs}


def test_a_diagnostic_may_look_before_training():
    history = _train(diagnostics=[_Sketch(), lambda moment: {"later": moment.epoch}])
    assert [record["epoch"] for record in history.epochs] == [0, 1, 2, 3]
    start, *later = history.epochs
    assert (start["step"], start["seconds"], start["cost"]) == (0, 0.0, 0.0)
    assert start.keys() == {"epoch", "step", "seconds", "cost", "bytes_sent", "sketch", "calls", "values", "of"}
    assert [record["later"] for record in later] == [1, 2, 3]
    np.testing.assert_array_equal(start["sketch"], Network("mlp", (5,)).task(DATASET, 0).weights[0].numpy()[:2, :2])
    assert [record["step"] for record in later] == [3, 6, 9]


def test_each_run_has_diagnostics_of_its_own():
    sketch = _Sketch()
    for _ in range(2):
        assert [record["calls"] for record in _train(diagnostics=[sketch]).epochs] == [1, 2, 3, 4]
    assert sketch._calls == 0


class _Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_arrays_survive_a_checkpoint(tmp_path):
    logs = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    whole = _train(diagnostics=[_Sketch()], callbacks=[logs])
    assert "sketch" not in (tmp_path / "log.csv").read_text().splitlines()[0]
    folder = tmp_path / "checkpoints"
    with pytest.raises(KeyboardInterrupt):
        _train(diagnostics=[_Sketch()], checkpoint_dir=folder, callbacks=[_Stop()])
    for _ in ("resumed", "finished"):
        history = _train(diagnostics=[_Sketch()], checkpoint_dir=folder)
        assert [record["epoch"] for record in history.epochs] == [0, 1, 2, 3]
        for a, b in zip(history.epochs, whole.epochs, strict=True):
            np.testing.assert_array_equal(a["sketch"], b["sketch"])
            np.testing.assert_array_equal(a["values"], b["values"])
            assert (a["sketch"].dtype, a["values"].dtype) == (np.float32, np.float64)


def test_a_name_that_the_record_has_is_refused():
    def twice(_moment):
        return {"train_loss": 0.0}

    with pytest.raises(ValueError, match=r"^diagnostic twice measures 'train_loss', which the record has already$"):
        _train(diagnostics=[twice])


def test_a_longer_run_with_a_schedule_that_ends_is_another_run(tmp_path):
    _train(SGD(CosineDecay(0.1)), checkpoint_dir=tmp_path / "cosine")
    with pytest.raises(ValueError, match="holds a run with steps = 9, this one has 12"):
        _train(SGD(CosineDecay(0.1)), epochs=4, checkpoint_dir=tmp_path / "cosine")
    _train(SGD(ExponentialDecay(0.1, 0.9)), checkpoint_dir=tmp_path / "exponential")
    history = _train(SGD(ExponentialDecay(0.1, 0.9)), epochs=4, checkpoint_dir=tmp_path / "exponential")
    assert len(history.epochs) == 4


def test_relative_schedules_are_keras_own_of_the_run_s_length():
    theirs = keras.optimizers.schedules.CosineDecay(0.1, 9)
    ours, expected = _train(SGD(CosineDecay(0.1))), _train(SGD(theirs))
    assert [record["train_loss"] for record in ours.epochs] == [record["train_loss"] for record in expected.epochs]


def test_an_optimizer_that_averages_brings_its_callback_along():
    def averaging():
        return SGD(0.05, use_ema=True, ema_momentum=0.8)

    ours, given = _train(averaging()), _train(averaging(), callbacks=[keras.callbacks.SwapEMAWeights()])
    plain = _train(SGD(0.05))
    for name in ("train_loss", "validation_loss"):
        assert [record[name] for record in ours.epochs] == [record[name] for record in given.epochs]
    assert ours.epochs[-1]["train_loss"] == plain.epochs[-1]["train_loss"]
    assert ours.epochs[-1]["validation_loss"] != plain.epochs[-1]["validation_loss"]
