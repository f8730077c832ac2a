"""One epoch of a 4×256 network with batch size 256: linear predictors that see the label, and backpropagation."""

from __future__ import annotations

from collections.abc import Callable

import keras

from common import training
from common.data import Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.estimators.estimator import GradientEstimator
from common.experiments.synthetic_gradients.critical_path import critical_path, longest_wait
from common.tasks import networks
from common.tasks import task as tasks

BATCH = 256
HIDDEN = (256,) * 4
DEPTHS = (3, 4, 5, 6, 10, 20)


def backpropagation(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch on exact gradients."""
    return _loop(data, Backpropagation())


def synthetic(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch on synthetic gradients, and also trains the predictors."""
    return _loop(data, SyntheticGradients())


def chains() -> list[tuple[int, int, int, int, int]]:
    """Return rows (layers, longest chain of products: exact, linear predictors; longest wait: the same two)."""
    return [
        (layers, *(count(layers, hidden) for count in (critical_path, longest_wait) for hidden in (None, 0)))
        for layers in DEPTHS
    ]


def _loop(data: Split, estimator: GradientEstimator) -> Callable[[], object]:
    task = tasks.classification(networks.build("normalised_mlp", (28, 28, 1), 10, seed=0, hidden=HIDDEN))
    return training.one_epoch(task, estimator, keras.optimizers.Adam(0.001), data, batch_size=BATCH, seed=0)
