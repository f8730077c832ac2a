"""A plan is trained run by run, and a second plan of the same notebook goes on counting."""

import keras

from common.data import load
from common.estimators import Backpropagation
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
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["00-seed0", "01-seed0", "02-seed0"]
    assert isinstance(trained["second", 0].network, keras.Model)
    memory = frame["peak_memory"].dropna()  # only Linux tells
    assert memory.between(2**27, 2**40).all()
    assert frame["energy_joules"].dropna().gt(0).all()
