"""Progress of a plan, with run, seed, epoch and time: a bar in JupyterLab, lines elsewhere."""

from __future__ import annotations

import keras
from tqdm import tqdm

from common.training.bars import progress_bar


def bar(epochs: int) -> tqdm:
    """Return a bar that counts the epochs of all runs together."""
    return progress_bar(total=epochs, unit="epoch")


class Progress(keras.callbacks.Callback):
    """Callback that moves a plan's bar at every recorded epoch of one run."""

    def __init__(self, plan_bar: tqdm, name: str, seed: int, epochs: int):
        super().__init__()
        self._bar, self._label, self._epochs, self._done = plan_bar, f"{name}, seed {seed}", str(epochs), [0]
        self._describe()

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - Keras' signature
        """Say where a run goes on that was stopped in the middle."""
        if epoch > self._done[0]:
            self._bar.write(f"{self._label} goes on after epoch {epoch} of {self._epochs}, from its checkpoint")
            self._bar.update(epoch - self._done[0])
            self._done[0] = epoch

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002 - Keras' signature
        """Count the epochs since the last record, made by this process or by the killed one."""
        self._bar.update(epoch + 1 - self._done[0])
        self._done[0] = epoch + 1
        self._describe()

    def finish(self) -> None:
        """Count the epochs that were not trained: those of a run that ended early or was found in the store."""
        self._bar.update(int(self._epochs) - self._done[0])
        self._done[0] = int(self._epochs)

    def _describe(self) -> None:
        self._bar.set_description(f"{self._label}, epoch {self._done[0]} of {self._epochs}", refresh=False)
