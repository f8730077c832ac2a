"""The walks of 05_low_rank_hessian on the artificial saddle: five methods from the same point beside it."""

from __future__ import annotations

from keras.optimizers import SGD, Adam

from common.estimators import Backpropagation, NewtonCG, SaddleFreeNewton
from common.experiments.low_rank_hessian.run_selection import MU, SADDLE
from common.experiments.run import Run
from common.tasks import saddle_task


def saddle_walks(steps: int) -> list[Run]:
    """Return a run for each method that walks on the surface of `SaddleSurface`, of curvature -μ along the way out.

    Gradient descent takes a rate of 0.5, half of the inverse of the stiff direction's curvature. Both Newton methods
    know the whole Hessian, and their damping, μ / 4, is below its smaller curvature: they could leave in a few steps.

    Args:
        steps: ≥ 1, of each walk.

    Returns:
        The runs, in the order of the figure, each with a network and data of its own.
    """
    exact, weak_damping = Backpropagation(), MU / 4
    descent = Run(
        f"{SADDLE}gradient descent",
        exact,
        SGD(0.5),
        epochs=steps,  # the data are one batch
        batch_size=2,
        group="saddle",
        network=saddle_task.SaddleSurface(MU),
        data=saddle_task.examples(),
        diagnostics=[saddle_task.Position()],
    )
    newton = SaddleFreeNewton(exact, 2, weak_damping, 2, refresh_every=1, oversampling=0)
    return [
        descent,
        descent.but(f"{SADDLE}gradient descent, momentum", optimizer=SGD(0.5, momentum=0.9)),
        descent.but(f"{SADDLE}Adam", optimizer=Adam(0.01)),
        descent.but(f"{SADDLE}Newton, conjugate gradients", estimator=NewtonCG(exact, 2, weak_damping, 2)),
        descent.but(f"{SADDLE}saddle-free Newton", estimator=newton),
    ]
