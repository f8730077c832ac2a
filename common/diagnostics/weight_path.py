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
