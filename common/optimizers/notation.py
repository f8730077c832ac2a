"""Optimizers as text: `SGD(0.01, momentum=0.9)` is at once Python, what a result says of a run, and what `parse` reads.

Our formulas have the names of their classes. Keras' own have theirs where no formula of ours has it (`SGD`, `Nadam`),
else `keras.Adam(0.001)`; likewise Keras' schedules.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

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
from common.settings import Configured, text
from common.settings import parse as parse_call

_OURS = (Adam, AdamW, GradientDescent, Lazy, Momentum, Muon, RMSprop, Shampoo, SOAP)
_SCHEDULES = (CosineDecay, ExponentialDecay, LinearDecay)
# They hold other optimizers, or are no optimizer themselves.
_LEFT_OUT = {"Optimizer", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap", "LearningRateSchedule"}


def parse(expression: str) -> keras.optimizers.Optimizer:
    """Make the optimizer that a constructor call describes, such as "Momentum(LinearDecay(0.1), momentum=0.9)".

    Raises:
        ValueError: one sentence for an unknown name, a wrong argument, or anything that is not such an expression.
    """
    made = parse_call(expression, KNOWN, "optimizer")
    if not isinstance(made, keras.optimizers.Optimizer):
        raise ValueError(f"optimizer {expression!r} describes no optimizer, but a {type(made).__name__}")
    return made


def arguments_of(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Return each argument of an optimizer's constructor by its name, defaults included, the learning rate first."""
    if isinstance(optimizer, Lazy):
        return {"inner": optimizer.inner}
    config = optimizer.get_config() | {"learning_rate": _learning_rate(optimizer)}
    names = ["learning_rate", *(name for name in _defaults(type(optimizer)) if name != "learning_rate")]
    return {name: config[name] for name in names if name in config}


@text.register(keras.optimizers.Optimizer)
def _(optimizer: keras.optimizers.Optimizer) -> str:
    arguments, defaults = arguments_of(optimizer), _defaults(type(optimizer))
    first = next(iter(arguments))
    parts = [text(arguments.pop(first))]
    parts += [f"{name}={text(value)}" for name, value in arguments.items() if text(value) != text(defaults[name])]
    return f"{_name(type(optimizer))}({', '.join(parts)})"


@text.register(keras.optimizers.schedules.LearningRateSchedule)
def _(schedule: keras.optimizers.schedules.LearningRateSchedule) -> str:
    if isinstance(schedule, Configured):
        return repr(schedule)
    config, parts = schedule.get_config(), []
    for name, parameter in inspect.signature(type(schedule).__init__).parameters.items():
        if name not in config or name == "name":
            continue
        if parameter.default is parameter.empty:
            parts.append(text(config[name]))
        elif text(config[name]) != text(parameter.default):
            parts.append(f"{name}={text(config[name])}")
    return f"{_name(type(schedule))}({', '.join(parts)})"


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> Any:
    """A schedule, or the shortest decimal number that is the variable's float32."""
    rate = optimizer._learning_rate
    return float(str(np.float32(rate.numpy()))) if isinstance(rate, keras.Variable) else rate


@functools.cache
def _defaults(optimizer: type) -> Mapping[str, Any]:
    """Each argument's default, those of Keras' base class included, without the name."""
    options = inspect.signature(keras.optimizers.SGD.__init__).parameters  # Keras' base class hides its own
    own = inspect.signature(optimizer.__init__).parameters
    takes = {**own, **{name: options[name] for name in OPTIONS if name not in own}}
    return {
        name: argument.default
        for name, argument in takes.items()
        if argument.kind is not argument.VAR_KEYWORD and name not in ("self", "name")
    }


def _name(kind: type) -> str:
    ours = {cls.__name__: cls for cls in (*_OURS, *_SCHEDULES)}
    name = kind.__name__
    return name if name not in ours or ours[name] is kind else f"keras.{name}"


def _known() -> dict[str, Callable]:
    known: dict[str, Callable] = {cls.__name__: cls for cls in (*_OURS, *_SCHEDULES)}
    for module in (keras.optimizers, keras.optimizers.schedules):
        for name, cls in vars(module).items():
            if inspect.isclass(cls) and name not in _LEFT_OUT:
                # Whoever writes keras.SGD is understood; `text` writes SGD.
                known |= {_name(cls): _keras(cls), f"keras.{name}": _keras(cls)}
    return known


def _keras(cls: type) -> Callable:
    """Make one of Keras' classes with the names of its arguments known, and with whole numbers as learning rates."""
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
