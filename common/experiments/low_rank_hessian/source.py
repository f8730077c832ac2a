"""Saddle-free Newton as in the source of 05_low_rank_hessian."""

from __future__ import annotations

from common.checks import require
from common.estimators import ConstantDamping, SaddleFreeNewton, parse
from common.experiments.estimator_calls import arguments

POSITIONS = ("inner", "rank", "damping", "hessian_batch", "refresh_every", "curvature")
# What the source did without, and our method has by default.
SWITCHED_OFF = {
    "averaging": 0.0,
    "oversampling": 0,
    "power_iterations": 0,
    "warm_start": False,
    "fresh_vectors": False,
}


def source_newton(call: str) -> SaddleFreeNewton:
    """Return the estimator of a constructor call; omitted arguments have the source's values.

    The source has L2 regularisation with the damping's strength γ. Each minibatch has its own eigenpairs, from the same
    random vectors at each refresh, without a warm start, power iteration or oversampling. Refreshes are equally far
    apart.

    Args:
        call: a constructor call, such as "SaddleFreeNewton(Backpropagation(), 40, ConstantDamping(0.1), 128, 50)".

    Returns:
        The estimator, not built.

    Raises:
        ValueError: the damping is not constant, or `estimators.parse` raises.
    """
    newton = parse(call)
    constant = isinstance(newton.damping, ConstantDamping)
    require(constant, "the source's damping", "one such as ConstantDamping(0.1)", newton.damping)
    by_source = SWITCHED_OFF | {"first_interval": newton.refresh_every, "l2": newton.damping.gamma}
    given = arguments(call.strip(), POSITIONS, {})
    return SaddleFreeNewton(**newton.settings | {name: by_source[name] for name in by_source.keys() - given.keys()})
