"""Optimizers made again: unbuilt Keras optimizers are settings, and whoever trains with one trains with a copy."""

from __future__ import annotations

import keras

from common.optimizers.schedules import bind


def copy_of(
    optimizer: keras.optimizers.Optimizer, steps: int | None = None, steps_per_epoch: int | None = None
) -> keras.optimizers.Optimizer:
    """Return another one with the same settings and a state of its own.

    Args:
        optimizer: any Keras optimizer; its state, if it has one, is not copied.
        steps: updates of the copy's run, to which a relative schedule is bound; None leaves it unbound.
        steps_per_epoch: of that run; None: all of `steps` are one epoch.

    Example:
        >>> from common.optimizers import Momentum
        >>> copy_of(Momentum(0.1, momentum=0.5)).momentum
        0.5
    """
    copy = type(optimizer).from_config(optimizer.get_config())
    if steps is not None:
        bind(copy, steps, steps if steps_per_epoch is None else steps_per_epoch)
    return copy
