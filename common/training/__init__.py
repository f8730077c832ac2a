"""The training loop: `train` takes a task, an estimator and an optimizer. Read `loop.py` first."""

from common.training.keras_fit import fit
from common.training.loop import (
    History,
    cost_of_steps,
    device,
    evaluate,
    evaluate_each_time,
    is_finite,
    one_epoch,
    one_step,
    train,
)
from common.training.steps import train_steps
from common.training.tensorboard import TensorBoard

__all__ = [
    "History",
    "TensorBoard",
    "cost_of_steps",
    "device",
    "evaluate",
    "evaluate_each_time",
    "fit",
    "is_finite",
    "one_epoch",
    "one_step",
    "train",
    "train_steps",
]
