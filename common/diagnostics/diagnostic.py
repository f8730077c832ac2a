"""The base of all diagnostics: a setting that is called with a moment of a run, and changes nothing there."""

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
    """What the loop measures after a recorded epoch, beside loss and metric. Subclasses implement `measure`.

    A diagnostic is its settings, so that a plan holds it; all else it takes from the `Moment`. Whatever it does to the
    network, the estimator and the optimizer is undone: attaching it changes no bit of a run.

    Attributes:
        at: when it looks: None, at every recorded epoch; "end", at the run's last epoch; "ends", before training too;
            or the epochs themselves, 0 for before training. A run that ends early has no last epoch. Subclasses that
            take it as an argument hide this default.
    """

    at: Epochs = None
    _kept: tuple[tuple, Any] | None = None

    @property
    def at_start(self) -> bool:
        """Whether it is also to be called before training, with epoch 0."""
        return self.at == "ends" or (not isinstance(self.at, str | None) and 0 in self.at)

    def __call__(self, moment: Moment) -> Measured:
        """Return what is measured, numbers and arrays by name; nothing where it is not due."""
        if not self._is_due(moment):
            return {}
        with state_kept(moment):
            return self.measure(moment)

    def measure(self, moment: Moment) -> Measured:
        """Return what is measured at a moment that it is due."""
        raise NotImplementedError(f"{type(self).__name__} does not implement measure(moment)")

    def _is_due(self, moment: Moment) -> bool:
        if self.at is None:
            return True
        return moment.epoch in {"end": (moment.epochs,), "ends": (0, moment.epochs)}.get(str(self.at), self.at)

    def _once(self, objects: Sequence[Any], make: Callable[[], Any]) -> Any:
        """Return what `make` made for these objects, such as a traced function; for others it makes it anew."""
        key = tuple(objects)
        if self._kept is None or len(self._kept[0]) != len(key) or any(map(_differ, self._kept[0], key)):
            self._kept = key, make()
        return self._kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Copies share no trace: they are for other runs."""
        return self.settings


def _differ(first: Any, second: Any) -> bool:
    return first is not second


def require_epochs(at: Epochs) -> None:
    """Refuse what is neither None nor "end", "ends" or epochs.

    Raises:
        ValueError: anything else.
    """
    fits = at is None or (isinstance(at, str) and at in ("end", "ends"))
    if not fits and not isinstance(at, str | int | float):
        fits = all(isinstance(epoch, int | np.integer) and epoch >= 0 for epoch in at)
    if not fits:
        raise ValueError(f'at must be None, "end", "ends" or a list of epochs ≥ 0, got {at!r}')


def state_kept(moment: Moment) -> AbstractContextManager[None]:
    """Put back all variables of network, estimator and optimizer: a look between steps teaches nothing.

    Batch norm's averages and the state of dropout, which no checkpoint holds, are among the network's variables.
    """
    tracked = variables_of(*(part for part in (moment.estimator, moment.optimizer) if part is not None))
    return unchanged(list({id(variable): variable for variable in (*tracked, *moment.task.network.variables)}.values()))
