"""Every gradient estimator, by name, in several configurations: one line more and all the shared tests run over it.

Each entry makes an unbuilt estimator, for networks of three blocks, the first of which has a convolution `conv_1`, for
batches of 24 examples and a run that has at least eight training examples.
"""

import keras

from common.estimators import (
    SPSA,
    ActivityForwardGradient,
    AnnealedNoise,
    ArmijoLineSearch,
    Backpropagation,
    ConstantNoise,
    DirectFeedbackAlignment,
    DPGradient,
    ExactLogitGradient,
    FeedbackAlignment,
    ForwardGradient,
    LastModuleOnly,
    LayerwiseEvolution,
    Likelihood,
    LocalLosses,
    LogitEvolution,
    LowRankGradient,
    MovedTarget,
    NewtonCG,
    NoisyGradient,
    OverTheAir,
    ParameterEvolution,
    PublicStart,
    PublicSubspace,
    QuantizedGradient,
    RandomSubspace,
    RelativeNoise,
    SaddleFreeNewton,
    SignGradient,
    SignSketch,
    SmoothedAccuracy,
    SyntheticGradients,
    TiedDamping,
    TopKGradient,
    WeightRegression,
)
from common.optimizers import Adam, CosineDecay


def _noisy(level, **options):
    return NoisyGradient(Backpropagation(), level, **options)


def _over_the_air(**options):
    return OverTheAir(Backpropagation(), devices=4, channel_noise=0.1, **options)


def _public_subspace(inner, **options):
    return PublicSubspace(inner, examples=8, dimensions=4, amplification=2.0, **options)


def _newton(**options):
    return SaddleFreeNewton(Backpropagation(), 4, hessian_batch=8, refresh_every=2, **options)


ESTIMATORS = {
    "backpropagation": Backpropagation,
    "noisy": lambda: _noisy(ConstantNoise(0.01)),
    "noisy, annealed and clipped": lambda: _noisy(AnnealedNoise(1e-4), clip_norm=5.0),
    "noisy, relative": lambda: _noisy(RelativeNoise(1.0)),
    "noisy in a sketch": lambda: _noisy(ConstantNoise(0.01), sketch=SignSketch(20)),
    "noisy in a sketch that changes": lambda: _noisy(ConstantNoise(0.01), sketch=SignSketch(20, redraw_every=3)),
    "over the air": _over_the_air,
    "over the air, skewed": lambda: _over_the_air(label_skewed=True, power=2.0),
    "noisy over the air": lambda: NoisyGradient(_over_the_air(), ConstantNoise(0.01)),
    "public subspace": lambda: _public_subspace(Backpropagation(), refresh_every=1),
    "public subspace of a noisy gradient": lambda: _public_subspace(_noisy(ConstantNoise(0.01))),
    "random subspace of a noisy gradient": lambda: RandomSubspace(
        _noisy(ConstantNoise(0.01)), dimensions=4, amplification=2.0, refresh_every=2
    ),
    "public start of a noisy gradient": lambda: PublicStart(_noisy(ConstantNoise(0.01)), examples=8, steps=2),
    "logit evolution, smoothed accuracy": lambda: LogitEvolution(SmoothedAccuracy(), 1.0, samples=50),
    "logit evolution, likelihood": lambda: LogitEvolution(Likelihood(), 1.0, samples=20, antithetic=True),
    "logit evolution, moved target": lambda: LogitEvolution(MovedTarget(1.0), AnnealedNoise(4.0), samples=50),
    "logit quadrature": lambda: ExactLogitGradient(Likelihood(), 1.0),
    "logit quadrature, few points": lambda: ExactLogitGradient(SmoothedAccuracy(), ConstantNoise(2.0), points=16),
    "evolution of the weights": lambda: ParameterEvolution(128, 0.02, own_data=False),
    "evolution of the weights, one chunk": lambda: ParameterEvolution(
        16, 0.02, own_data=False, shaping="standardised", directions="signs", rank=2, chunk=8
    ),
    "evolution of the weights, own data": lambda: ParameterEvolution(8, 0.02, rank=None, weight_decay=0.01),
    "evolution of a layer at a time": lambda: LayerwiseEvolution([16, 16, 16], 0.02, chunk=8),
    "evolution of a layer at a time, half the examples": lambda: LayerwiseEvolution(
        [4, 8, 16], 0.02, keep=0.5, chunk=4
    ),
    "evolution of the weights, two evaluations": lambda: SPSA(0.001),
    "saddle-free Newton": lambda: _newton(damping=1.0),
    "saddle-free Newton, tied damping": lambda: _newton(damping=TiedDamping(0.8), sub_batches=2, averaging=0.5),
    "saddle-free Newton, line search": lambda: _newton(warm_start=False, line_search=ArmijoLineSearch(0.01)),
    "saddle-free Newton, Gauss-Newton": lambda: _newton(damping=1.0, curvature="gauss_newton", l2=0.001),
    "Newton by conjugate gradients": lambda: NewtonCG(Backpropagation(), 3, 1.0, hessian_batch=8),
    "Newton by conjugate gradients, line search": lambda: NewtonCG(
        _noisy(ConstantNoise(0.001)), 3, hessian_batch=8, line_search=ArmijoLineSearch()
    ),
    "synthetic gradients": lambda: SyntheticGradients(boundaries=["conv_1"], optimizer=keras.optimizers.Adam(0.005)),
    "synthetic gradients, mixed": lambda: SyntheticGradients(
        labels=False, hidden_layers=1, width=8, mixing=0.5, synth_step=2
    ),
    "synthetic gradients, unlocked": lambda: SyntheticGradients(
        update_probability=0.5, optimizer=Adam(CosineDecay(0.005))
    ),
    "last module only": lambda: LastModuleOnly(["conv_1"]),
    "weight regression": lambda: WeightRegression(optimizer=keras.optimizers.Adam(0.005)),
    "weight regression, now and then": lambda: WeightRegression(synth_step=3),
    "local losses": lambda: LocalLosses(Backpropagation()),
    "local losses, projection": lambda: LocalLosses(
        Backpropagation(), head="projection", optimizer=Adam(CosineDecay(0.005))
    ),
    "local losses, perturbed activities": lambda: LocalLosses(ActivityForwardGradient()),
    "forward gradient": ForwardGradient,
    "forward gradient, projection": lambda: ForwardGradient(3, combination="projection", directions="signs"),
    "forward gradient, activities": ActivityForwardGradient,
    "feedback alignment": FeedbackAlignment,
    "feedback alignment, signs of the weights": lambda: FeedbackAlignment("sign_symmetric"),
    "feedback alignment, uniform signs": lambda: FeedbackAlignment("uniform_sign_symmetric"),
    "direct feedback alignment": DirectFeedbackAlignment,
    "differentially private": lambda: DPGradient(1.0, 0.1),
    "differentially private, Poisson sampling": lambda: DPGradient(1.0, 0.1, poisson=True),
    "signs": lambda: SignGradient(Backpropagation()),
    "signs, without feedback": lambda: SignGradient(_noisy(ConstantNoise(0.001)), error_feedback=False),
    "quantized": lambda: QuantizedGradient(Backpropagation()),
    "quantized, with feedback": lambda: QuantizedGradient(Backpropagation(), 15, bucket=64, error_feedback=True),
    "largest coordinates": lambda: TopKGradient(Backpropagation(), 0.1),
    "largest coordinates, quantized": lambda: QuantizedGradient(
        TopKGradient(Backpropagation(), 0.2, error_feedback=False)
    ),
    "low rank": lambda: LowRankGradient(Backpropagation()),
    "low rank, without feedback": lambda: LowRankGradient(Backpropagation(), 1, error_feedback=False),
}
