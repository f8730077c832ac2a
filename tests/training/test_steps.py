import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators.backpropagation import Backpropagation
from common.optimizers import SGD, LinearDecay
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training.steps import train_steps


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 3, 40).astype(np.int32)
    parts = (Split(x[a:b], y[a:b]) for a, b in ((0, 24), (24, 32), (32, 40)))
    return Dataset("made", "classification", *parts, 3, "", "made here")


def _run(dataset, estimator=None, rate=0.1, **changes):
    task = tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))
    options = {"epochs": 3, "batch_size": 4, "steps_per_epoch": 2, "seed": 3} | changes
    return task, train_steps(task, estimator or Backpropagation(), keras.optimizers.SGD(rate), dataset, **options)


def test_an_epoch_of_steps_is_an_epoch_of_the_loop(dataset):
    task, history = _run(dataset)
    other = tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))
    optimizer = keras.optimizers.SGD(0.1)
    whole = training.train(other, Backpropagation(), optimizer, dataset, epochs=1, batch_size=4, seed=3)
    for a, b in zip(task.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert [record["step"] for record in history.epochs] == [2, 4, 6]
    assert np.mean([record["train_loss"] for record in history.epochs]) == pytest.approx(whole.epochs[0]["train_loss"])
    for name in ("validation_metric", "test_loss", "test_metric", "cost"):
        assert history.epochs[-1][name] == pytest.approx(whole.epochs[0][name])
    assert history.status == "finished"


def test_it_goes_on_with_the_next_epoch_s_order(dataset):
    history = _run(dataset, epochs=2, steps_per_epoch=7)[1]
    assert [record["step"] for record in history.epochs] == [7, 14]
    assert history.epochs[1]["train_loss"] < history.epochs[0]["train_loss"]


class _Breaks(Backpropagation):
    """Returns gradients that are not numbers at a step."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def estimate(self, x, y, seed):
        estimate = super().estimate(x, y, seed)
        broken = tf.where(seed[1] == self.step, math.nan, 1.0)
        return estimate._replace(gradients=[broken * gradient for gradient in estimate.gradients])


@pytest.mark.parametrize(("breaks", "noticed"), [(0, 2), (2, 4), (5, 6)])
def test_a_diverged_run_ends_and_has_no_test_metric(dataset, breaks, noticed):
    """The loss of the next step tells, or the weights at the next record: the last update's too."""
    history = _run(dataset, _Breaks(breaks))[1]
    assert (history.status, history.diverged_step) == ("diverged", noticed)
    assert history.epochs[-1]["step"] == noticed
    assert "test_metric" not in history.epochs[-1]
    assert math.isnan(history.epochs[-1]["validation_loss"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epochs": 0}, "epochs must be ≥ 1, got 0"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be ≥ 1, got 0"),
        ({"batch_size": 25}, "batch_size must be between 1 and the 24 training examples of 'made', got 25"),
    ],
)
def test_wrong_arguments_are_named(dataset, wrong, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        _run(dataset, **wrong)


def test_a_killed_run_ends_as_if_it_had_not_been(dataset, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    options = {"epochs": 4, "steps_per_epoch": 5}
    whole, expected = _run(dataset, **options)
    with pytest.raises(KeyboardInterrupt):
        _run(dataset, **options, checkpoint_dir=tmp_path, callbacks=[Stop()])
    resumed, history = _run(dataset, **options, checkpoint_dir=tmp_path)
    for a, b in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [record["train_loss"] for record in history.epochs] == [record["train_loss"] for record in expected.epochs]


def test_diagnostics_and_a_relative_schedule(dataset):
    task = tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))
    optimizer = SGD(LinearDecay(0.1))
    options = {"epochs": 3, "batch_size": 4, "steps_per_epoch": 2, "seed": 3}
    rate = {"diagnostics": [lambda moment: {"rate": moment.optimizer.learning_rate}]}
    history = train_steps(task, Backpropagation(), optimizer, dataset, **options, **rate)
    assert [record["rate"] for record in history.epochs] == pytest.approx([0.1 * 4 / 6, 0.1 * 2 / 6, 0.0])
