"""What decides a run's numbers, and the columns of a result that say which optimizer it had."""

import keras
import pytest

from common.data import load
from common.estimators import Backpropagation, SyntheticGradients
from common.experiments import identity
from common.experiments.identity import optimizer_columns, run_digest
from common.experiments.run import Run
from common.optimizers import SGD, Adam, CosineDecay, ExponentialDecay, Lazy, Muon
from common.tasks.networks import Network
from common.training.tensorboard import TensorBoard

KERAS = keras.optimizers.schedules


@pytest.mark.parametrize(
    ("optimizer", "columns"),
    [
        (SGD(0.1), {"learning_rate": 0.1, "schedule": "constant"}),
        (
            SGD(0.1, momentum=0.9, nesterov=True),
            {"learning_rate": 0.1, "schedule": "constant", "SGD.momentum": 0.9, "SGD.nesterov": True},
        ),
        (
            Muon(CosineDecay(0.1, 0.01), adam_for=["last"]),
            {"learning_rate": 0.1, "schedule": "CosineDecay", "CosineDecay.final": 0.01, "Muon.adam_for": "['last']"},
        ),
        (
            Lazy(Adam(ExponentialDecay(0.1, 0.5), beta_1=0.8)),
            {
                "learning_rate": 0.1,
                "schedule": "ExponentialDecay",
                "ExponentialDecay.per_epoch": 0.5,
                "Adam.beta_1": 0.8,
            },
        ),
        (
            SGD(KERAS.CosineDecay(0.1, 100)),
            {"learning_rate": 0.1, "schedule": "keras.CosineDecay", "keras.CosineDecay.decay_steps": 100},
        ),
        (
            SGD(KERAS.CosineDecayRestarts(0.1, 100)),
            {"learning_rate": 0.1, "schedule": "CosineDecayRestarts", "CosineDecayRestarts.first_decay_steps": 100},
        ),
        (
            SGD(KERAS.PiecewiseConstantDecay([100], [0.1, 0.01])),
            {
                "learning_rate": 0.1,
                "schedule": "PiecewiseConstantDecay",
                "PiecewiseConstantDecay.boundaries": "[100]",
                "PiecewiseConstantDecay.values": "[0.1, 0.01]",
            },
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.optimizers.Optimizer) else "",
)
def test_an_optimizer_s_columns(optimizer, columns):
    assert optimizer_columns(optimizer) == columns


class _Own(Backpropagation):
    """An estimator of a user's, outside of this project."""


def _counted(monkeypatch, **changes):
    """The modules whose code decides a run's numbers, as `code_digest` is asked for them."""
    asked = []
    monkeypatch.setattr(identity, "code_digest", lambda modules: asked.extend(modules) or "")
    data = load("digits")
    run = Run("mine", Backpropagation(), SGD(0.1), 1, 32, network=Network("mlp", [4]), data=data)
    run_digest(run.but("mine", **changes), 0)
    return set(asked)


@pytest.mark.parametrize(
    ("changes", "module"),
    [
        ({}, "common.training.loop"),
        ({"estimator": _Own()}, __name__),
        ({"optimizer": Lazy(Muon(0.1))}, "common.optimizers.muon"),
        ({"optimizer": SGD(CosineDecay(0.1))}, "common.optimizers.schedules"),
        ({"estimator": SyntheticGradients(optimizer=Lazy(Muon(0.1)))}, "common.optimizers.muon"),
        ({"callbacks": [TensorBoard]}, "common.training.tensorboard"),
    ],
)
def test_the_code_that_counts_is_that_of_every_part(monkeypatch, changes, module):
    assert module in _counted(monkeypatch, **changes)


def test_a_class_that_is_in_no_file_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(_Own, "__module__", "a_notebook")
    run = Run("mine", _Own(), SGD(0.1), 1, 32, network=Network("mlp", [4]), data=load("digits"))
    with pytest.raises(ValueError, match="'a_notebook' has no source file, so its code has no digest"):
        run_digest(run, 0)
