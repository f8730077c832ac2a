"""Keras callbacks in our loops: what they see, what they may monitor, and what is refused by name."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training.best_weights import BestWeights

callbacks = keras.callbacks
REFUSED_END = r"or train with `common.training.fit`, which is Keras' own$"


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, examples).astype(np.int32)
    return Split((rng.normal(size=(examples, 6)) + y[:, None]).astype(np.float32), y)


DATASET = Dataset("noise", "classification", _split(40, 0), _split(30, 1), _split(8, 2), 3, "abc", "made here")


def _task():
    return tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))


def _run(method, *given, dataset=DATASET, **options):
    task, optimizer = _task(), options.pop("optimizer", None) or keras.optimizers.SGD(0.05)
    options = {"epochs": 3, "batch_size": 16, "seed": 3} | options
    return task, method(task, Backpropagation(), optimizer, dataset, callbacks=given, **options)


def _train(*given, **options):
    return _run(training.train, *given, **options)


def _train_steps(*given, **options):
    return _run(training.train_steps, *given, **{"steps_per_epoch": 2} | options)


class _Logs(callbacks.Callback):
    """Keeps what each hook was given."""

    def __init__(self):
        super().__init__()
        self.given = {}

    def on_epoch_end(self, epoch, logs=None):
        self.given.setdefault("epoch", []).append(logs)

    def on_test_end(self, logs=None):
        self.given.setdefault("test", []).append(logs)

    def on_train_end(self, logs=None):
        self.given["end"] = logs


class _EachBatch(callbacks.Callback):
    def __init__(self, last=100):
        super().__init__()
        self.seen, self._last = [], last

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(logs["loss"])
        self.model.stop_training = batch >= self._last


@pytest.mark.parametrize("method", [training.train, training.fit])
@pytest.mark.parametrize("monitor", ["val_accuracy", "accuracy", "val_loss", "loss"])
def test_what_is_monitored_by_its_name_gets_better_in_its_own_direction(method, monitor, tmp_path):
    """With no patience a run ends with its first epoch that is not better, of whatever is watched."""
    stop = callbacks.EarlyStopping(monitor=monitor, patience=0)
    best = callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", monitor, save_best_only=True, save_weights_only=True)
    _, history = _run(method, stop, best, epochs=30, optimizer=keras.optimizers.SGD(0.3))
    key = monitor.replace("val_", "validation_") if "val_" in monitor else f"train_{monitor}"
    values = [record[key.replace("accuracy", "metric")] for record in history.epochs]
    better = np.greater if "accuracy" in monitor else np.less
    improved = [True, *better(values[1:], np.minimum.accumulate(values)[:-1] if better is np.less
                              else np.maximum.accumulate(values)[:-1])]  # fmt: skip
    assert all(improved[:-1])
    assert (history.status == "stopped") == (not improved[-1])
    assert best.best == pytest.approx(max(values) if better is np.greater else min(values))


def test_the_names_are_those_of_keras_fit():
    ours, theirs = _Logs(), _Logs()
    _train(ours)
    _run(training.fit, theirs)
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert set(names) <= ours.given["epoch"][0].keys()
    assert set(theirs.given["epoch"][0]) == set(names)
    assert ours.given["test"][0].keys() == theirs.given["test"][0].keys() == {"loss", "accuracy"}
    assert ours.given["end"] == ours.given["epoch"][-1]


def test_without_a_validation_split_there_is_no_val_loss_as_in_fit():
    dataset = replace(DATASET, validation=_split(0, 1))
    for method in (training.train, training.fit):
        logs = _Logs()
        _run(method, logs, dataset=dataset)
        assert {"loss", "accuracy"} <= logs.given["epoch"][0].keys()
        assert not [name for name in logs.given["epoch"][0] if "val" in name]
        with pytest.raises(ValueError, match=r"^what EarlyStopping monitors must be one of \['loss', 'accuracy'"):
            _run(method, callbacks.EarlyStopping(), dataset=dataset)


def test_privacy_is_monitored_where_an_estimator_promises_it():
    stop = callbacks.EarlyStopping(monitor="epsilon", mode="min")
    with pytest.raises(ValueError, match=r"^what EarlyStopping monitors must be one of .*, got 'epsilon'"):
        _train(stop)


def test_rates_fall_on_a_plateau_of_the_accuracy():
    optimizer = keras.optimizers.SGD(0.05)
    _train(callbacks.ReduceLROnPlateau("val_accuracy", patience=1, min_delta=1.0), optimizer=optimizer, epochs=4)
    assert float(optimizer.learning_rate) == pytest.approx(0.05 * 0.1**3)


def test_a_whole_network_is_saved_each_epoch_and_can_be_read(tmp_path):
    task, history = _train(callbacks.ModelCheckpoint(tmp_path / "{epoch}-{val_accuracy:.3f}.keras"))
    names = [f"{record['epoch']}-{record['validation_metric']:.3f}.keras" for record in history.epochs]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    again = keras.saving.load_model(tmp_path / names[-1], compile=False)
    np.testing.assert_array_equal(again(DATASET.test.x), task.network(DATASET.test.x))


def test_the_test_split_sees_the_weights_that_early_stopping_brings_back():
    stop = callbacks.EarlyStopping("loss", patience=1, min_delta=10.0, restore_best_weights=True)
    task, history = _train(stop, epochs=5)
    first, _ = _train(epochs=1)
    assert history.epochs[-1]["test_loss"] == training.evaluate(task, DATASET.test)[0]
    np.testing.assert_array_equal(task.weights[0], first.weights[0])


def test_a_resumed_run_brings_back_what_early_stopping_kept_before_it_was_killed(tmp_path):
    def stop():
        return callbacks.EarlyStopping("loss", patience=3, min_delta=10.0, restore_best_weights=True)

    whole, uncut = _train(stop(), epochs=9)
    killed = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: 1 / (2 - epoch))
    with pytest.raises(ZeroDivisionError):
        _train(stop(), killed, epochs=9, checkpoint_dir=tmp_path / "run")
    task, history = _train(stop(), epochs=9, checkpoint_dir=tmp_path / "run")
    assert [record["epoch"] for record in history.epochs] == [1, 2, 3, 4]  # the best is the first, before the kill
    assert history.status == "stopped"
    assert history.epochs[-1]["test_loss"] == uncut.epochs[-1]["test_loss"]
    np.testing.assert_array_equal(task.weights[0], whole.weights[0])


def test_a_progress_bar_knows_the_number_of_steps(capsys):
    logs = _Logs()
    _train(callbacks.ProgbarLogger(), logs)
    assert logs.params["steps"] == 3
    assert "3/3" in capsys.readouterr().out


def test_a_log_file_has_what_keras_calls_it(tmp_path):
    _train(callbacks.CSVLogger(tmp_path / "log.csv"))
    with open(tmp_path / "log.csv", encoding="utf-8") as file:
        assert {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"} <= next(csv.DictReader(file)).keys()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_EachBatch, rf"^callback _EachBatch waits for on_train_batch_begin and on_train_batch_end, .*, {REFUSED_END}"),
        (callbacks.TerminateOnNaN, rf"^callback TerminateOnNaN waits for on_batch_end, .*, {REFUSED_END}"),
        (
            lambda: callbacks.LambdaCallback(on_train_batch_end=print),
            rf"^callback LambdaCallback waits for on_train_batch_end, .*, {REFUSED_END}",
        ),
        (
            lambda: callbacks.LambdaCallback(on_test_batch_begin=print),
            rf"^callback LambdaCallback waits for on_test_batch_begin, .*, {REFUSED_END}",
        ),
        (
            lambda: callbacks.ModelCheckpoint("x.keras", save_freq=1),
            rf"^callback ModelCheckpoint has save_freq=1, in batches, .*: give save_freq='epoch', {REFUSED_END}",
        ),
        (
            lambda: callbacks.TensorBoard("x", update_freq="batch"),
            rf"^callback TensorBoard has update_freq=1, in batches, .*: give update_freq='epoch', {REFUSED_END}",
        ),
        (lambda: callbacks.TensorBoard("x", profile_batch=2), r"^callback TensorBoard profiles .* profile_batch=0$"),
        (lambda: callbacks.BackupAndRestore("x"), r"^callback BackupAndRestore goes on .*: give checkpoint_dir$"),
        (
            lambda: callbacks.EarlyStopping("val_acc"),
            r"^what EarlyStopping monitors must be one of \['loss', .*'; did you mean 'val_accuracy'\?$",
        ),
        (
            lambda: callbacks.ModelCheckpoint("x.keras", "acc", save_best_only=True),
            r"^what ModelCheckpoint monitors must be one of \['loss', .*'; did you mean 'accuracy'\?$",
        ),
        (
            lambda: callbacks.EarlyStopping("cost"),
            r"^mode of EarlyStopping, which monitors 'cost', must be 'min' or 'max', got 'auto'$",
        ),
    ],
)
def test_what_the_loop_does_not_call_or_tell_is_refused_by_name(make, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words):
        _train(make())
    assert not list(tmp_path.iterdir())


def test_best_weights_are_told_by_the_accuracy_of_a_validation_split():
    with pytest.raises(ValueError, match=r"^what BestWeights monitors must be one of \['loss', 'accuracy', 'step'"):
        _train(BestWeights(), dataset=replace(DATASET, validation=_split(0, 1)))


def test_what_a_diagnostic_measures_may_be_monitored_with_a_mode():
    rising = {"diagnostics": [lambda moment: {"epochs so far": moment.epoch}], "epochs": 4}
    _, history = _train(callbacks.EarlyStopping("epochs so far", patience=1, mode="min"), **rising)
    assert [record["epoch"] for record in history.epochs] == [1, 2]
    with pytest.raises(ValueError, match=r"^mode of EarlyStopping, which monitors 'epochs so far', must be 'min'"):
        _train(callbacks.EarlyStopping("epochs so far"), **rising)


def test_steps_that_run_one_by_one_are_reported(tmp_path):
    each = _EachBatch()
    kept = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.keras", save_freq=1)
    watched, history = _train_steps(each, kept)
    alone, expected = _train_steps()
    np.testing.assert_array_equal(watched.weights[0], alone.weights[0])
    assert each.seen[::2] == [0, 1] * 3
    assert each.seen[3::4] == [record["train_loss"] for record in history.epochs]
    assert each.seen[3::4] == [record["train_loss"] for record in expected.epochs]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{epoch}-{step}.keras" for epoch in (1, 2, 3) for step in (1, 2)]  # fmt: skip # noqa: E501


def test_a_callback_ends_steps_within_an_epoch():
    _, history = _train_steps(_EachBatch(last=1), steps_per_epoch=5)
    assert history.status == "stopped"
    assert [record["step"] for record in history.epochs] == [2]


def test_steps_that_are_not_evaluated_cannot_be_monitored():
    with pytest.raises(ValueError, match=r"^what EarlyStopping monitors must be one of \['loss', 'step'"):
        _train_steps(callbacks.EarlyStopping("val_loss"))
