"""Gradient estimators: each computes a training direction. Each method has its own file; read `estimator.py` first.

| family | estimator | the direction |
|---|---|---|
| | `Backpropagation` | exact gradient of the minibatch |
| noise | `NoisyGradient` | another estimator's gradient with noise: constant, annealed, relative, in a subspace |
| noise | `OverTheAir` | gradients of several devices, added up by a noisy channel |
| noise | `PublicSubspace` | the direction of another estimator, amplified in the span of public gradients |
| noise | `RandomSubspace` | the same in the span of random vectors, for comparison |
| noise | `PublicStart` | exact gradients of a server's own examples first, another estimator afterwards |
| noise | `DPGradient` | clipped gradients of single examples plus noise: differential privacy (DP-SGD) |
| evolution | `LogitEvolution` | right or wrong answers under noise on the logits |
| evolution | `ExactLogitGradient` | the limit of `LogitEvolution` for infinitely many samples |
| evolution | `ParameterEvolution` | fitness of networks with perturbed weights, all layers at once |
| evolution | `LayerwiseEvolution` | fitness of networks with perturbed weights, one layer at a time |
| evolution | `SPSA` | the difference of two losses along one random direction of the weights |
| newton | `SaddleFreeNewton` | another estimator's gradient, divided by absolute curvature in a low-rank subspace |
| newton | `NewtonCG` | another estimator's gradient, divided by the Hessian with conjugate gradients |
| compressed | `SignGradient` | the signs of another estimator's gradient, times its mean magnitude |
| compressed | `QuantizedGradient` | another estimator's gradient, rounded at random to a few levels (QSGD) |
| compressed | `TopKGradient` | the largest coordinates of another estimator's gradient |
| compressed | `LowRankGradient` | another estimator's gradient at low rank, by power iteration (PowerSGD) |
| decoupled | `SyntheticGradients` | predicted gradients at the boundaries of modules (DNI, cDNI) |
| decoupled | `LastModuleOnly` | exact gradient of the last module, zero below |
| decoupled | `WeightRegression` | weight gradients regressed from activations |
| decoupled | `LocalLosses` | the gradient of each block's own loss, computed by a head on its outputs |
| forward | `ForwardGradient` | derivatives along random tangents of the weights, by forward passes |
| forward | `ActivityForwardGradient` | derivatives along random tangents of each example's activations |
| feedback | `FeedbackAlignment` | the error, sent back layer by layer through fixed random or sign-symmetric matrices |
| feedback | `DirectFeedbackAlignment` | the output's error, sent to each layer through fixed random matrices |

`parse` reads an estimator from its `repr`: parse("NoisyGradient(Backpropagation(), ConstantNoise(0.1))").
"""

from common.checks import require
from common.estimators.backpropagation import Backpropagation
from common.estimators.compressed.low_rank_gradient import LowRankGradient
from common.estimators.compressed.quantized_gradient import QuantizedGradient
from common.estimators.compressed.sign_gradient import SignGradient
from common.estimators.compressed.top_k_gradient import TopKGradient
from common.estimators.decoupled.last_module import LastModuleOnly
from common.estimators.decoupled.local_losses import LocalLosses
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.estimators.decoupled.weight_regression import WeightRegression
from common.estimators.estimator import GradientEstimate, GradientEstimator, RunContext
from common.estimators.evolution.layerwise_evolution import LayerwiseEvolution
from common.estimators.evolution.logit_evolution import LogitEvolution
from common.estimators.evolution.logit_gradient import Likelihood, LogitObjective, MovedTarget, SmoothedAccuracy
from common.estimators.evolution.logit_quadrature import ExactLogitGradient
from common.estimators.evolution.parameter_evolution import ParameterEvolution
from common.estimators.evolution.spsa import SPSA
from common.estimators.feedback.direct_feedback_alignment import DirectFeedbackAlignment
from common.estimators.feedback.feedback_alignment import FeedbackAlignment
from common.estimators.forward.activity_forward_gradient import ActivityForwardGradient
from common.estimators.forward.forward_gradient import ForwardGradient
from common.estimators.newton.damping import ConstantDamping, Damping, TiedDamping
from common.estimators.newton.line_search import ArmijoLineSearch
from common.estimators.newton.newton_cg import NewtonCG
from common.estimators.newton.saddle_free_newton import SaddleFreeNewton
from common.estimators.noise.dp_gradient import DPGradient
from common.estimators.noise.noisy_gradient import (
    AnnealedNoise,
    ConstantNoise,
    NoiseLevel,
    NoisyGradient,
    RelativeNoise,
)
from common.estimators.noise.over_the_air import OverTheAir
from common.estimators.noise.public_start import PublicStart
from common.estimators.noise.public_subspace import PublicSubspace
from common.estimators.noise.random_subspace import RandomSubspace
from common.estimators.noise.sign_sketch import SignSketch
from common.optimizers.notation import KNOWN as OPTIMIZERS_AND_SCHEDULES
from common.settings import Configured
from common.settings import parse as parse_call


def parse(expression: str) -> GradientEstimator:
    """Return the estimator that a constructor call describes; the inverse of `repr`.

    Args:
        expression: a constructor call, such as "NoisyGradient(Backpropagation(), ConstantNoise(0.1))". It may name
            estimators, their parts, optimizers and schedules; no code is evaluated.

    Raises:
        ValueError: the expression has an unknown name or a wrong argument, a constructor refuses a value, or it is not
            a constructor call. The message is one sentence.

    Example:
        >>> parse("NoisyGradient(Backpropagation(), ConstantNoise(sigma=0.1), clip_norm=1)")
        NoisyGradient(Backpropagation(), ConstantNoise(0.1), clip_norm=1)
        >>> parse("BackPropagation()")
        Traceback (most recent call last):
            ...
        common.settings.ExpressionError: estimator 'BackPropagation()': ...; did you mean 'Backpropagation'?...
    """
    estimator = parse_call(expression, KNOWN, "estimator")
    allowed = "the constructor call of a gradient estimator, such as Backpropagation()"
    require(isinstance(estimator, GradientEstimator), "estimator", allowed, expression)
    return estimator


__all__ = [
    "SPSA",
    "ActivityForwardGradient",
    "AnnealedNoise",
    "ArmijoLineSearch",
    "Backpropagation",
    "ConstantDamping",
    "ConstantNoise",
    "DPGradient",
    "Damping",
    "DirectFeedbackAlignment",
    "ExactLogitGradient",
    "FeedbackAlignment",
    "ForwardGradient",
    "GradientEstimate",
    "GradientEstimator",
    "LastModuleOnly",
    "LayerwiseEvolution",
    "Likelihood",
    "LocalLosses",
    "LogitEvolution",
    "LogitObjective",
    "LowRankGradient",
    "MovedTarget",
    "NewtonCG",
    "NoiseLevel",
    "NoisyGradient",
    "OverTheAir",
    "ParameterEvolution",
    "PublicStart",
    "PublicSubspace",
    "QuantizedGradient",
    "RandomSubspace",
    "RelativeNoise",
    "RunContext",
    "SaddleFreeNewton",
    "SignGradient",
    "SignSketch",
    "SmoothedAccuracy",
    "SyntheticGradients",
    "TiedDamping",
    "TopKGradient",
    "WeightRegression",
    "parse",
]

_BASES = (Damping, GradientEstimator, LogitObjective, NoiseLevel)
_CLASSES = [value for value in map(globals().get, __all__) if isinstance(value, type) and value not in _BASES]
ESTIMATORS = tuple(value for value in _CLASSES if issubclass(value, GradientEstimator))
KNOWN = {value.__name__: value for value in _CLASSES if issubclass(value, Configured)} | OPTIMIZERS_AND_SCHEDULES


def __dir__() -> list[str]:
    return __all__
