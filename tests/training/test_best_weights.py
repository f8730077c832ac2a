"""The weights of the best epoch on validation data end a run, and are tested; a resumed run ends the same."""

import keras
import numpy as np
import pytest

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation
from common.tasks.networks import build
from common.tasks.task import classification
from common.training.best_weights import BestWeights


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x, y = rng.random((90, 4, 4, 1), dtype=np.float32), rng.integers(0, 3, 90).astype(np.int32)
    test = Split(x[60:], y[60:])
    return Dataset("random", "classification", Split(x[:60], y[:60]), test, test, 3, "abc", "")


class _Ends(keras.callbacks.Callback):
    """Sees the weights after every epoch, and interrupts a run before one of them."""

    def __init__(self, before=None):
        super().__init__()
        self.seen, self._before = [], before

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._before:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.model.get_weights())


def _train(data, *callbacks, checkpoint_dir=None):
    task = classification(build("normalised_mlp", (4, 4, 1), 3, seed=0, hidden=(6,)))
    options = {"epochs": 6, "batch_size": 20, "seed": 0, "callbacks": callbacks, "checkpoint_dir": checkpoint_dir}
    # So large a rate that accuracy goes up and down.
    history = training.train(task, Backpropagation(), keras.optimizers.SGD(2.0), data, **options)
    return task, history


def test_the_best_epoch_s_weights_are_tested(data):
    ends = _Ends()
    task, history = _train(data, ends, BestWeights())
    reached = [record["validation_metric"] for record in history.epochs]
    best = int(np.argmax(reached))
    assert best < len(reached) - 1  # else nothing is seen
    for kept, weight in zip(ends.seen[best], task.network.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)
    assert history.epochs[-1]["test_metric"] == pytest.approx(max(reached))  # of the same examples here


@pytest.mark.parametrize("before", [2, 5])
def test_a_resumed_run_ends_with_the_same_weights(data, tmp_path, before):
    whole, _ = _train(data, BestWeights())
    with pytest.raises(KeyboardInterrupt):
        _train(data, BestWeights(), _Ends(before), checkpoint_dir=tmp_path)
    resumed, _ = _train(data, BestWeights(), checkpoint_dir=tmp_path)
    for a, b in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
