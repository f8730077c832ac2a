"""Where the weights of a network of very few stand, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.diagnostics.diagnostic import Diagnostic, Epochs, Measured, require_epochs
from common.training.history import Moment


class WeightPath(Diagnostic):
    """All weights by name, for a network of very few: a line's slope and intercept, a saddle's two coordinates.

    Args:
        names: one for each parameter, in the order of the task's weights: ["slope", "intercept"].
        at: when to look, see `Diagnostic`.

    Raises:
        ValueError: by the call, as many names as the network has no parameters.
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
