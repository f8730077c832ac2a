"""Runs that differ in settings of their estimator alone."""

import pytest

from common.data import load
from common.estimators import Backpropagation, ConstantNoise, NoisyGradient
from common.experiments.run import Run
from common.experiments.tuning import time_in_turn
from common.optimizers import SGD
from common.tasks.networks import Network

NOISY = Run("noisy", NoisyGradient(Backpropagation(), ConstantNoise(0.1), clip_norm=1.0), SGD(0.1), 2, 32, "full")


def test_other_settings_and_nothing_else():
    changed = NOISY.with_settings("more noise", level=ConstantNoise(1.0))
    assert changed.name == "more noise"
    assert changed.estimator == NoisyGradient(Backpropagation(), ConstantNoise(1.0), clip_norm=1.0)
    assert changed.but("noisy", estimator=NOISY.estimator) == NOISY
    assert NOISY.estimator.level == ConstantNoise(0.1)


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(
        ValueError, match=r"a setting of NoisyGradient must be one of inner, level.*did you mean 'level'"
    ):
        NOISY.with_settings("more noise", levl=ConstantNoise(1.0))  # codespell:ignore


def test_a_value_is_checked_by_the_estimator():
    with pytest.raises(ValueError, match="clip_norm"):
        NOISY.with_settings("clipped", clip_norm=-1.0)


def test_without_epochs_nothing_is_timed():
    assert time_in_turn([NOISY], load("digits", 157), network=Network("mlp", [4]), seed=0, epochs=0) == {}
