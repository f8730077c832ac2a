"""The path of the weights, epoch by epoch, in a network with very few."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.diagnostics.diagnostic import Diagnostic, Epochs, Measured, require_epochs
from common.training.history import Moment


class WeightPath(Diagnostic):
    """All weights by name, for a network with very few, such as a line's slope and intercept or a saddle's coordinates.

    Args:
        names: one name per parameter, in the order of the task's weights, such as ["slope", "intercept"].
        at: when to measure, see `Diagnostic`.

    Raises:
        ValueError: in the call, the number of names differs from the network's number of parameters.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.optimizers import SGD
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> from common.training import train
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> path = WeightPath(["u", "v"])
        >>> history = train(task, Backpropagation(), SGD(0.1), data, epochs=1, batch_size=2, seed=0, diagnostics=[path])
        >>> [round(history.epochs[0][name], 4) for name in ("u", "v")]  # (1, 0.5) - 0.1 (1, -0.375)
        [0.9, 0.5375]
    """

    def __init__(self, names: Sequence[str], *, at: Epochs = None):
        require_epochs(at)
        self.names, self.at = names, at

    def measure(self, moment: Moment) -> Measured:
        """Return each parameter under its name."""
        values = np.concatenate([np.ravel(weight.numpy()) for weight in moment.task.weights])
        if len(values) != len(self.names):
            raise ValueError(f"names must be one for each of the {len(values)} parameters, got {list(self.names)!r}")
        return dict(zip(self.names, values.tolist(), strict=True))
