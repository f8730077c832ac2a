"""The base of all diagnostics: settings that are called with a moment of a run and do not change the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from common.settings import Configured
from common.training.history import Moment
from common.training.state import unchanged, variables_of

Measured = Mapping[str, float | np.ndarray]
Epochs = Sequence[int] | str | None


class Diagnostic(Configured):
    """A measurement after a recorded epoch, in addition to loss and metric; subclasses implement `measure`.

    A diagnostic consists of its settings, so that a plan can hold it. It takes everything else from the `Moment`. All
    its changes to the network, the estimator and the optimizer are undone: attaching it changes no bit of a run.

    Attributes:
        at: when it measures. None: at every recorded epoch. "end": at the run's last epoch. "ends": also before
            training. A collection of epochs: at these, with 0 for before training. A run that ends early has no last
            epoch. Subclasses that take `at` as an argument hide this default.
    """

    at: Epochs = None
    _kept: tuple[tuple, Any] | None = None

    @property
    def at_start(self) -> bool:
        """Whether the loop also calls the diagnostic before training, with epoch 0."""
        return self.at == "ends" or (not isinstance(self.at, str | None) and 0 in self.at)

    def __call__(self, moment: Moment) -> Measured:
        """Return the measured numbers and arrays by name; nothing if no measurement is due."""
        if not self._is_due(moment):
            return {}
        with state_kept(moment):
            return self.measure(moment)

    def measure(self, moment: Moment) -> Measured:
        """Return the measurements at a moment at which they are due."""
        raise NotImplementedError(f"{type(self).__name__} does not implement measure(moment)")

    def _is_due(self, moment: Moment) -> bool:
        if self.at is None:
            return True
        return moment.epoch in {"end": (moment.epochs,), "ends": (0, moment.epochs)}.get(str(self.at), self.at)

    def _once(self, objects: Sequence[Any], make: Callable[[], Any]) -> Any:
        """Return the result of `make` for these objects, such as a traced function; other objects need a new call."""
        key = tuple(objects)
        if self._kept is None or len(self._kept[0]) != len(key) or any(map(_differ, self._kept[0], key)):
            self._kept = key, make()
        return self._kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without traces: copies are for other runs."""
        return self.settings


def _differ(first: Any, second: Any) -> bool:
    return first is not second


def require_epochs(at: Epochs) -> None:
    """Refuse a value that is not None, "end", "ends" or epochs.

    Raises:
        ValueError: any other value.
    """
    fits = at is None or (isinstance(at, str) and at in ("end", "ends"))
    if not fits and not isinstance(at, str | int | float):
        fits = all(isinstance(epoch, int | np.integer) and epoch >= 0 for epoch in at)
    if not fits:
        raise ValueError(f'at must be None, "end", "ends" or a list of epochs ≥ 0, got {at!r}')


def state_kept(moment: Moment) -> AbstractContextManager[None]:
    """Restore all variables of network, estimator and optimizer, so that a measurement trains nothing.

    The network's variables include batch norm's averages and the state of dropout, which no checkpoint holds.
    """
    parts = (moment.task, moment.estimator, moment.optimizer)
    return unchanged(variables_of(*(part for part in parts if part is not None)))
