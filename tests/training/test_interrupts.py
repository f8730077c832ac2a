"""Interrupts stop a call of many epochs, and lose nothing that was trained."""

import math
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation
from common.optimizers import Adam
from common.tasks.networks import Network
from common.training import epoch as epochs
from common.training.interrupts import held_back
from common.training.state import variables_of


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    return Split(rng.random((examples, 6, 6, 1), dtype=np.float32), rng.integers(0, 4, examples).astype(np.int32))


DATASET = Dataset("noise", "classification", _split(50, 0), _split(8, 1), _split(8, 2), 4, "abc", "made here")
MLP = Network("mlp", (6,))
EPOCHS, STEPS = 12, 4  # of 16 examples, the last of 2


class Interrupted(Backpropagation):
    """Sends the process an interrupt in the middle of one step, as a key that is pressed then does."""

    def __init__(self, at: int = -1):
        super().__init__()
        self.at = at

    def estimate(self, x, y, seed):
        def press(step):
            if step == self.at:
                os.kill(os.getpid(), signal.SIGINT)

        tf.py_function(press, [seed[1]], [])
        return super().estimate(x, y, seed)

    def __repr__(self):
        return "Interrupted()"  # where the key is pressed is no setting of the run


def _objects(at=-1, seed=3):
    return MLP.task(DATASET, seed), Interrupted(at), Adam(0.01)


def _train(objects, **options):
    settings = {"epochs": EPOCHS, "batch_size": 16, "seed": 3, "record_every": EPOCHS, "jit_compile": False}
    return training.train(*objects, DATASET, **settings | options)


def _state(parts):
    return [tf.convert_to_tensor(variable).numpy() for variable in variables_of(*parts)]


def _assert_same(first, second):
    for a, b in zip(_state(first), _state(second), strict=True):
        np.testing.assert_array_equal(a, b)


def _without_seconds(history):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history.epochs]


@pytest.fixture
def short_calls(monkeypatch):
    monkeypatch.setattr(epochs, "CALL_SECONDS", 0.0)  # a call a step


@pytest.fixture(scope="module")
def whole():
    objects = _objects()
    return objects, _train(objects)


@pytest.mark.usefixtures("short_calls")
def test_where_calls_end_changes_no_bit(whole):
    objects = _objects()
    history = _train(objects)
    _assert_same(objects, whole[0])
    assert _without_seconds(history) == _without_seconds(whole[1])


@pytest.mark.usefixtures("short_calls")
def test_where_calls_end_changes_no_bit_with_xla():
    def run(**options):
        objects = MLP.task(DATASET, 3), Backpropagation(), Adam(0.01)
        return objects, training.train(*objects, DATASET, epochs=3, batch_size=16, seed=3, jit_compile=True, **options)

    stepwise, history = run(record_every=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, "CALL_SECONDS", 60.0)
        expected, every_epoch = run()
    _assert_same(stepwise, expected)
    assert _without_seconds(history) == _without_seconds(every_epoch)[-1:]


# Within an epoch, in its smaller last batch, in the first and in the last step of the run.
@pytest.mark.parametrize("at", [STEPS * 5 + 1, STEPS * 5 - 1, 0, STEPS * EPOCHS - 1])
@pytest.mark.usefixtures("short_calls")
def test_an_interrupted_call_is_kept_and_resumed_bit_identically(whole, tmp_path, at):
    stopped = _objects(at)
    with pytest.raises(KeyboardInterrupt):
        _train(stopped, checkpoint_dir=tmp_path)
    assert int(stopped[2].iterations) == at + 1  # the step during which it came is the last
    resumed = _objects(at)  # whose step is made already, so that the key is not pressed again
    history = _train(resumed, checkpoint_dir=tmp_path)
    _assert_same(resumed, whole[0])
    assert _without_seconds(history) == _without_seconds(whole[1])
    assert (history.status, history.unfinished) == ("finished", None)
    assert history.epochs[-1]["seconds"] > 0


@pytest.mark.usefixtures("short_calls")
def test_an_interrupted_run_may_be_recorded_more_often_but_not_be_shorter(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _train(_objects(STEPS * 5 + 1), checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=r"^epochs must be ≥ 6, which the checkpoint's run has begun, got 4$"):
        _train(_objects(), checkpoint_dir=tmp_path, epochs=4)
    resumed = _objects()
    history = _train(resumed, checkpoint_dir=tmp_path, record_every=2)
    assert [record["epoch"] for record in history.epochs] == [6, 8, 10, 12]
    _assert_same(resumed, whole[0])


@pytest.mark.usefixtures("short_calls")
def test_an_interrupted_run_of_another_trace_leaves_its_weights_in_its_own_task():
    options = {"epochs": EPOCHS, "batch_size": 16, "record_every": EPOCHS, "jit_compile": False}
    # The traced estimator is the one that presses: in its second run, from which on all is the same again.
    trainer = training.Trainer(*_objects(), DATASET, **options)
    trainer.run(3)
    trainer.estimator.at = STEPS * 2
    task, estimator, optimizer = _objects(seed=4)
    before = [weight.numpy() for weight in task.weights]
    trainer.restart(task, estimator, optimizer)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(4)
    for start, own, traced in zip(before, task.weights, trainer.task.weights, strict=True):
        np.testing.assert_array_equal(own.numpy(), traced.numpy())
        assert not np.array_equal(own.numpy(), start)


SCRIPT = """
import os, signal, sys, threading
import keras
sys.path.insert(0, {folder!r})
from test_interrupts import DATASET, MLP
from common import training
from common.estimators import Backpropagation
from common.optimizers import SGD

class Press(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()

many = 10**9  # years
try:
    training.train(MLP.task(DATASET, 0), Backpropagation(), SGD(0.1), DATASET, epochs=many, batch_size=16, seed=0,
                   record_every=many, callbacks=[Press()])
except KeyboardInterrupt:
    print("stopped")
"""


def test_one_call_of_any_length_stops():
    script = SCRIPT.format(folder=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip().endswith("stopped")


def _press(times):
    with held_back() as interrupted:
        seen = [interrupted()]
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
            seen.append(interrupted())
        raise SystemExit(str(seen))  # the block's end, were it reached


def test_the_first_interrupt_waits_and_the_second_is_raised_at_once():
    with pytest.raises(SystemExit, match=r"^\[False, True\]$"):
        _press(1)
    with pytest.raises(KeyboardInterrupt):
        _press(2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_handler_and_another_thread_are_left_alone():
    seen = []

    def look():
        with held_back() as interrupted:
            seen.append((signal.getsignal(signal.SIGINT), interrupted()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    own = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        look()
    finally:
        signal.signal(signal.SIGINT, own)
    assert seen == [(signal.default_int_handler, False), (signal.SIG_IGN, False)]


def test_a_history_says_nothing_of_interrupts_that_did_not_come(whole):
    assert whole[1].unfinished is None
    assert math.isfinite(whole[1].tracing_seconds)
