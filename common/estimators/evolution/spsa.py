"""Simultaneous perturbation (SPSA): two evaluations of the loss along one random direction of all weights.

    ĝ = (L(w + σz) - L(w - σz))/(2σ) z,        z_j = ±1 with equal probability, or z ~ N(0, I)

Spall (1992, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation", IEEE
Transactions on Automatic Control 37(3)) divides by z_j. For ±1, this is the same. MeZO (arXiv 2305.17333, definition 1)
uses z ~ N(0, I). SPSA is `ParameterEvolution` with one pair of full rank that sees the whole batch, without shaping.
For σ → 0 it is `ForwardGradient` with one tangent.

MeZO does not store z but draws it again from a seed. Here, too, z is a function of (run seed, step). A step is
therefore recorded as one number, and `update_from(seed, fitnesses)` replays it.

Deviations: z comes from a table (see `perturbations`), and dropout is off. Both members are evaluated together, on
perturbed outputs of each layer. MeZO moves the weights in place and saves the memory of a second set.
"""

from __future__ import annotations

from common.estimators.evolution.parameter_evolution import ParameterEvolution


class SPSA(ParameterEvolution):
    """Simultaneous perturbation by two evaluations of the loss, for sequential networks of Dense and Conv2D layers.

    Args:
        sigma: σ > 0, the scale of the perturbation, in the weights' units; MeZO uses 1e-3.
        directions: entries of z: "signs" (Spall) or "gaussian" (MeZO).

    Raises:
        ValueError: a value is out of range; `build` raises it for an unsupported layer.

    Example:
        >>> import tensorflow as tf
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = SPSA(0.01)  # z is (1, -1) or its negative here, g is (1, -0.375)
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().astype(float).round(3).tolist()  # (g·z) z
        [1.375, -1.375]
    """

    def __init__(self, sigma: float, *, directions: str = "signs"):
        super().__init__(2, sigma, rank=None, shaping="none", own_data=False, directions=directions)
