"""Several runs of one trace, whatever the network, the optimizer and what is attached to them."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation, ConstantNoise, NoisyGradient
from common.optimizers import SGD, Adam, CosineDecay, Lazy, LinearDecay, Muon
from common.tasks.networks import Network
from common.training.state import variables_of


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    return Split(rng.random((examples, 12, 12, 1), dtype=np.float32), rng.integers(0, 4, examples).astype(np.int32))


DATASET = Dataset("noise", "classification", _split(40, 0), _split(8, 1), _split(8, 2), 4, "abc", "made here")
OPTIONS = {"epochs": 3, "batch_size": 16}
MLP = Network("mlp", (6,))


def _objects(seed, network=MLP, optimizer=lambda: SGD(0.05), estimator=Backpropagation):
    return network.task(DATASET, seed), estimator(), optimizer()


def _state(parts):
    return [tf.convert_to_tensor(variable).numpy() for variable in variables_of(*parts)]


def _without_seconds(history):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history.epochs]


def _assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


CASES = {
    "dropout": {"network": Network("mnist_convnet")},
    "batch norm": {"network": Network("normalised_mlp", (6,)), "optimizer": lambda: Adam(0.01)},
    "bfloat16": {"network": Network("mlp", (6,), precision="mixed_bfloat16")},
    "Keras' Adam": {"optimizer": lambda: keras.optimizers.Adam(0.01)},
    "Muon": {"optimizer": lambda: Muon(0.01)},
    "linear decay with a warm-up": {"optimizer": lambda: SGD(LinearDecay(0.1, warmup=0.3), momentum=0.9)},
    "lazy, cosine": {"optimizer": lambda: Lazy(Adam(CosineDecay(0.01)))},
    "averaged weights": {"optimizer": lambda: SGD(0.05, use_ema=True, ema_momentum=0.8)},
}


COMPILED = [(name, False) for name in CASES] + [("dropout", True), ("linear decay with a warm-up", True)]


@pytest.mark.parametrize(("name", "compiled"), COMPILED)
def test_another_seed_in_the_same_trace_is_bit_identical_to_fresh_objects(name, compiled):
    case, options = CASES[name], OPTIONS | {"jit_compile": compiled}
    trainer = training.Trainer(*_objects(0, **case), DATASET, **options)
    traced = trainer.task, trainer.estimator, trainer.optimizer
    history = trainer.run(0)
    runs = {0: (_without_seconds(history), _state(traced))}  # of fresh objects, which it traced
    expected = _objects(1, **case)
    history = training.train(*expected, DATASET, seed=1, **options)
    runs[1] = _without_seconds(history), _state(expected)
    for seed in (1, 0):
        trainer.restart(*_objects(seed, **case))
        history = trainer.run(seed)
        _assert_same(_state(traced), runs[seed][1])
        assert _without_seconds(history) == runs[seed][0]


def test_a_rate_that_a_callback_changed_is_the_next_runs_own_again():
    falling = [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))]
    trainer = training.Trainer(*_objects(0), DATASET, **OPTIONS)
    trainer.run(0, callbacks=falling)
    trainer.restart(*_objects(1))
    trainer.run(1)
    expected = _objects(1)
    training.train(*expected, DATASET, seed=1, **OPTIONS)
    _assert_same(_state((trainer.task, trainer.estimator, trainer.optimizer)), _state(expected))


def test_a_diverged_run_leaves_nothing_to_the_next():
    trainer = training.Trainer(*_objects(0, optimizer=lambda: Adam(0.01)), DATASET, **OPTIONS)
    trainer.task.weights[0].assign(trainer.task.weights[0] * math.nan)
    assert trainer.run(0).status == "diverged"
    trainer.restart(*_objects(1, optimizer=lambda: Adam(0.01)))
    assert trainer.run(1).status == "finished"
    expected = _objects(1, optimizer=lambda: Adam(0.01))
    training.train(*expected, DATASET, seed=1, **OPTIONS)
    _assert_same(_state((trainer.task, trainer.estimator, trainer.optimizer)), _state(expected))


class _Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_run_in_another_seeds_trace_is_killed_and_resumed_bit_identically(tmp_path):
    def killed(folder):
        trainer = training.Trainer(*_objects(0, optimizer=lambda: Adam(0.01)), DATASET, **OPTIONS)
        trainer.run(0)
        trainer.restart(*_objects(1, optimizer=lambda: Adam(0.01)))
        with pytest.raises(KeyboardInterrupt):
            trainer.run(1, checkpoint_dir=folder, callbacks=[_Stop()])

    killed(tmp_path)
    resumed, whole = (_objects(1, optimizer=lambda: Adam(0.01)) for _ in range(2))
    history = training.train(*resumed, DATASET, seed=1, checkpoint_dir=tmp_path, **OPTIONS)
    expected = training.train(*whole, DATASET, seed=1, **OPTIONS)
    _assert_same(_state(resumed), _state(whole))
    assert _without_seconds(history) == _without_seconds(expected)


def test_each_run_needs_objects_of_its_own():
    trainer = training.Trainer(*_objects(0), DATASET, **OPTIONS)
    trainer.run(0)
    with pytest.raises(ValueError, match=r"^this Trainer has run .*: give others with restart"):
        trainer.run(1)
    with pytest.raises(ValueError, match="of the run's own, got a traced one"):
        trainer.restart(MLP.task(DATASET, 1), trainer.estimator, SGD(0.05))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"estimator": lambda: NoisyGradient(Backpropagation(), ConstantNoise(0.1))},
            "estimator must be Backpropagation(), as in the trace, got 'NoisyGradient(",
        ),
        ({"optimizer": lambda: SGD(0.1)}, "optimizer must be SGD(0.05), as in the trace, got 'SGD(0.1)'"),
    ],
)
def test_other_settings_than_the_traced_ones_are_refused(changes, words):
    trainer = training.Trainer(*_objects(0), DATASET, **OPTIONS)
    with pytest.raises(ValueError, match="as in the trace") as error:
        trainer.restart(*_objects(1, **changes))
    assert words in str(error.value)


def test_another_network_than_the_traced_one_is_refused():
    trainer = training.Trainer(*_objects(0), DATASET, **OPTIONS)
    trainer.run(0)
    trainer.restart(*_objects(1, network=Network("mlp", (7,))))
    with pytest.raises(ValueError, match="restart takes objects of the same settings"):
        trainer.run(1)
