"""The effective step sizes of Adam."""

from __future__ import annotations

import numpy as np

from common.diagnostics.diagnostic import Diagnostic, Measured
from common.optimizers.adam import Adam
from common.training.history import Moment


class StepSizes(Diagnostic):
    """Adam's effective step size for each parameter; the run's optimizer must be this project's `Adam`.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> from common.training import train
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> sizes = [StepSizes()]
        >>> history = train(task, Backpropagation(), Adam(0.1), data, epochs=1, batch_size=2, seed=0, diagnostics=sizes)
        >>> (history.epochs[0]["step_sizes"] * 0.1 * np.array([1, 0.375])).round(4).tolist()  # times |m|: η each
        [0.1, 0.1]
    """

    def __init__(self):
        pass

    def measure(self, moment: Moment) -> Measured:
        """Return `step_sizes`, (parameters,), in the order of the weights; see `Adam.effective_step_sizes`."""
        optimizer = moment.optimizer
        if not isinstance(optimizer, Adam):
            raise ValueError(f"StepSizes needs common.optimizers.Adam as optimizer, got {type(optimizer).__name__}")
        return {"step_sizes": np.concatenate([np.ravel(part.numpy()) for part in optimizer.effective_step_sizes()])}
