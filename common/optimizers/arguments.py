"""Checks of optimizers' arguments, and the conversion of sparse gradients."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import keras
import tensorflow as tf

from common.checks import nearest

# What keras.optimizers.Optimizer takes beside the learning rate; clipnorm and its kin must be positive where given.
_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")
_AVERAGING = ("use_ema", "ema_momentum", "ema_overwrite_frequency")
OPTIONS = (*_CLIPPING, *_AVERAGING, "weight_decay", "loss_scale_factor", "gradient_accumulation_steps", "name")

LearningRate = float | keras.optimizers.schedules.LearningRateSchedule | Callable[[], Any]


def learning_rate(value: Any) -> LearningRate:
    """Return a learning rate for Keras: whole numbers become floats; schedules and callables are unchanged.

    Raises:
        ValueError: the argument is neither a finite number ≥ 0 nor a schedule nor a callable.
    """
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule) or callable(value):
        return value
    return _number("learning_rate", value, "a number ≥ 0 or a keras.optimizers.schedules.LearningRateSchedule", least=0)


def fraction(name: str, value: Any) -> float:
    """Return a decay rate: a number in [0, 1); raises ValueError for anything else."""
    return _number(name, value, "a number ≥ 0 and below 1", least=0, below=1)


def positive(name: str, value: Any) -> float:
    """Return a number above 0; raises ValueError for anything else."""
    return _number(name, value, "a number above 0", least=math.nextafter(0, 1))


def not_negative(name: str, value: Any) -> float:
    """Return a number ≥ 0; raises ValueError for anything else."""
    return _number(name, value, "a number ≥ 0", least=0)


def options(optimizer: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the options for Keras' base class.

    Args:
        optimizer: the class of the optimizer, whose own arguments are also accepted.
        given: a dict from name to value.

    Returns:
        The same options, as a dict.

    Raises:
        ValueError: a name is unknown, and the message gives the nearest known one; or clipping is not above 0.
    """
    own = [name for name in inspect.signature(optimizer).parameters if name != "options"]
    for name, value in given.items():
        if name not in OPTIONS:
            known = [*own, *OPTIONS]
            hint = nearest(name, known)
            raise ValueError(f"{optimizer.__name__} has no argument {name!r}{hint}; there is {', '.join(known)}")
        if name in _CLIPPING and value is not None:
            positive(name, value)
    return dict(given)


def dense(gradient: tf.Tensor | tf.IndexedSlices, dtype: tf.DType) -> tf.Tensor:
    """Return a gradient as a dense tensor of the variable's type; rows missing in a sparse gradient become zero."""
    return tf.cast(tf.convert_to_tensor(gradient), dtype)


def _number(name: str, value: Any, allowed: str, *, least: float, below: float = math.inf) -> float:
    # bool is a Real to Python; nan fails every comparison.
    if isinstance(value, bool) or not isinstance(value, Real) or not least <= value < below:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return float(value)
