import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split, load
from common.estimators.backpropagation import Backpropagation
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training import epoch as epochs
from common.training.epoch import epoch_order


def _split(examples, seed):
    """Images whose brightness pattern tells the class, so that a few steps learn something."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, examples).astype(np.int32)
    x = rng.random((examples, 12, 12, 1), dtype=np.float32)
    x[np.arange(examples), y * 3] += 1.0
    return Split(x, y)


@pytest.fixture(scope="module")
def dataset():
    return Dataset("stripes", "classification", _split(200, 0), _split(40, 1), _split(40, 2), 4, "abc", "made here")


def _task(seed=0, training_mode=False, network="mnist_convnet", **options):
    return tasks.classification(
        models.build(network, (12, 12, 1), 4, seed=seed, **options), training_mode=training_mode
    )


def _train(dataset, optimizer=None, task=None, **options):
    task = task or _task(training_mode=True)
    settings = {"epochs": 3, "batch_size": 32, "seed": 5} | options
    history = training.train(task, Backpropagation(), optimizer or keras.optimizers.SGD(0.05), dataset, **settings)
    return task, history


def _without_seconds(history):
    return [{key: value for key, value in record.items() if key != "seconds"} for record in history.epochs]


def _assert_same_weights(first, second):
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("optimizer", [lambda: keras.optimizers.SGD(0.05, momentum=0.9), keras.optimizers.Adam])
def test_equals_keras_fit_on_the_same_order(dataset, optimizer):
    """The oracle: 50 steps of Keras' own fit, fed the very batches that the loop draws, remainder included."""
    ours, theirs = _task(network="lenet5"), _task(network="lenet5")  # no dropout, which fit would turn on
    count, batch = 8, 32  # 7 steps an epoch, the last of 8 examples: 56 steps
    training.train(ours, Backpropagation(), optimizer(), dataset, epochs=count, batch_size=batch, seed=3)
    theirs.network.compile(optimizer=optimizer(), loss=theirs.loss, jit_compile=False)
    for epoch in range(1, count + 1):
        order = epoch_order(200, 3, epoch).numpy()
        theirs.network.fit(dataset.train.x[order], dataset.train.y[order], batch_size=batch, shuffle=False, verbose=0)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        difference = np.linalg.norm(a.numpy() - b.numpy()) / np.linalg.norm(b.numpy())
        assert difference < 1e-5, a.path


def test_xla_computes_the_same(dataset):
    """What a GPU gets by default, remainder batch included."""
    task, history = _train(dataset, task=_task(), jit_compile=True)
    reference, _ = _train(dataset, task=_task(), jit_compile=False)
    assert history.status == "finished"
    for a, b in zip(task.weights, reference.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


def test_xla_trains_with_dropout(dataset):
    """Its random numbers may come from another generator, so the masks need not be the same."""
    _, history = _train(dataset, jit_compile=True)
    assert history.status == "finished"
    assert history.epochs[-1]["train_loss"] < history.epochs[0]["train_loss"]


def test_same_seed_is_bit_identical_and_another_is_not(dataset):
    first, first_history = _train(dataset)
    second, second_history = _train(dataset)
    other, _ = _train(dataset, seed=6)
    _assert_same_weights(first, second)
    assert _without_seconds(first_history) == _without_seconds(second_history)
    assert not np.array_equal(first.weights[0].numpy(), other.weights[0].numpy())


def test_the_record_counts_what_happened(dataset):
    task, history = _train(dataset)
    last = history.epochs[-1]
    assert history.status == "finished"
    assert history.diverged_step is None
    assert [record["epoch"] for record in history.epochs] == [1, 2, 3]
    assert last["step"] == 3 * 7
    assert last["cost"] == 3 * 200  # in gradients of one example: the smaller last batch counts its own size
    assert [record["seconds"] for record in history.epochs] == sorted(record["seconds"] for record in history.epochs)
    assert (last["test_loss"], last["test_metric"]) == training.evaluate(task, dataset.test)
    assert "test_loss" not in history.epochs[0]


def test_evaluation_is_the_mean_over_all_examples(dataset, monkeypatch):
    monkeypatch.setattr(epochs, "EVALUATION_BATCH", 16)  # 40 = 16 + 16 + 8
    task = _task()
    logits = task.network(dataset.test.x, training=False).numpy().astype(np.float64)
    log_sum = np.log(np.exp(logits).sum(1))
    loss, accuracy = training.evaluate(task, dataset.test)
    assert loss == pytest.approx(np.mean(log_sum - logits[np.arange(40), dataset.test.y]), rel=1e-5)
    assert accuracy == pytest.approx(np.mean(logits.argmax(1) == dataset.test.y))


def test_drop_remainder_leaves_out_the_smaller_batch(dataset):
    _, history = _train(dataset, drop_remainder=True)
    assert history.epochs[-1]["step"] == 3 * 6


def test_an_epoch_of_few_steps_takes_the_first_batches_of_its_order(dataset):
    first, history = _train(dataset, steps_per_epoch=2)
    assert [record["step"] for record in history.epochs] == [2, 4, 6]
    assert history.epochs[-1]["cost"] == 6 * 32
    assert history.epochs[0]["train_loss"] < 10  # a mean over the examples that were seen

    again, _ = _train(dataset, steps_per_epoch=6)
    without_rest, _ = _train(dataset, drop_remainder=True)
    _assert_same_weights(again, without_rest)
    assert not np.array_equal(first.weights[0].numpy(), again.weights[0].numpy())


@pytest.mark.parametrize("steps", [0, 7])
def test_steps_per_epoch_are_at_most_the_full_batches(dataset, steps):
    with pytest.raises(ValueError, match=r"steps_per_epoch must be between 1 and the 6 full batches of 32 .*, got"):
        _train(dataset, steps_per_epoch=steps)


def test_a_run_with_other_steps_per_epoch_does_not_go_on_from_a_checkpoint(dataset, tmp_path):
    _train(dataset, checkpoint_dir=tmp_path, steps_per_epoch=2)
    with pytest.raises(ValueError, match="steps_per_epoch = 2, this one has 3"):
        _train(dataset, checkpoint_dir=tmp_path, steps_per_epoch=3)


def test_every_example_is_seen_once_an_epoch():
    orders = [epoch_order(50, 1, epoch).numpy() for epoch in (1, 2)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(50))
    assert list(orders[0]) != list(orders[1])


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def _diverge(digits, **options):
    task = tasks.classification(models.build("mnist_convnet", (28, 28, 1), 10, seed=0))
    return _train(digits, keras.optimizers.SGD(1e6), task, **options)


def test_a_huge_learning_rate_diverges_with_its_step_and_curve(digits):
    _, history = _diverge(digits)
    assert history.status == "diverged"
    assert 2 <= history.diverged_step <= 40  # within the first epoch, and not before an update
    assert history.epochs[-1]["step"] == history.diverged_step
    assert not math.isfinite(history.epochs[-1]["train_loss"])
    assert "test_loss" not in history.epochs[-1]


def test_an_overflow_in_the_last_update_is_no_success(dataset):
    class Explodes(Backpropagation):
        def estimate(self, x, y, seed):
            estimate = super().estimate(x, y, seed)
            huge = tf.where(seed[1] == 20, 3e38, 1.0)  # the last of 21 steps: finite, but not times the rate
            return estimate._replace(gradients=[tf.ones_like(g) * huge for g in estimate.gradients])

    task = _task()
    optimizer = keras.optimizers.SGD(10.0)
    history = training.train(task, Explodes(), optimizer, dataset, epochs=3, batch_size=32, seed=5)
    assert (history.status, history.diverged_step) == ("diverged", 21)
    assert "test_loss" not in history.epochs[-1]


def test_one_step_is_the_body_of_the_loop(dataset):
    first, second = _task(), _task()
    estimator = Backpropagation()
    estimator.build(first)
    step = training.one_step(first, estimator, keras.optimizers.SGD(0.05))
    order = epoch_order(200, 5, 1).numpy()
    for number in range(6):
        chosen = order[32 * number : 32 * (number + 1)]
        x, y = tf.constant(dataset.train.x[chosen]), tf.constant(dataset.train.y[chosen])
        step(x, y, tf.constant([5, number], tf.int64))
    _train(dataset, task=second, epochs=1, drop_remainder=True)
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


def test_a_refused_step_leaves_the_weights_alone(dataset):
    class NotANumber(Backpropagation):
        def estimate(self, x, y, seed):
            estimate = super().estimate(x, y, seed)
            broken = tf.where(seed[1] == 4, math.nan, 1.0)  # the fifth step
            return estimate._replace(gradients=[gradient * broken for gradient in estimate.gradients])

    task, short = _task(), replace(dataset, train=Split(dataset.train.x[:128], dataset.train.y[:128]))
    history = training.train(task, NotANumber(), keras.optimizers.SGD(0.05), short, epochs=3, batch_size=32, seed=5)
    reference, _ = _train(short, task=_task(), epochs=1)
    assert (history.status, history.diverged_step) == ("diverged", 5)
    _assert_same_weights(task, reference)


def test_dropout_follows_the_training_mode(dataset):
    on, off = _task(training_mode=True), _task(training_mode=False)
    x, seed = tf.constant(dataset.test.x), tf.constant([0, 1], tf.int64)
    np.testing.assert_array_equal(off.outputs(x, seed), off.predictions(x))
    np.testing.assert_array_equal(on.outputs(x, seed), on.outputs(x, seed))
    assert not np.array_equal(on.outputs(x, seed), on.outputs(x, seed + 1))
    assert not np.array_equal(on.outputs(x, seed), on.predictions(x))


def test_bfloat16_trains_with_float32_variables(dataset):
    task, history = _train(dataset, task=_task(precision="mixed_bfloat16"))
    assert history.status == "finished"
    assert {weight.dtype for weight in task.weights} == {"float32"}
    assert history.epochs[-1]["train_loss"] < history.epochs[0]["train_loss"]


def test_keras_callbacks_work(dataset, tmp_path, capsys):
    bar = keras.callbacks.ProgbarLogger()
    csv = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=10.0)
    rates = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    optimizer = keras.optimizers.SGD(0.05)
    _, history = _train(dataset, optimizer, epochs=5, callbacks=[bar, csv, stop, rates])
    assert history.status == "stopped"
    assert len(history.epochs) == 2
    assert float(optimizer.learning_rate) == pytest.approx(0.05)
    assert "val_accuracy" in capsys.readouterr().out
    assert (tmp_path / "log.csv").read_text().splitlines()[0].startswith("epoch,accuracy")


def test_diagnostics_join_the_record(dataset):
    _, history = _train(dataset, diagnostics=[lambda moment: {"sum": len(moment.dataset.train) + moment.epoch}])
    assert [record["sum"] for record in history.epochs] == [201, 202, 203]


class _Stop(keras.callbacks.Callback):
    """Ends the process's part of a run after some epochs, as a kill between two epochs would."""

    def __init__(self, epochs):
        super().__init__()
        self._epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epochs:
            raise KeyboardInterrupt


def test_resuming_after_an_interrupt_is_bit_identical(dataset, tmp_path):
    whole, whole_history = _train(dataset, keras.optimizers.Adam(), epochs=4)
    with pytest.raises(KeyboardInterrupt):
        _train(dataset, keras.optimizers.Adam(), epochs=4, checkpoint_dir=tmp_path, callbacks=[_Stop(2)])
    resumed, history = _train(dataset, keras.optimizers.Adam(), epochs=4, checkpoint_dir=tmp_path)
    _assert_same_weights(whole, resumed)
    assert _without_seconds(history) == _without_seconds(whole_history)
    again, same = _train(dataset, keras.optimizers.Adam(), epochs=4, checkpoint_dir=tmp_path)
    _assert_same_weights(whole, again)
    assert same.epochs == history.epochs


def _mlp_epochs(dataset, **options):
    optimizer = keras.optimizers.Adam(0.01)
    return _train(dataset, optimizer, task=_task(network="mlp", hidden=(5,)), epochs=7, **options)


@pytest.mark.parametrize("batch_size", [32, 200], ids=["minibatches", "full batch"])
def test_many_epochs_in_one_call_are_bit_identical(dataset, batch_size):
    whole, history = _mlp_epochs(dataset, batch_size=batch_size)
    fast, sparse = _mlp_epochs(dataset, batch_size=batch_size, record_every=3)
    _assert_same_weights(whole, fast)
    assert [record["epoch"] for record in sparse.epochs] == [3, 6, 7]
    assert _without_seconds(sparse) == [_without_seconds(history)[epoch - 1] for epoch in (3, 6, 7)]


def test_many_epochs_in_one_call_with_xla(dataset):
    whole, _ = _mlp_epochs(dataset, jit_compile=True)
    fast, sparse = _mlp_epochs(dataset, jit_compile=True, record_every=3)
    _assert_same_weights(whole, fast)
    assert [record["epoch"] for record in sparse.epochs] == [3, 6, 7]


def test_a_killed_run_of_many_epochs_a_call_is_bit_identical_and_may_be_extended(dataset, tmp_path):
    whole, history = _mlp_epochs(dataset, record_every=3)
    with pytest.raises(KeyboardInterrupt):
        _mlp_epochs(dataset, record_every=3, checkpoint_dir=tmp_path, callbacks=[_Stop(3)])
    resumed, again = _mlp_epochs(dataset, record_every=3, checkpoint_dir=tmp_path)
    _assert_same_weights(whole, resumed)
    assert _without_seconds(again) == _without_seconds(history)
    with pytest.raises(ValueError, match=r"epochs = 7, this one has 6"):
        _train(dataset, keras.optimizers.Adam(0.01), task=_task(network="mlp", hidden=(5,)), epochs=6,
               checkpoint_dir=tmp_path)  # fmt: skip


def test_divergence_within_many_epochs_names_its_epoch_and_step(dataset):
    class NotANumber(Backpropagation):
        def estimate(self, x, y, seed):
            estimate = super().estimate(x, y, seed)
            broken = tf.where(seed[1] == 17, math.nan, 1.0)  # in the third epoch of seven steps
            return estimate._replace(gradients=[gradient * broken for gradient in estimate.gradients])

    options = {"epochs": 10, "batch_size": 32, "seed": 5, "record_every": 10}
    history = training.train(_task(), NotANumber(), keras.optimizers.SGD(0.05), dataset, **options)
    assert (history.status, history.diverged_step) == ("diverged", 18)
    assert [(record["epoch"], record["step"]) for record in history.epochs] == [(3, 18)]


def test_early_stopping_counts_on_after_an_interrupt(dataset, tmp_path):
    def patient():
        return keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, min_delta=10.0)

    _, whole = _train(dataset, epochs=8, callbacks=[patient()])
    with pytest.raises(KeyboardInterrupt):
        _train(dataset, epochs=8, callbacks=[patient(), _Stop(2)], checkpoint_dir=tmp_path)
    _, resumed = _train(dataset, epochs=8, callbacks=[patient()], checkpoint_dir=tmp_path)
    assert resumed.status == whole.status == "stopped"
    assert _without_seconds(resumed) == _without_seconds(whole)


def _averaging(**options):
    """The optimizer whose average `SwapEMAWeights` has evaluated, as arguments of `_train`."""
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.8)
    callbacks = [keras.callbacks.SwapEMAWeights(), *options.pop("callbacks", [])]
    return {"optimizer": optimizer, "task": _small_task(), "callbacks": callbacks} | options


def _small_task():
    return _task(network="mlp", hidden=(6,))


def _averaged_by_hand(dataset, epochs):
    """After each epoch the moving average that a numpy loop makes of the weights after each step; the first is one."""
    task, estimator, average, averages = _small_task(), Backpropagation(), None, []
    estimator.build(task)
    step = tf.function(training.one_step(task, estimator, keras.optimizers.SGD(0.05, momentum=0.9)))
    for epoch in range(1, epochs + 1):
        order = epoch_order(200, 5, epoch).numpy()
        for chosen in np.split(order, range(32, 200, 32)):
            step(dataset.train.x[chosen], dataset.train.y[chosen], tf.constant([5, 0], tf.int64))
            weights = [weight.numpy().astype(np.float64) for weight in task.weights]
            average = average or weights
            average = [0.8 * old + 0.2 * new for old, new in zip(average, weights, strict=True)]
        averages.append(average)
    return task, averages


def test_averaged_weights_are_what_is_evaluated_and_not_what_is_trained(dataset):
    task, history = _train(dataset, **_averaging(epochs=2))
    reference, averages = _averaged_by_hand(dataset, 2)
    for a, b in zip(task.weights, reference.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)
    unaveraged = training.evaluate(reference, dataset.validation)[0]
    for record, average in zip(history.epochs, averages, strict=True):
        for weight, value in zip(reference.weights, average, strict=True):
            weight.assign(value)
        loss, metric = training.evaluate(reference, dataset.validation)
        assert (record["validation_loss"], record["validation_metric"]) == pytest.approx((loss, metric), rel=1e-4)
    assert history.epochs[-1]["test_loss"] == pytest.approx(training.evaluate(reference, dataset.test)[0], rel=1e-4)
    assert abs(history.epochs[-1]["validation_loss"] - unaveraged) > 1e-2


def test_resuming_a_run_with_averaged_weights_is_bit_identical(dataset, tmp_path):
    whole, whole_history = _train(dataset, **_averaging(epochs=4))
    with pytest.raises(KeyboardInterrupt):
        _train(dataset, **_averaging(epochs=4, checkpoint_dir=tmp_path, callbacks=[_Stop(2)]))
    resumed, history = _train(dataset, **_averaging(epochs=4, checkpoint_dir=tmp_path))
    _assert_same_weights(whole, resumed)
    assert _without_seconds(history) == _without_seconds(whole_history)


def test_every_evaluation_lies_between_its_hooks(dataset):
    class Says(keras.callbacks.Callback):
        said = ()

        def on_test_begin(self, logs=None):
            self.said += ("begin",)

        def on_test_end(self, logs=None):
            self.said += ("end",)

        def on_epoch_end(self, epoch, logs=None):
            self.said += (epoch,)

    says = Says()
    _train(dataset, task=_small_task(), epochs=2, callbacks=[says])
    assert says.said == ("begin", "end", 0, "begin", "end", 1, "begin", "end")  # the last one is the test split


def test_a_diverged_run_stays_diverged_when_started_again(digits, tmp_path):
    _, first = _diverge(digits, checkpoint_dir=tmp_path)
    _, second = _diverge(digits, checkpoint_dir=tmp_path)
    assert (second.status, second.diverged_step) == ("diverged", first.diverged_step)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 16}, "batch_size = 32, this one has 16"),
        ({"seed": 6}, "seed = 5, this one has 6"),
        ({"optimizer": keras.optimizers.SGD(0.1)}, "optimizer = 'SGD(0.05)', this one has 'SGD(0.1)'"),
        ({"task": _task(training_mode=False)}, "training_mode = True, this one has False"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(dataset, tmp_path, change, words):
    _train(dataset, epochs=1, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint_dir .* holds a run with") as error:
        _train(dataset, epochs=1, checkpoint_dir=tmp_path, **change)
    assert words in str(error.value)


def test_more_epochs_train_on_and_fewer_are_refused(dataset, tmp_path):
    whole, whole_history = _train(dataset, epochs=4)
    _train(dataset, epochs=2, checkpoint_dir=tmp_path)
    extended, history = _train(dataset, epochs=4, checkpoint_dir=tmp_path)
    _assert_same_weights(whole, extended)
    assert _without_seconds(history) == _without_seconds(whole_history)
    with pytest.raises(ValueError, match=r"holds a run with epochs = 4, this one has 3"):
        _train(dataset, epochs=3, checkpoint_dir=tmp_path)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}, {"batch_size": 201}, {"record_every": 0}])
def test_wrong_arguments_are_named(dataset, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be .* got {next(iter(wrong.values()))}"):
        _train(dataset, **wrong)


_LONG_RUN = """
import json, sys
import keras, numpy as np
from common.tasks import networks as models
from common.tasks import task as tasks
from common import training
from common.data import Dataset, Split, load
from common.estimators.backpropagation import Backpropagation

def split(examples, seed):
    rng = np.random.default_rng(seed)
    return Split(rng.random((examples, 12, 12, 1), dtype=np.float32), rng.integers(0, 4, examples).astype(np.int32))

class Say(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        print("begin", epoch, flush=True)
    def on_epoch_end(self, epoch, logs=None):
        print("end", epoch, flush=True)

folder, weights = sys.argv[1] or None, sys.argv[2]
task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0))
dataset = Dataset("noise", "classification", split(4000, 0), split(20, 1), split(20, 2), 4, "abc", "made here")
history = training.train(task, Backpropagation(), keras.optimizers.SGD(0.01, momentum=0.9), dataset, epochs=3,
                         batch_size=2, seed=7, callbacks=[Say()], checkpoint_dir=folder)
records = [{k: v for k, v in record.items() if k != "seconds"} for record in history.epochs]
np.savez(weights, *[weight.numpy() for weight in task.weights], history=json.dumps(records))
"""


def _start(checkpoints, weights):
    command = [sys.executable, "-c", _LONG_RUN, str(checkpoints), str(weights)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_a_run_killed_within_an_epoch_ends_as_if_it_had_not_been(tmp_path):
    """A real SIGKILL, in the middle of the second epoch."""
    untouched = _start("", tmp_path / "whole.npz")
    assert untouched.wait(timeout=900) == 0
    victim = _start(tmp_path / "checkpoints", tmp_path / "killed.npz")
    for line in victim.stdout:
        if line.strip() == "begin 1":
            time.sleep(0.1)
            os.kill(victim.pid, signal.SIGKILL)
            break
    rest = victim.stdout.read()
    assert victim.wait(timeout=900) == -signal.SIGKILL
    assert "end 1" not in rest
    assert not (tmp_path / "killed.npz").exists()
    resumed = _start(tmp_path / "checkpoints", tmp_path / "killed.npz")
    output = resumed.communicate(timeout=900)[0]
    assert resumed.returncode == 0
    assert "begin 0" not in output  # it went on and did not start afresh
    whole, killed = np.load(tmp_path / "whole.npz"), np.load(tmp_path / "killed.npz")
    assert set(whole) == set(killed)
    for name in whole:
        np.testing.assert_array_equal(whole[name], killed[name])
