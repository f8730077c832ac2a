"""Optimizers as text: `SGD(0.01, momentum=0.9)` is Python, the entry in a result file, and input of `parse`.

Our optimizers have the names of their classes. Keras' optimizers and schedules keep their names (`SGD`, `Nadam`). If
one of ours has the same name, they get a prefix: `keras.Adam(0.001)`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from common.checks import nearest
from common.optimizers.adam import Adam
from common.optimizers.adamw import AdamW
from common.optimizers.arguments import OPTIONS
from common.optimizers.gradient_descent import GradientDescent
from common.optimizers.lazy import Lazy
from common.optimizers.momentum import Momentum
from common.optimizers.muon import Muon
from common.optimizers.rmsprop import RMSprop
from common.optimizers.schedules import CosineDecay, ExponentialDecay, LinearDecay
from common.optimizers.shampoo import Shampoo
from common.optimizers.soap import SOAP
from common.settings import parse as parse_call
from common.settings import text

_OURS = (Adam, AdamW, GradientDescent, Lazy, Momentum, Muon, RMSprop, Shampoo, SOAP)
_SCHEDULES = (CosineDecay, ExponentialDecay, LinearDecay)
# They hold other optimizers, or are no optimizer themselves.
_LEFT_OUT = {"Optimizer", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap", "LearningRateSchedule"}


def parse(expression: str) -> keras.optimizers.Optimizer:
    """Return the optimizer that a constructor call describes, such as "Momentum(LinearDecay(0.1), momentum=0.9)".

    Raises:
        ValueError: a name is unknown, an argument is wrong, or the text is not a constructor call. The message is one
            sentence.

    Example:
        >>> text(parse("Momentum(LinearDecay(0.1), momentum=0.9)"))  # 0.9 is the default
        'Momentum(LinearDecay(0.1))'
        >>> text(parse("keras.SGD(0.1, momentum=0.5)"))
        'SGD(0.1, momentum=0.5)'
    """
    optimizer = parse_call(expression, KNOWN, "optimizer")
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"optimizer {expression!r} describes no optimizer, but a {type(optimizer).__name__}")
    return optimizer


def arguments_of(value: keras.optimizers.Optimizer | LearningRateSchedule) -> dict[str, Any]:
    """Return all constructor arguments of an optimizer or a schedule by name, including defaults.

    An optimizer's learning rate comes first.
    """
    if isinstance(value, Lazy):
        return {"inner": value.inner}
    config, names = value.get_config(), [*_defaults(type(value))]
    if isinstance(value, keras.optimizers.Optimizer):
        config = config | {"learning_rate": _learning_rate(value)}
        names = ["learning_rate", *(name for name in names if name != "learning_rate")]
    return {name: config[name] for name in names if name in config}


def written_arguments(value: keras.optimizers.Optimizer | LearningRateSchedule) -> dict[str, Any]:
    """Return the arguments that the text contains: the first, the required ones, and those that are not defaults."""
    arguments = arguments_of(value)
    first, defaults = next(iter(arguments)), _defaults(type(value))
    return {
        name: argument
        for name, argument in arguments.items()
        if name == first or defaults[name] is inspect.Parameter.empty or text(argument) != text(defaults[name])
    }


def name_of(kind: type) -> str:
    """Return the name under which `parse` knows the class of an optimizer or a schedule."""
    ours = {cls.__name__: cls for cls in (*_OURS, *_SCHEDULES)}
    name = kind.__name__
    return name if name not in ours or ours[name] is kind else f"keras.{name}"


@text.register(keras.optimizers.Optimizer)
@text.register(LearningRateSchedule)
def _(value: keras.optimizers.Optimizer | LearningRateSchedule) -> str:
    arguments, defaults = written_arguments(value), _defaults(type(value))
    first = next(iter(arguments))
    parts = [
        text(argument) if name == first or defaults[name] is inspect.Parameter.empty else f"{name}={text(argument)}"
        for name, argument in arguments.items()
    ]
    return f"{name_of(type(value))}({', '.join(parts)})"


def _shown(value: keras.optimizers.Optimizer | LearningRateSchedule) -> str:
    """Write an optimizer or a schedule as its constructor call; one whose settings cannot be told, as any object."""
    try:
        return text(value)
    except Exception:  # a class of a notebook's own, or inside of a traced function
        return object.__repr__(value)


# Keras' optimizers show where they lie in memory, and nothing else.
keras.optimizers.Optimizer.__repr__ = LearningRateSchedule.__repr__ = _shown


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return a schedule, or the shortest decimal number that equals the variable's float32."""
    rate = optimizer._learning_rate
    return float(str(np.float32(rate.numpy()))) if isinstance(rate, keras.Variable) else rate


@functools.cache
def _defaults(optimizer: type) -> Mapping[str, Any]:
    """Return each argument's default, including those of Keras' base class, without `name`."""
    options = inspect.signature(keras.optimizers.SGD.__init__).parameters  # Keras' base class hides its own
    own = inspect.signature(optimizer.__init__).parameters
    takes = {**own, **{name: options[name] for name in OPTIONS if name not in own}}
    return {
        name: argument.default
        for name, argument in takes.items()
        if argument.kind is not argument.VAR_KEYWORD and name not in ("self", "name")
    }


def _known() -> dict[str, Callable]:
    known: dict[str, Callable] = {cls.__name__: cls for cls in (*_OURS, *_SCHEDULES)}
    for module in (keras.optimizers, keras.optimizers.schedules):
        for name, cls in vars(module).items():
            if inspect.isclass(cls) and name not in _LEFT_OUT:
                # Whoever writes keras.SGD is understood; `text` writes SGD.
                known |= {name_of(cls): _keras(cls), f"keras.{name}": _keras(cls)}
    return known


def _keras(cls: type) -> Callable:
    """Return an instance of a Keras class; check the names of its arguments, and accept whole learning rates."""
    parameters = [
        parameter
        for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name != "name"
    ]

    def make(*arguments: Any, **keywords: Any) -> Any:
        given = make.__signature__.bind(*arguments, **keywords).arguments
        rate = given.get("learning_rate")
        if isinstance(rate, int) and not isinstance(rate, bool):
            given["learning_rate"] = float(rate)
        elif isinstance(rate, str | list):
            raise ValueError(f"learning_rate must be a number or a schedule, got {rate!r}{nearest(str(rate), KNOWN)}")
        return cls(**given)

    make.__signature__ = inspect.Signature(parameters)
    return make


KNOWN = _known()
