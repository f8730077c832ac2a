"""The variables of a run, and the transfer of values from new objects to objects in a trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from common.estimators.estimator import GradientEstimator
from common.tasks.task import Task

Variable = tf.Variable | keras.Variable


def variables_of(*parts: Task | GradientEstimator | keras.optimizers.Optimizer) -> list[Variable]:
    """Return every variable of built parts of a run, each once; the objects' structure determines the order."""
    tasks = [part for part in parts if isinstance(part, Task)]
    named = {f"part{i}": part.network if isinstance(part, Task) else part for i, part in enumerate(parts)}
    root = tf.train.Checkpoint(**named)  # the view below does not keep it alive
    descendants = tf.train.TrackableView(root).descendants()
    tracked = [part for part in descendants if isinstance(part, Variable)]
    # A checkpoint does not contain the state of dropout, because each step sets it.
    tracked += [variable for task in tasks for variable in task.network.variables]
    return list({id(variable): variable for variable in tracked}.values())


@contextmanager
def unchanged(variables: Sequence[Variable]) -> Iterator[None]:
    """Restore, at the end of the block, the values that variables have at its beginning."""
    before = [tf.identity(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def carry_over(source: Sequence[Variable], target: Sequence[Variable]) -> None:
    """Assign the values of one run's variables to those of another run with the same structure.

    Raises:
        ValueError: the two lists differ in length or shapes.
    """
    shapes = [[tuple(variable.shape) for variable in variables] for variables in (source, target)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"restart takes objects of the same settings as the traced run's: these have {len(shapes[0])} variables, "
            f"that has {len(shapes[1])}, or other shapes"
        )
    for new, old in zip(source, target, strict=True):
        old.assign(tf.convert_to_tensor(new))
