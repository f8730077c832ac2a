"""The variables of a run, as a checkpoint would find them: carried over to a traced run, or put back after a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

Variable = tf.Variable | keras.Variable


def variables_of(*parts: Any) -> list[Variable]:
    """Return every variable that these trackable objects hold, each once, in an order that their structure decides."""
    nodes = (node for part in parts for node in tf.train.TrackableView(part).descendants())
    return list({id(node): node for node in nodes if isinstance(node, Variable)}.values())


def carry_over(source: Sequence[Variable], target: Sequence[Variable]) -> None:
    """Assign the values of one run's variables to another's of the same structure.

    Raises:
        ValueError: the two have not the same shapes.
    """
    shapes = [[tuple(variable.shape) for variable in variables] for variables in (source, target)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"a run restarts with objects of the same settings: these have {len(shapes[0])} variables, the traced run "
            f"has {len(shapes[1])}, and their shapes differ"
        )
    for new, old in zip(source, target, strict=True):
        old.assign(tf.convert_to_tensor(new))


@contextmanager
def unchanged(variables: Sequence[Variable]) -> Iterator[None]:
    """Put back what the variables held: whoever looks at a run between two steps leaves it as it was."""
    before = [tf.identity(tf.convert_to_tensor(variable)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
