"""The spectrum of the Hessian during a run."""

from __future__ import annotations

import tensorflow as tf

from common.checks import require
from common.curvature.operators import HessianOperator
from common.curvature.spectra import spectral_density
from common.diagnostics.diagnostic import Diagnostic, Epochs, Measured, require_epochs
from common.training.history import Moment


class SpectrumProbe(Diagnostic):
    """A quadrature of the Hessian's spectrum on the first training examples.

    Args:
        examples: number of examples, ≥ 1; all if there are fewer.
        steps: Lanczos steps, ≥ 1, with one Hessian product per step; the outermost values converge first.
        at: when to measure, see `Diagnostic`.

    Raises:
        ValueError: a value out of range; in the call, more steps than parameters.

    Example:
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> measured = SpectrumProbe(examples=2, steps=2).measure(Moment(task, None, None, data, seed=0, epoch=0))
        >>> measured["spectrum_nodes"].round(4).tolist()  # the curvatures μ (3v² - 1) and 1
        [-0.25, 1.0]
    """

    def __init__(self, examples: int, steps: int, *, at: Epochs = None):
        require(examples >= 1, "examples", "≥ 1", examples)
        require(steps >= 1, "steps", "≥ 1", steps)
        require_epochs(at)
        self.examples, self.steps, self.at = examples, steps, at

    def measure(self, moment: Moment) -> Measured:
        """Return `spectrum_nodes` and `spectrum_weights`, at most `steps` each; see `SpectralDensity`."""
        split = moment.dataset.train
        batch = tf.constant(split.x[: self.examples]), tf.constant(split.y[: self.examples])
        operator = HessianOperator(moment.task, *batch)
        density = spectral_density(operator, steps=self.steps, probes=1, seed=moment.seed)
        return {"spectrum_nodes": density.nodes, "spectrum_weights": density.weights}
