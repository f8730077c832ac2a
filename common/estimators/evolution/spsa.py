"""Simultaneous perturbation (SPSA): two evaluations of the loss along one random direction of all weights.

    ĝ = (L(w + σz) - L(w - σz))/(2σ) z,        z_j = ±1 with equal probability, or z ~ N(0, I)

Spall (1992, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation", IEEE
Transactions on Automatic Control 37(3)) divides by z_j, which for ±1 is the same; MeZO (arXiv 2305.17333, definition
1) takes z ~ N(0, I). It is `ParameterEvolution` with one pair, of full rank, that sees the whole batch, and with the
difference of losses as it is. For σ → 0 it is `ForwardGradient` with one tangent.

MeZO holds no z: it draws it again from a seed where it is needed. The same is true here: z is a function of (run seed,
step), so that a step is written down as one number, and `update_from(seed, fitnesses)` replays it.

Deviations: z comes from a table, see `perturbations`; both members are evaluated together, on perturbed outputs of
each layer, where MeZO moves the weights in place and saves the memory of a second set; dropout is off.
"""

from __future__ import annotations

from common.estimators.evolution.parameter_evolution import ParameterEvolution


class SPSA(ParameterEvolution):
    """`ParameterEvolution` from two evaluations of the loss, for sequential networks of Dense and Conv2D layers.

    Args:
        sigma: σ > 0, length of the step from the weights, in their units; MeZO's is 1e-3.
        directions: entries of z, "signs" (Spall) or "gaussian" (MeZO).

    Raises:
        ValueError: a value out of range; by `build`, a network whose layers are not known.
    """

    def __init__(self, sigma: float, *, directions: str = "signs"):
        super().__init__(2, sigma, rank=None, shaping="none", own_data=False, directions=directions)
