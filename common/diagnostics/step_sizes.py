"""The effective step sizes of Adam."""

from __future__ import annotations

import numpy as np

from common.diagnostics.diagnostic import Diagnostic, Measured
from common.optimizers.adam import Adam
from common.training.history import Moment


class StepSizes(Diagnostic):
    """Adam's effective step size for each parameter; the run's optimizer must be this project's `Adam`."""

    def __init__(self):
        pass

    def measure(self, moment: Moment) -> Measured:
        """Return `step_sizes`, (parameters,), in the order of the weights; see `Adam.effective_step_sizes`."""
        optimizer = moment.optimizer
        if not isinstance(optimizer, Adam):
            raise ValueError(f"StepSizes needs common.optimizers.Adam as optimizer, got {type(optimizer).__name__}")
        return {"step_sizes": np.concatenate([np.ravel(part.numpy()) for part in optimizer.effective_step_sizes()])}
