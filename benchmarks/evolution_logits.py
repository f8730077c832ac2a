"""One epoch of lenet5 with batch size 128: 0-1 losses of sampled logits, and backpropagation."""

from __future__ import annotations

from collections.abc import Callable

import keras

from common import training
from common.data import Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import GradientEstimator
from common.estimators.evolution.logit_evolution import LogitEvolution
from common.estimators.evolution.logit_gradient import Likelihood, SmoothedAccuracy
from common.estimators.evolution.logit_quadrature import ExactLogitGradient
from common.tasks import networks
from common.tasks import task as tasks

BATCH = 128
SAMPLES = 200


def backpropagation(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch on the gradient of the cross-entropy."""
    return _loop(data, Backpropagation())


def independent(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch on 200 independent samples per example, as the source does."""
    return _loop(data, LogitEvolution(SmoothedAccuracy(), 4.0, SAMPLES))


def antithetic(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch on 200 samples per example, drawn in pairs."""
    return _loop(data, LogitEvolution(Likelihood(), 1.0, SAMPLES, antithetic=True))


def quadrature(data: Split) -> Callable[[], object]:
    """Return a function that trains one epoch on the exact gradient under noise."""
    return _loop(data, ExactLogitGradient(Likelihood(), 1.0))


def _loop(data: Split, estimator: GradientEstimator) -> Callable[[], object]:
    task = tasks.classification(networks.build("lenet5", (28, 28, 1), 10, seed=0))
    return training.one_epoch(task, estimator, keras.optimizers.Adam(0.001), data, batch_size=BATCH, seed=0)
