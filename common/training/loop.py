"""The only training loop: an estimator's gradients, given to any Keras optimizer, in traced calls of many steps.

The data stay on the device as one tensor, and the steps are a loop inside the traced function. No step therefore waits
for Python or for an input pipeline. The order of epoch e is a stateless shuffle of (seed, e). The call returns every
half second, or after one step if that takes longer, so that Python can check for an interrupt.

All randomness is a function of (seed, step). On the same device and number of threads, a run is reproducible to the
last bit. This includes runs that were killed and resumed, and runs that use another seed's trace. On GPUs it requires
`tf.config.experimental.enable_op_determinism()`, because some kernels there sum in the order in which threads finish.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from common.checks import require, require_count
from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator
from common.optimizers.schedules import bind
from common.settings import text
from common.tasks.task import Task
from common.training.budget import Budget
from common.training.checkpoint import run_identity
from common.training.checks import check_attached, check_cost, check_estimate, check_kinds, check_seed
from common.training.epoch import EpochFunction, Evaluation, Progress, Totals, on_device
from common.training.history import Diagnostic, History, Record
from common.training.interrupts import held_back
from common.training.recording import Recording
from common.training.state import carry_over, variables_of


def train(
    task: Task,
    estimator: GradientEstimator,
    optimizer: keras.optimizers.Optimizer,
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    diagnostics: Sequence[Diagnostic] = (),
    checkpoint_dir: str | Path | None = None,
    drop_remainder: bool = False,
    steps_per_epoch: int | None = None,
    jit_compile: bool | None = None,
    record_every: int = 1,
) -> History:
    """Train `task.network` in place.

    Args:
        task: network, loss and metric.
        estimator: gives the training direction; it is built here.
        optimizer: any Keras optimizer; it gets only the estimate's gradients. A schedule relative to the run's length
            is bound to that length here.
        dataset: its validation split is evaluated after every recorded epoch, its test split once, after the last.
        epochs: passes over the training split, ≥ 1.
        batch_size: examples per step, 1 to the size of the training split. The last batch of an epoch is smaller if the
            division leaves a remainder, as in Keras, unless `drop_remainder` is set.
        seed: determines the order of the examples and all randomness in network and estimator, except the network's
            initial weights.
        callbacks: Keras callbacks. The loop calls the hooks of training, of epochs and around an evaluation, and
            `stop_training` works. `SwapEMAWeights` thus has the averaged weights evaluated; it is added for an
            optimizer with `use_ema`. Logs have Keras' own names (loss, accuracy, val_loss, val_accuracy), then the
            other entries of the record. A callback with hooks for batches is refused, because an epoch is one traced
            call. A resumed run restores the callbacks' numbers, lists of arrays (the weights that EarlyStopping keeps
            for `restore_best_weights`) and variables, by class. A CSVLogger needs `append=True`.
        diagnostics: called with a `Moment` after every recorded epoch, and before the first if they require it. Their
            measurements, numbers or arrays, are added to the record. Diagnostics that are settings are copied for the
            run.
        checkpoint_dir: if given, every recorded epoch ends with an atomic checkpoint of network, optimizer, estimator,
            callbacks and history. A run that finds a checkpoint continues from it, bit-identically. A
            finished run is returned as it is, or trained further if `epochs` is larger.
        drop_remainder: leave out the smaller last batch (for estimators that divide the batch).
        steps_per_epoch: updates after which an epoch ends, 1 to the number of full batches; None: the whole split. Each
            epoch then takes the first batches of its own order, and is not a whole pass.
        jit_compile: compile the epoch with XLA; None decides by the device, see `compiles_with_xla`.
        record_every: epochs from record to record, ≥ 1; the last epoch is recorded too. Epochs in between run in one
            call without an evaluation, a checkpoint or a callback. Weights and records are bit-identical to those with
            1. It exists because small networks on small data take thousands of epochs of a millisecond each.

    Returns:
        The history. A run that is no longer finite ends with status "diverged", which is not an error. It keeps its
        curve and the weights from before the refused step.

    Raises:
        ValueError: an argument of the wrong kind or out of range; an estimate whose gradients do not fit the weights or
            whose cost is not a number; a checkpoint of a run with other settings or more epochs; a callback with a hook
            that is not called, or that monitors a name that is not in the logs.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.optimizers import GradientDescent
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.0)).task(examples(), seed=0)
        >>> history = train(task, Backpropagation(), GradientDescent(0.5), data, epochs=3, batch_size=2, seed=0)
        >>> history.status, task.weights[0].numpy().ravel().tolist()  # u = (1 - η)³; the saddle holds v
        ('finished', [0.125, 0.0])
    """
    trainer = Trainer(
        task,
        estimator,
        optimizer,
        dataset,
        epochs=epochs,
        batch_size=batch_size,
        drop_remainder=drop_remainder,
        steps_per_epoch=steps_per_epoch,
        jit_compile=jit_compile,
        record_every=record_every,
    )
    return trainer.run(seed, callbacks=callbacks, diagnostics=diagnostics, checkpoint_dir=checkpoint_dir)


class Trainer:
    """Runs that differ only in their seed, traced once.

        trainer = Trainer(task(0), estimator, optimizer, dataset, epochs=10, batch_size=128)
        first = trainer.run(seed=0)
        trainer.restart(task(1), copy.deepcopy(estimator), copy_of(optimizer))
        second = trainer.run(seed=1)            # bit for bit what `train` gives for these objects

    Tracing takes seconds, longer than many runs. `restart` takes objects made as for a separate run. The values of
    their variables, counters included, are assigned to the variables in the trace.

    Args:
        task: network, loss and metric of the first run; see `train` for all arguments.
        estimator: an estimator that is not built.
        optimizer: an optimizer that is not built.
        dataset: the data of all runs.
        epochs: epochs of each run.
        batch_size: examples per step of each run.
        drop_remainder: whether each run leaves out the smaller last batch.
        steps_per_epoch: updates per epoch of each run.
        jit_compile: whether XLA compiles the trace.
        record_every: epochs from record to record of each run.

    Attributes:
        task: the task in the trace; it holds the weights of the last run.
        estimator: the estimator in the trace.
        optimizer: the optimizer in the trace.

    Raises:
        ValueError: an argument of the wrong kind or out of range.
    """

    def __init__(
        self,
        task: Task,
        estimator: GradientEstimator,
        optimizer: keras.optimizers.Optimizer,
        dataset: Dataset,
        *,
        epochs: int,
        batch_size: int,
        drop_remainder: bool = False,
        steps_per_epoch: int | None = None,
        jit_compile: bool | None = None,
        record_every: int = 1,
    ):
        check_kinds(task=task, estimator=estimator, optimizer=optimizer, dataset=dataset)
        self._budget = Budget(dataset, epochs, batch_size, drop_remainder, steps_per_epoch)
        require_count("record_every", record_every)
        require(jit_compile in (None, True, False), "jit_compile", "True, False or None", jit_compile)
        self.task, self.estimator, self.optimizer = task, estimator, optimizer
        self._settings = {"estimator": text(estimator), "optimizer": text(optimizer)}
        self._given: tuple | None = (task, estimator, optimizer)
        self._record_every = record_every
        xla = compiles_with_xla() if jit_compile is None else jit_compile
        self._epochs = EpochFunction(task, estimator, optimizer, self._budget, xla)
        self._data: tuple | None = None
        self._evaluations = Evaluation(task, dataset.validation), Evaluation(task, dataset.test)

    def __repr__(self) -> str:
        budget = self._budget
        what = f"{self._settings['estimator']}, {self._settings['optimizer']} on {budget.dataset.name}"
        return f"<Trainer: {what}, {budget.epochs} epochs, batch {budget.batch_size}>"

    def restart(self, task: Task, estimator: GradientEstimator, optimizer: keras.optimizers.Optimizer) -> None:
        """Set the objects of the next run; after that run, `task` has its weights.

        Raises:
            ValueError: an argument of the wrong kind, or with settings other than those in the trace.
        """
        check_kinds(task=task, estimator=estimator, optimizer=optimizer)
        for name, given in {"estimator": estimator, "optimizer": optimizer}.items():
            require(text(given) == self._settings[name], name, f"{self._settings[name]}, as in the trace", text(given))
        if any(new is old for new, old in zip((task, estimator, optimizer), self._traced, strict=True)):
            raise ValueError("restart takes a task, an estimator and an optimizer of the run's own, got a traced one")
        self._given = task, estimator, optimizer

    def run(
        self,
        seed: int,
        *,
        callbacks: Iterable[keras.callbacks.Callback] = (),
        diagnostics: Sequence[Diagnostic] = (),
        checkpoint_dir: str | Path | None = None,
    ) -> History:
        """Train once with the objects that were given last; see `train`."""
        check_attached(callbacks, diagnostics, checkpoint_dir)
        check_seed(seed)
        given = self._take(seed)
        recording = Recording(
            *self._traced,
            self._budget.dataset,
            seed=seed,
            epochs=self._budget.epochs,
            steps_per_epoch=self._budget.steps_per_epoch,
            identity=run_identity(*self._traced, self._budget, seed),
            evaluations=self._evaluations,
            callbacks=callbacks,
            diagnostics=diagnostics,
            checkpoint_dir=checkpoint_dir,
        )
        try:
            recording.begin()
            if recording.history.status == "running":
                self._train(recording, seed)
            recording.end()
        finally:  # also after an interrupt, so that the trained weights are not lost
            if given is not self.task:
                carry_over(self.task.network.variables, given.network.variables)
        return recording.history

    @property
    def _traced(self) -> tuple[Task, GradientEstimator, keras.optimizers.Optimizer]:
        return self.task, self.estimator, self.optimizer

    def _take(self, seed: int) -> Task:
        """Build the given objects for a run of this seed; copy their values if other objects are in the trace."""
        if self._given is None:
            raise ValueError("this Trainer has run with the objects that it has: give others with restart(...)")
        (task, estimator, optimizer), self._given = self._given, None
        estimator.build(task, self._budget.context(seed))
        bind(optimizer, self._budget.steps, self._budget.steps_per_epoch)
        optimizer.build(task.weights)
        task.network.optimizer = optimizer  # where Keras callbacks look for the learning rate
        sizes = [size for size in (self._budget.batch_size, self._budget.rest) if size]
        check_cost(estimator, sizes, self._budget.steps)
        if task is not self.task:
            fresh = variables_of(task, estimator, optimizer)
            carry_over(fresh, variables_of(*self._traced))
        return task

    def _train(self, recording: Recording, seed: int) -> None:
        """Train the missing epochs."""
        history, every, epochs = recording.history, self._record_every, self._budget.epochs
        history.tracing_seconds = self._trace()
        recording.look_at_start()
        while recording.runs:
            recording.begin_epoch()
            # Multiples of record_every, even if a resumed run has recorded other epochs.
            last = min(recording.done + every - recording.done % every, epochs)
            if history.unfinished:
                last = max(last, history.unfinished["epoch"])
                require(last <= epochs, "epochs", f"≥ {last}, which the checkpoint's run has begun", epochs)
            recording.end_epoch(self._train_epochs(recording, seed, last))
        recording.finish()

    def _trace(self) -> float:
        if self._data is not None:
            return 0.0
        self._data = on_device(self._budget.dataset.train)
        return self._epochs.trace(*self._data)

    def _train_epochs(self, recording: Recording, seed: int, last: int) -> Record:
        """Run the missing epochs up to `last` and return its record; a non-finite step sets the history's status.

        Raises:
            KeyboardInterrupt: after an interrupt; the checkpoint then includes all steps so far.
        """
        progress, seconds = self._progress(recording)
        start = time.perf_counter()
        with held_back() as interrupted:
            progress = self._epochs(*self._data, seed, last, progress, interrupted)
            seconds += time.perf_counter() - start
            if interrupted():
                recording.interrupt(_plain(progress) | {"seconds": seconds})
        totals = Totals(*(value.numpy().item() for value in progress.totals))
        epoch, step = int(progress.epoch), int(progress.steps)
        if not totals.finite:
            recording.history.status, recording.history.diverged_step = "diverged", step
        return {
            "epoch": epoch,
            "step": step,
            "seconds": seconds,
            **self._budget.spent(self.estimator, step),
            "train_loss": totals.loss / totals.examples,
            "train_metric": totals.metric / totals.examples,
        }

    def _progress(self, recording: Recording) -> tuple[Progress, float]:
        """Return the point at which to continue, and the seconds of training so far."""
        kept, before = recording.history.unfinished, recording.before
        if kept is None:
            return Progress.before(recording.done + 1, before["step"]), before["seconds"]
        totals = [tf.constant(kept[name], dtype) for name, dtype in _TOTALS.items()]
        return Progress(*(tf.constant(kept[name], tf.int64) for name in ("epoch", "step")), Totals(*totals)), kept[
            "seconds"
        ]


_TOTALS = dict(zip(Totals._fields, (tf.int64, tf.float32, tf.float32, tf.float32, tf.bool), strict=True))


def _plain(progress: Progress) -> dict[str, float]:
    """Return the progress of the traced loop as Python numbers, which a checkpoint keeps exactly."""
    totals = {name: value.numpy().item() for name, value in progress.totals._asdict().items()}
    return {"epoch": int(progress.epoch), "step": int(progress.steps), **totals}


def one_step(
    task: Task, estimator: GradientEstimator, optimizer: keras.optimizers.Optimizer
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the update loop's body, from (x, y, seed) to the loss: an estimate and an update, to inspect or to time.

    It runs eagerly by itself, and compiled inside `tf.function`. Unlike the step of `train`, it does not check whether
    all values are finite. `task` must have been given to `estimator.build`.
    """
    optimizer.build(task.weights)

    def step(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        estimate = estimator.estimate(x, y, seed)
        check_estimate(estimate, estimator, task)
        optimizer.apply(estimate.gradients, task.weights)
        return estimate.loss

    return step


def compiles_with_xla() -> bool:
    """Return True on GPUs only: on CPUs, where Keras uses XLA too, it makes our convnets two to six times slower."""
    return bool(tf.config.list_physical_devices("GPU"))


def device() -> str:
    """Return the device that TensorFlow uses, for the provenance: "GPU, NVIDIA A100" or "CPU, 2 threads"."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return f"GPU, {tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'unknown')}"
    given = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if given.isdecimal() and int(given) > 0:  # what else it may be, TensorFlow passes over
        return f"CPU, {int(given)} threads"
    # As TensorFlow does: the cores that this process may use, which may be fewer than the machine has.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU, {cores} threads"
