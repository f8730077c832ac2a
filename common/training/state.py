"""The variables of a run, and how the values of freshly made objects get into those that are traced already."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task

Variable = tf.Variable | keras.Variable


def variables_of(task: Task, estimator: GradientEstimator, optimizer: keras.optimizers.Optimizer) -> list[Variable]:
    """Return every variable of a built run, each once, in an order that the objects' structure decides."""
    parts = tf.train.Checkpoint(network=task.network, estimator=estimator, optimizer=optimizer)
    tracked = [part for part in tf.train.TrackableView(parts).descendants() if isinstance(part, Variable)]
    # The state of dropout is no part of a checkpoint: each step sets it.
    return list({id(variable): variable for variable in (*tracked, *task.network.variables)}.values())


def carry_over(source: Sequence[Variable], target: Sequence[Variable]) -> None:
    """Assign the values of one run's variables to another's of the same structure.

    Raises:
        ValueError: the two differ in their number or shapes.
    """
    shapes = [[tuple(variable.shape) for variable in variables] for variables in (source, target)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"restart takes objects of the same settings as the traced run's: these have {len(shapes[0])} variables, "
            f"that has {len(shapes[1])}, or other shapes"
        )
    for new, old in zip(source, target, strict=True):
        old.assign(tf.convert_to_tensor(new))
