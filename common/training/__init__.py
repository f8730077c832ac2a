"""The training loop: `train` takes a task, an estimator and an optimizer. Read `loop.py` first."""

from common.training.epoch import Evaluation, evaluate, is_finite
from common.training.history import Diagnostic, History, Moment
from common.training.keras_fit import fit
from common.training.loop import Trainer, device, one_step, train
from common.training.steps import train_steps
from common.training.tensorboard import TensorBoard
from common.training.timing import one_epoch

__all__ = [
    "Diagnostic",
    "Evaluation",
    "History",
    "Moment",
    "TensorBoard",
    "Trainer",
    "device",
    "evaluate",
    "fit",
    "is_finite",
    "one_epoch",
    "one_step",
    "train",
    "train_steps",
]


def __dir__() -> list[str]:
    return __all__
