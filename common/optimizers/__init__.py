"""Optimizers from their formulas: each is a Keras optimizer in its own file. Read `gradient_descent.py` first.

An optimizer takes a gradient g, which points uphill, and changes the weights w. Its state consists of tensors u, m, v
of the shape of w, created in `build`. Keras' base class adds common options, above all norm clipping:

    clipnorm c:   g ← g · min(1, c / ‖g‖)   for each variable separately, before `update_step`

Sparse gradients (of an embedding) are first made dense. Rows without a gradient have zero gradient, so that momentum
and moments move them as the formula says.
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
