"""The walks of 05_low_rank_hessian on the artificial saddle: five methods from the same point beside it."""

from __future__ import annotations

from keras.optimizers import SGD, Adam

from common.estimators import Backpropagation, NewtonCG, SaddleFreeNewton
from common.experiments.low_rank_hessian.run_selection import MU, SADDLE
from common.experiments.run import Run
from common.tasks import saddle_task


def saddle_walks(steps: int) -> list[Run]:
    """Return one run per method on the surface of `SaddleSurface`, with curvature -μ along the way out.

    Gradient descent has a learning rate of 0.5, half of the inverse of the stiff direction's curvature. Both Newton
    methods know the whole Hessian. Their damping, μ / 4, is below its smaller curvature, so that they could leave in a
    few steps.

    Args:
        steps: number of steps per walk, ≥ 1.

    Returns:
        The runs, in the order of the figure, each with its own network and data.
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
