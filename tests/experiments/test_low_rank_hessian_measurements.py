import keras
import numpy as np
import pandas as pd
import pytest

from common import results
from common.data import Split, load
from common.estimators import Backpropagation, SaddleFreeNewton
from common.experiments.low_rank_hessian.measurements import overlaps, with_measurements, with_timed_seconds
from common.experiments.low_rank_hessian.run_selection import measurement
from common.experiments.run import Run
from common.optimizers import SGD, ExponentialDecay
from common.tasks.networks import Network


def _frame(run, group, examples):
    label = {"run": run, "group": group, "train_examples": examples, "batch_size": 10, "order": 0, "seed": 0}
    label |= {"experiment": "any", "method": "any", "status": "finished", "metric": "accuracy"}
    steps = -(-examples // 10)
    return results.run_frame([{"epoch": epoch, "step": epoch * steps} for epoch in (1, 2, 3)], **label)


def test_full_runs_are_read_off_the_clock_of_timed_epochs():
    """By hand: 3 timed steps per epoch, 4 s, then 2 s; a full epoch has 6 steps."""
    frame = results.combine([_frame("a", "full", 55), _frame("recipe", "cause", 25)])
    timed = with_timed_seconds(frame, {"a": [4.0, 2.0]})["timed_seconds"]
    assert timed[:3].tolist() == pytest.approx([6, 10, 14])
    assert timed[3:].isna().all()
    assert "timed_seconds" not in with_timed_seconds(frame, {})


def test_measurements_go_with_the_runs_and_their_trials():
    runs, trials = _frame("a", "full", 55), _frame("trial: a", "trial", 55)
    measured = {"timed": {}, "classes": 10}
    both = with_measurements(runs, trials, measured)
    assert set(both["run"]) == {"a", "trial: a"}
    assert measurement(both, "classes") == 10
    alone = with_measurements(runs, pd.DataFrame(), measured)
    assert set(alone["run"]) == {"a"}
    assert measurement(alone, "classes") == 10


def test_overlaps_begin_at_the_start_and_after_an_epoch():
    digits = load("digits", 157)
    few = Split(digits.train.x[:64], digits.train.y[:64])
    newton = SaddleFreeNewton(Backpropagation(), 2, 1.0, 8)
    run = Run("newton", newton, SGD(ExponentialDecay(0.1, 0.5)), epochs=2, batch_size=32)
    data = type(digits)(**{**vars(digits), "train": few})
    measured = overlaps(run, data, network=Network("mlp", [4]), seed=0, at_steps=[3, 1], examples=16)
    assert list(measured) == ["from the start", "after an epoch"]
    assert [list(values) for values in measured.values()] == [[0, 1, 3], [0, 1, 3]]
    squared_cosines = np.array([[*values.values()] for values in measured.values()])
    assert (squared_cosines > 0).all()
    assert (squared_cosines < 1.01).all()
    assert isinstance(run.optimizer, keras.optimizers.Optimizer)
    assert not run.optimizer.built
