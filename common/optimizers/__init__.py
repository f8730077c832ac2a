"""Optimizers from their formulas: one method, one file, each a Keras optimizer. Read `gradient_descent.py` first.

An optimizer gets a gradient g (it points uphill) and changes the weights w; all state is in tensors u, m, v of the
shape of w, created in `build`. What all have in common, norm clipping above all, is what Keras' base class offers:

    clipnorm c:   g ← g · min(1, c / ‖g‖)   for each variable by itself, before `update_step` sees it

Sparse gradients (of an embedding) are made dense first: rows without a gradient have the gradient zero, so that
momentum and moments move them as the formula says.
"""

from keras.optimizers import SGD

from common.optimizers.adam import Adam
from common.optimizers.adamw import AdamW
from common.optimizers.clone import copy_of
from common.optimizers.gradient_descent import GradientDescent
from common.optimizers.lazy import Lazy
from common.optimizers.momentum import Momentum
from common.optimizers.muon import Muon
from common.optimizers.notation import parse
from common.optimizers.rmsprop import RMSprop
from common.optimizers.schedules import CosineDecay, ExponentialDecay, LinearDecay
from common.optimizers.shampoo import Shampoo
from common.optimizers.soap import SOAP

__all__ = [
    "SGD",
    "SOAP",
    "Adam",
    "AdamW",
    "CosineDecay",
    "ExponentialDecay",
    "GradientDescent",
    "Lazy",
    "LinearDecay",
    "Momentum",
    "Muon",
    "RMSprop",
    "Shampoo",
    "copy_of",
    "parse",
]


def __dir__() -> list[str]:
    return __all__
