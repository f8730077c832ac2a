"""The columns of a result that say which optimizer a run had."""

import keras
import pytest

from common.experiments.identity import optimizer_columns
from common.optimizers import SGD, Adam, CosineDecay, ExponentialDecay, Lazy, Muon

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
