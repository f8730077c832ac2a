"""A line on one feature as a task with two weights, whose loss surface `line_loss` knows."""

from __future__ import annotations

import dataclasses

from common.data.load import Dataset, Split
from common.settings import Configured
from common.tasks import networks
from common.tasks.task import Task, regression


class Line(Configured):
    """Slope and intercept, both zero at the start whatever the seed."""

    def __init__(self):
        pass

    def task(self, dataset: Dataset, seed: int) -> Task:
        """Return the regression on the data set's one feature."""
        network = networks.build("mlp", dataset.train.x.shape[1:], 1, seed=0, hidden=())
        network.set_weights([0 * weight for weight in network.get_weights()])
        return regression(network)


def one_feature(dataset: Dataset, column: int) -> Dataset:
    """Return a data set of one feature and the target, with nothing held out for validation."""
    train, test = (Split(split.x[:, [column]], split.y) for split in (dataset.train, dataset.test))
    none = Split(train.x[:0], train.y[:0])
    return dataclasses.replace(dataset, name=f"{dataset.name}, one feature", train=train, validation=none, test=test)
