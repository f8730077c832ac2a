"""Every optimizer, by name: one line more and all the shared tests run over it."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from common.optimizers.adam import Adam
from common.optimizers.adamw import AdamW
from common.optimizers.gradient_descent import GradientDescent
from common.optimizers.momentum import Momentum
from common.optimizers.muon import Muon
from common.optimizers.rmsprop import RMSprop
from common.optimizers.shampoo import Shampoo
from common.optimizers.soap import SOAP


@dataclass(frozen=True)
class Case:
    """An optimizer and what the shared tests need to know of it.

    Attributes:
        make: takes a learning rate and options of Keras' base class.
        keras: Keras' own optimizer of the same formula, or None where there is none that is equal.
        parabola: learning rate at the start, which decays to zero along a cosine, for 2,000 steps.
        rosenbrock: likewise, for 20,000 steps.
    """

    make: Callable[..., keras.optimizers.Optimizer]
    keras: Callable[..., keras.optimizers.Optimizer] | None
    parabola: float
    rosenbrock: float


def _with(optimizer: type, **fixed) -> Callable[..., keras.optimizers.Optimizer]:
    return lambda learning_rate, **options: optimizer(learning_rate, **fixed, **options)


_ADAM, _ADAMW = keras.optimizers.Adam, keras.optimizers.AdamW
OPTIMIZERS = {
    "gradient_descent": Case(GradientDescent, keras.optimizers.SGD, 0.1, 0.0015),
    "momentum": Case(_with(Momentum, momentum=0.9), _with(keras.optimizers.SGD, momentum=0.9), 0.05, 0.001),
    "nesterov": Case(
        _with(Momentum, momentum=0.9, nesterov=True),
        _with(keras.optimizers.SGD, momentum=0.9, nesterov=True),
        0.05,
        0.001,
    ),
    "rmsprop": Case(RMSprop, keras.optimizers.RMSprop, 0.05, 0.01),
    "adam": Case(Adam, _with(_ADAM, epsilon=1e-8), 0.05, 0.01),
    "adam_epsilon": Case(_with(Adam, epsilon=0.1), _with(_ADAM, epsilon=0.1), 0.05, 0.01),
    "adamw": Case(_with(AdamW, weight_decay=0.01), _with(_ADAMW, weight_decay=0.01, epsilon=1e-8), 0.05, 0.01),
    "muon": Case(Muon, None, 0.1, 0.02),
    "shampoo": Case(_with(Shampoo, refresh_every=3), None, 0.05, 0.01),
    "shampoo_sgd": Case(_with(Shampoo, graft="sgd", refresh_every=3), None, 0.05, 0.001),
    "soap": Case(_with(SOAP, refresh_every=3), None, 0.05, 0.01),
    "soap_one_sided": Case(_with(SOAP, one_sided=True, refresh_every=3), None, 0.05, 0.01),
}
