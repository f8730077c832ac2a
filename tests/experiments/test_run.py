"""A plan is trained run by run, and a second plan of the same notebook goes on counting."""

import keras
import pytest

from common.data import load
from common.estimators import Backpropagation
from common.experiments import progress
from common.experiments.run import Run, train_all
from common.optimizers import SGD
from common.tasks.networks import Network


def test_a_second_plan_counts_on_and_has_logs_of_its_own(tmp_path):
    digits = load("digits", 157)
    small = type(digits)(**{**vars(digits), "train": type(digits.train)(digits.train.x[:64], digits.train.y[:64])})
    first = Run("first", Backpropagation(), SGD(0.1), 1, 32)
    shared = {"network": Network("mlp", [4]), "seeds": [0], "experiment": "made", "tensorboard_dir": tmp_path}
    frame, trained = train_all([first, first.but("second", optimizer=SGD(0.2))], small, **shared)
    later, _ = train_all([first.but("third", optimizer=SGD(0.3))], small, **shared, trained_before=2)
    assert [*frame["order"].unique(), *later["order"].unique()] == [0, 1, 2]
    places = sorted(folder.name for folder in tmp_path.iterdir())
    assert [name.rsplit("-", 1)[0] for name in places] == ["00-seed0", "01-seed0", "02-seed0"]
    assert len({name.rsplit("-", 1)[1] for name in places}) == 3  # the runs' digests
    assert isinstance(trained["second", 0].network, keras.Model)
    memory = frame["peak_memory"].dropna()  # only Linux tells
    assert memory.between(2**27, 2**40).all()
    assert frame["energy_joules"].dropna().gt(0).all()


class _Interrupted(progress.Progress):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        super().on_epoch_end(epoch, logs)


def test_a_run_that_was_stopped_says_where_it_goes_on(tmp_path, monkeypatch, capsys):
    digits = load("digits", 157)
    small = type(digits)(**{**vars(digits), "train": type(digits.train)(digits.train.x[:64], digits.train.y[:64])})
    plan = [Run("first", Backpropagation(), SGD(0.1), 3, 32)]
    shared = {"network": Network("mlp", [4]), "seeds": [0], "experiment": "made", "store": tmp_path}
    monkeypatch.setattr(progress, "Progress", _Interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_all(plan, small, **shared)
    assert "goes on" not in capsys.readouterr().out
    monkeypatch.undo()
    frame, _ = train_all(plan, small, **shared)
    assert "first, seed 0 goes on after epoch 1 of 3, from its checkpoint" in capsys.readouterr().out
    assert list(frame["epoch"]) == [1, 2, 3]
