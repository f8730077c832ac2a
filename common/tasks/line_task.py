"""A line on one feature as a task: two weights, slope and intercept, with the loss surface of `LineLoss`."""

from __future__ import annotations

import dataclasses

from common.data.load import Dataset, Split
from common.settings import Configured
from common.tasks import networks
from common.tasks.line_loss import LineLoss
from common.tasks.task import Task, regression


class Line(Configured):
    """A line on one feature, from zero, in place of a network; the data come from `one_feature`."""

    def __init__(self):
        pass

    def task(self, dataset: Dataset, seed: int) -> Task:  # noqa: ARG002 - what a run calls, with any network
        """Return a regression with slope and intercept at zero, whatever the seed."""
        network = networks.build("mlp", dataset.train.x.shape[1:], 1, seed=0, hidden=())
        network.set_weights([0 * weight for weight in network.get_weights()])
        return regression(network)


def one_feature(dataset: Dataset, column: int) -> Dataset:
    """Return training and test examples with one feature, as "<name>, one feature"; the validation part is empty.

    Args:
        dataset: a data set with examples of shape (features,).
        column: index of the feature, counted from 0.
    """
    train, test = (Split(split.x[:, [column]], split.y) for split in (dataset.train, dataset.test))
    nothing = Split(train.x[:0], train.y[:0])
    return dataclasses.replace(dataset, name=f"{dataset.name}, one feature", train=train, validation=nothing, test=test)


def surface_of(dataset: Dataset) -> LineLoss:
    """Return the training loss of all lines on a data set from `one_feature`."""
    return LineLoss.of(dataset.train.x, dataset.train.y)
