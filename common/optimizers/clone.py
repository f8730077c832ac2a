"""Copies of optimizers: an unbuilt Keras optimizer serves as settings, and training uses a copy of it."""

from __future__ import annotations

import keras

from common.optimizers.schedules import bind


def copy_of(
    optimizer: keras.optimizers.Optimizer, steps: int | None = None, steps_per_epoch: int | None = None
) -> keras.optimizers.Optimizer:
    """Return another optimizer with the same settings and its own state.

    Args:
        optimizer: any Keras optimizer; its state, if it has one, is not copied.
        steps: number of updates of the copy's run, to which a relative schedule is bound; None leaves it unbound.
        steps_per_epoch: number of updates per epoch of that run; None: all of `steps` are one epoch.

    Example:
        >>> from common.optimizers import Momentum
        >>> copy_of(Momentum(0.1, momentum=0.5)).momentum
        0.5
    """
    copy = type(optimizer).from_config(optimizer.get_config())
    if steps is not None:
        bind(copy, steps, steps if steps_per_epoch is None else steps_per_epoch)
    return copy
