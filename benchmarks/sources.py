"""One epoch of every source of a direction whose cost is compared with backpropagation, on two networks."""

from __future__ import annotations

from collections.abc import Callable

import keras

from common import training
from common.data import Split
from common.estimators import parse
from common.tasks.networks import build
from common.tasks.task import classification

BATCH = 128
BACKPROPAGATION = "backpropagation"
NETWORKS = {"mlp 784-256-256-256-10": ("mlp", (256, 256, 256)), "mnist_convnet": ("mnist_convnet", None)}

# Name -> constructor call, and the largest time of an epoch in epochs of backpropagation.
SOURCES = {
    BACKPROPAGATION: ("Backpropagation()", None),
    "feedback alignment": ("FeedbackAlignment()", 1.1),
    "sign-symmetric": ("FeedbackAlignment('sign_symmetric')", 1.1),
    "direct feedback alignment": ("DirectFeedbackAlignment()", 1.1),
    "forward gradient, one tangent": ("ForwardGradient()", 1.0),
    "activity forward gradient": ("ActivityForwardGradient()", 1.0),
    "local losses": ("LocalLosses(Backpropagation())", 1.2),
    "signs": ("SignGradient(Backpropagation())", 1.2),
    "QSGD": ("QuantizedGradient(Backpropagation())", 1.2),
    "top 1 %": ("TopKGradient(Backpropagation())", 1.2),
    "rank 2": ("LowRankGradient(Backpropagation())", 1.2),
    "DP": ("DPGradient(1.0, 1.0)", 2.0),
    "DP, Poisson sampling": ("DPGradient(1.0, 1.0, poisson=True)", 2.0),
    "SPSA": ("SPSA(0.001)", None),
}
COMPARISONS = [(name, BACKPROPAGATION, limit) for name, (_, limit) in SOURCES.items() if name != BACKPROPAGATION]


def makers(title: str) -> dict[str, Callable[[Split], Callable[[], object]]]:
    """Return makers by name: each takes data and returns a function that trains an epoch of a network of `NETWORKS`."""
    return {name: lambda data, text=text: _epoch(title, text, data) for name, (text, _) in SOURCES.items()}


def _epoch(title: str, text: str, data: Split) -> Callable[[], object]:
    name, hidden = NETWORKS[title]
    task = classification(build(name, (28, 28, 1), 10, seed=0, hidden=hidden), training_mode=False)
    # The steps are so short that all numbers stay finite, whatever the direction.
    return training.one_epoch(task, parse(text), keras.optimizers.SGD(1e-6), data, batch_size=BATCH, seed=0)
