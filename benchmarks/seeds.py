"""Several seeds of one run: one trace for all of them, and one trace per seed."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.baseline import images
from common.data.load import Dataset
from common.estimators.backpropagation import Backpropagation
from common.tasks.networks import Network
from common.training.loop import Trainer, train

SEEDS = range(5)
EXAMPLES = 1_280
OPTIONS = {"epochs": 1, "batch_size": 128}


def data() -> Dataset:
    """Return random images for ten updates, so that tracing takes the share that it has in a small run."""
    parts = images(EXAMPLES), images(128), images(128)
    return Dataset("random images", "classification", *parts, 10, "", "made here")


def one_trace(dataset: Dataset) -> list[list[np.ndarray]]:
    """Train all seeds in one trace and return the weights of each."""
    trainer, weights = None, []
    for seed in SEEDS:
        if trainer is None:
            trainer = Trainer(*_fresh(dataset, seed), dataset, **OPTIONS)
        else:
            trainer.restart(*_fresh(dataset, seed))
        trainer.run(seed)
        weights.append(trainer.task.network.get_weights())
    return weights


def a_trace_each(dataset: Dataset) -> list[list[np.ndarray]]:
    """Train each seed in a separate trace and return the weights of each."""
    weights = []
    for seed in SEEDS:
        task, estimator, optimizer = _fresh(dataset, seed)
        train(task, estimator, optimizer, dataset, seed=seed, **OPTIONS)
        weights.append(task.network.get_weights())
    return weights


def _fresh(dataset: Dataset, seed: int) -> tuple:
    return Network("mnist_convnet").task(dataset, seed), Backpropagation(), keras.optimizers.Adam(0.001)
