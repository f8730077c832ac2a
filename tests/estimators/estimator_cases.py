"""Every gradient estimator, by name: one line more and all the shared tests run over it."""

import keras
import numpy as np

from common.estimators.backpropagation import Backpropagation
from common.estimators.decoupled.last_module import LastModuleOnly
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.estimators.decoupled.weight_regression import WeightRegression
from common.estimators.evolution.layerwise_evolution import LayerwiseEvolution
from common.estimators.evolution.logit_evolution import LogitEvolution
from common.estimators.evolution.logit_gradient import Likelihood, MovedTarget, SmoothedAccuracy
from common.estimators.evolution.logit_quadrature import ExactLogitGradient
from common.estimators.evolution.parameter_evolution import ParameterEvolution
from common.estimators.newton.newton_cg import NewtonCG
from common.estimators.newton.saddle_free_newton import SaddleFreeNewton
from common.estimators.noise.noisy_gradient import AnnealedNoise, ConstantNoise, NoisyGradient, RelativeNoise
from common.estimators.noise.over_the_air import OverTheAir
from common.estimators.noise.public_subspace import PublicSubspace
from common.estimators.noise.sign_sketch import SignSketch


def _over_the_air():
    return OverTheAir(Backpropagation(), devices=4, channel_noise=0.1)


def _public_subspace():
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 12, 12, 1), dtype=np.float32), rng.integers(0, 4, 8)
    return PublicSubspace(Backpropagation(), x, y, dimensions=4, amplification=2.0, refresh_every=1)


ESTIMATORS = {
    "backpropagation": Backpropagation,
    "noisy": lambda: NoisyGradient(Backpropagation(), ConstantNoise(0.01)),
    "noisy, annealed and clipped": lambda: NoisyGradient(Backpropagation(), AnnealedNoise(1e-4), clip_norm=5.0),
    "noisy, relative": lambda: NoisyGradient(Backpropagation(), RelativeNoise(1.0)),
    "noisy in a sketch": lambda: NoisyGradient(Backpropagation(), ConstantNoise(0.01), sketch=SignSketch(500)),
    "over the air": _over_the_air,
    "public subspace": _public_subspace,
    "logit evolution, smoothed accuracy": lambda: LogitEvolution(SmoothedAccuracy(), 1.0, samples=50),
    "logit evolution, likelihood": lambda: LogitEvolution(Likelihood(), 1.0, samples=20, antithetic=True),
    "logit evolution, moved target": lambda: LogitEvolution(MovedTarget(1.0), AnnealedNoise(4.0), samples=50),
    "logit quadrature": lambda: ExactLogitGradient(Likelihood(), 1.0),
    "evolution of the weights": lambda: ParameterEvolution(128, 0.02, own_data=False),
    "evolution of a layer at a time": lambda: LayerwiseEvolution((16, 16, 16), 0.02, chunk=8),
    "saddle-free Newton": lambda: SaddleFreeNewton(Backpropagation(), 4, 1.0, hessian_batch=8, refresh_every=2),
    "Newton by conjugate gradients": lambda: NewtonCG(Backpropagation(), 3, 1.0, hessian_batch=8),
    "synthetic gradients": lambda: SyntheticGradients(boundaries=["conv_1"], optimizer=keras.optimizers.Adam(0.005)),
    "last module only": lambda: LastModuleOnly(["conv_1"]),
    "weight regression": lambda: WeightRegression(optimizer=keras.optimizers.Adam(0.005)),
    "noisy over the air": lambda: NoisyGradient(_over_the_air(), ConstantNoise(0.01)),
}
