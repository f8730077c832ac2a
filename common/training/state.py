"""The variables of a run, and how the values of freshly made objects get into those that are traced already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task

Variable = tf.Variable | keras.Variable


def variables_of(*parts: Task | GradientEstimator | keras.optimizers.Optimizer) -> list[Variable]:
    """Return every variable of built parts of a run, each once, in an order that the objects' structure decides."""
    tasks = [part for part in parts if isinstance(part, Task)]
    named = {f"part{i}": part.network if isinstance(part, Task) else part for i, part in enumerate(parts)}
    root = tf.train.Checkpoint(**named)  # the view does not keep it alive
    descendants = tf.train.TrackableView(root).descendants()
    tracked = [part for part in descendants if isinstance(part, Variable)]
    # The state of dropout is no part of a checkpoint: each step sets it.
    tracked += [variable for task in tasks for variable in task.network.variables]
    return list({id(variable): variable for variable in tracked}.values())


@contextmanager
def unchanged(variables: Sequence[Variable]) -> Iterator[None]:
    """Put back, at the end, the values that variables have at the beginning."""
    before = [tf.identity(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


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
