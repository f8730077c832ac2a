"""The sources of a training direction in 08_comparison: their parts, tuned settings and needs.

This module does not import TensorFlow; `common.experiments.comparison.plan` makes runs of its sources.

Ranges were written down before any run and are sampled evenly in the logarithm. Every source has the same number of
trials, however many settings it has. Unless a row is about the optimizer, Adam takes the direction, and its learning
rate falls to zero by a cosine.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from scipy.stats import qmc

from common.checks import nearest

BASELINE = "backpropagation"
# Groups of runs, and what the longer ones' names end in.
EQUAL, LONGER, ALIGNED, ZEROTH = "equal arithmetic", "own convergence", "alignment", "zeroth order"
LONGER_SUFFIX = ", longer"
ANGLES_SUFFIX = ", angles"  # of runs in which the angles of the layers are measured

RATES = (1e-4, 1e-2)  # of Adam and its like, for every source alike, and for what learns beside the network
ADAM = "Adam(CosineDecay({rate}))"

SAMPLING_SEED = 0  # of the points of the ranges

# What the update of a layer needs beside the loss of the batch. A backward pass sends errors back through at least one
# layer, by its weights or by other matrices. "Layers above": the update waits for them at the same step; the targets of
# predictors, which arrive later, do not count.
BACKWARD, LABELS, ABOVE, DIFFERENTIABLE, PUBLIC = (
    "backward pass",
    "labels at every layer",
    "layers above",
    "differentiable loss",
    "public data",
)
NEEDS = (BACKWARD, LABELS, ABOVE, DIFFERENTIABLE, PUBLIC)
_EXACT = frozenset({BACKWARD, ABOVE, DIFFERENTIABLE})

FAMILIES = (
    "exact gradient",
    "noise",
    "compressed",
    "curvature",
    "feedback",
    "decoupled",
    "forward",
    "evolution",
    "yours",
)


@dataclass(frozen=True)
class Source:
    """One row of the ledger.

    Attributes:
        name: its name in figures and tables.
        family: one of `FAMILIES`.
        estimator: its constructor call, with a field such as {sigma} for each setting that is tuned.
        optimizer: the optimizer's constructor call, with the field {rate}.
        ranges: lowest and highest value of each field, sampled evenly in the logarithm.
        batch_size: examples per step, if the definition of the source differs from the notebook's number.
        needs: its needs, among `NEEDS`.
        epsilon: the ε that {noise_multiplier} must give over the whole run; None: there is no such field.
        normalised: whether the network has batch norm in its hidden layers, which only the mlp supports.
    """

    name: str
    family: str
    estimator: str
    optimizer: str = ADAM
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({"rate": RATES}))
    batch_size: int | None = None
    needs: frozenset[str] = _EXACT
    epsilon: float | None = None
    normalised: bool = False

    def __post_init__(self):
        fields = set(re.findall(r"{(\w+)}", self.estimator + self.optimizer))
        fields -= {"noise_multiplier"} if self.epsilon else set()
        if fields != set(self.ranges):
            raise ValueError(f"{self.name}: the fields are {sorted(fields)}, but ranges are of {sorted(self.ranges)}")


def _with(**ranges: tuple[float, float]) -> Mapping[str, tuple[float, float]]:
    return MappingProxyType({"rate": RATES} | ranges)


def _rates(low: float, high: float) -> Mapping[str, tuple[float, float]]:
    return MappingProxyType({"rate": (low, high)})


def _listed(*sources: Source) -> Mapping[str, Source]:
    return MappingProxyType({source.name: source for source in sources})


_NOISY = "NoisyGradient(Backpropagation(), ConstantNoise(0.1))"
_LOCAL = frozenset({LABELS, DIFFERENTIABLE})
_UNLABELLED = frozenset({BACKWARD, DIFFERENTIABLE})
_HEADS = "Adam(CosineDecay({head_rate}))"  # of heads and predictors
_WITH_HEADS = _with(head_rate=RATES)
_CDNI = f"SyntheticGradients(optimizer={_HEADS})"
_DNI = f"SyntheticGradients(labels=False, hidden_layers=1, width=512, optimizer={_HEADS})"

SOURCES = _listed(
    Source(BASELINE, "exact gradient", "Backpropagation()"),
    Source("backpropagation, batch norm", "exact gradient", "Backpropagation()", normalised=True),
    Source("SGD", "exact gradient", "Backpropagation()", "SGD(CosineDecay({rate}))", _rates(1e-2, 1.0)),
    Source(
        "momentum", "exact gradient", "Backpropagation()", "SGD(CosineDecay({rate}), momentum=0.9)", _rates(1e-3, 0.3)
    ),
    Source("Muon", "exact gradient", "Backpropagation()", "Muon(CosineDecay({rate}))", _rates(1e-3, 1e-1)),
    Source("Shampoo", "exact gradient", "Backpropagation()", "Shampoo(CosineDecay({rate}))"),
    Source("SOAP", "exact gradient", "Backpropagation()", "SOAP(CosineDecay({rate}))"),
    Source("noise, σ 0.1", "noise", _NOISY),
    Source(
        "over the air, 16 devices",
        "noise",
        "OverTheAir(Backpropagation(), 16, channel_noise={channel_noise})",
        ranges=_with(channel_noise=(1.0, 10.0)),
    ),
    Source(
        "noise, public subspace",
        "noise",
        f"PublicSubspace({_NOISY}, examples=500, dimensions=5, amplification={{amplification}})",
        ranges=_with(amplification=(1.0, 30.0)),
        needs=_EXACT | {PUBLIC},
    ),
    Source(
        "DP, ε 3",
        "noise",
        "DPGradient({clip_norm}, {noise_multiplier})",
        ranges=_with(clip_norm=(0.1, 3.0)),
        batch_size=512,
        epsilon=3.0,
    ),
    Source("signs", "compressed", "SignGradient(Backpropagation())"),
    Source("QSGD, 4 bits", "compressed", "QuantizedGradient(Backpropagation(), 7)"),
    Source("top 1 %", "compressed", "TopKGradient(Backpropagation(), 0.01)"),
    Source("rank 2", "compressed", "LowRankGradient(Backpropagation(), 2)"),
    Source(
        "saddle-free Newton",
        "curvature",
        "SaddleFreeNewton(Backpropagation(), 10, TiedDamping({floor}), 32, 50, averaging=0.9, first_interval=3)",
        ranges=_with(floor=(0.1, 3.0)),
    ),
    Source(
        "Gauss-Newton pairs",
        "curvature",
        "SaddleFreeNewton(Backpropagation(), 10, TiedDamping({floor}), 8, 50, 'gauss_newton', averaging=0.9, "
        "first_interval=3)",
        ranges=_with(floor=(0.1, 3.0)),
    ),
    Source("feedback alignment", "feedback", "FeedbackAlignment()"),
    Source("sign-symmetric", "feedback", "FeedbackAlignment('sign_symmetric')"),
    Source(
        "direct feedback alignment",
        "feedback",
        "DirectFeedbackAlignment()",
        needs=frozenset({LABELS, DIFFERENTIABLE}),
    ),
    Source(
        "local losses",
        "decoupled",
        f"LocalLosses(Backpropagation(), optimizer={_HEADS})",
        ranges=_WITH_HEADS,
        needs=_LOCAL | {BACKWARD},
    ),
    Source(
        "local losses, forward",
        "decoupled",
        f"LocalLosses(ActivityForwardGradient(), optimizer={_HEADS})",
        ranges=_WITH_HEADS,
        needs=_LOCAL,
    ),
    Source("cDNI", "decoupled", _CDNI, ranges=_WITH_HEADS, needs=_LOCAL | {BACKWARD}),
    Source("cDNI, batch norm", "decoupled", _CDNI, ranges=_WITH_HEADS, needs=_LOCAL | {BACKWARD}, normalised=True),
    Source("DNI", "decoupled", _DNI, ranges=_WITH_HEADS, needs=_UNLABELLED),
    Source("DNI, batch norm", "decoupled", _DNI, ranges=_WITH_HEADS, needs=_UNLABELLED, normalised=True),
    Source("last layer only", "decoupled", "LastModuleOnly()", needs=frozenset({DIFFERENTIABLE})),
    Source("forward gradient", "forward", "ForwardGradient()", needs=frozenset({ABOVE, DIFFERENTIABLE})),
    Source(
        "activity forward gradient", "forward", "ActivityForwardGradient()", needs=frozenset({ABOVE, DIFFERENTIABLE})
    ),
    Source(
        "right or wrong, 200 samples",
        "evolution",
        "LogitEvolution(Likelihood(), {sigma}, samples=200, antithetic=True)",
        ranges=_with(sigma=(0.25, 4.0)),
        needs=frozenset({BACKWARD, ABOVE}),
    ),
    Source(
        "right or wrong, 20 samples",
        "evolution",
        "LogitEvolution(Likelihood(), {sigma}, samples=20, antithetic=True)",
        ranges=_with(sigma=(0.25, 4.0)),
        needs=frozenset({BACKWARD, ABOVE}),
    ),
    Source(
        "evolution, a layer at a time",
        "evolution",
        "LayerwiseEvolution(8, {sigma})",
        ranges=_with(sigma=(0.003, 0.1)),
        needs=frozenset({ABOVE}),
    ),
    Source(
        "evolution, all weights at once",
        "evolution",
        "ParameterEvolution(64, {sigma})",
        ranges=_with(sigma=(0.003, 0.1)),
        needs=frozenset({ABOVE}),
    ),
    Source(
        "SPSA",
        "evolution",
        "SPSA({sigma})",
        ranges=_with(sigma=(1e-4, 1e-1)),
        needs=frozenset({ABOVE}),
    ),
)


def source(name: str) -> Source:
    """Return a source of the table, or one for an estimator's constructor call, with only the rate tuned.

    Raises:
        ValueError: the name is neither; the message gives the nearest name.
    """
    if name in SOURCES:
        return SOURCES[name]
    try:
        is_call = isinstance(ast.parse(name.strip(), mode="eval").body, ast.Call)
    except (SyntaxError, ValueError):
        is_call = False
    if not is_call:
        raise ValueError(
            f"parameter 'sources' names no source: {name!r}{nearest(name, SOURCES)} (or the constructor call of an "
            "estimator, such as 'NoisyGradient(Backpropagation(), ConstantNoise(0.1))')"
        )
    return Source(name, "yours", name.replace("{", "{{").replace("}", "}}"))


def evolution_with(directions: int) -> Source:
    """Return evolution on all weights with this number of random directions per step, ≥ 1, each with both signs.

    Every direction sees its own share of the batch, so that the arithmetic of a step does not depend on their number.
    """
    call = f"ParameterEvolution({2 * directions}, {{sigma}})"
    words = f"{directions} direction{'s' if directions > 1 else ''}"
    return Source(words, "evolution", call, ranges=_with(sigma=(0.003, 0.1)), needs=frozenset({ABOVE}))


def settings(row: Source, count: int) -> list[dict[str, float]]:
    """Return settings of a source's fields: quasi-random, uniform in the logarithm, with three digits.

    They are the points of a scrambled Halton sequence (scipy.stats.qmc), the same at each call. If their number grows,
    the first ones do not change.
    """
    names, points = list(row.ranges), qmc.Halton(len(row.ranges), seed=SAMPLING_SEED).random(count)
    low, high = np.log([row.ranges[name] for name in names]).T
    values = np.exp(low + points * (high - low))
    return [{name: float(f"{value:.3g}") for name, value in zip(names, row, strict=True)} for row in values]
