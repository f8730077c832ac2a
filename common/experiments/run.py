"""Plans and runs: a run is an estimator × an optimizer × a task; `train_all` trains a plan, a list of runs.

    sgd   = Run("no noise", Backpropagation(), SGD(0.01), epochs=15, batch_size=128)
    plan  = [sgd]
    plan += [sgd.but(f"σ = {s:g}", estimator=NoisyGradient(sgd.estimator, ConstantNoise(s))) for s in (0.1, 1)]
    frame, trained = train_all(plan, images, network=Network("mnist_convnet"), seeds=[0, 1], experiment="mine")

Runs hold unbuilt objects, and each seed trains copies. A store keeps one record per run and seed, found by the settings
that determine its numbers. A plan with one more line therefore trains only that line.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import keras
import numpy as np
import pandas as pd

from common.checks import is_whole, nearest, require, require_count
from common.data.load import Dataset
from common.estimators.estimator import GradientEstimator
from common.experiments import progress
from common.experiments.identity import columns, identity_of
from common.optimizers.clone import copy_of
from common.results.consumption import Consumption
from common.results.frame import combine, plain, run_frame
from common.results.provenance import run_provenance
from common.results.store import Store, identity_digest
from common.settings import text
from common.tasks.task import Task
from common.training.checks import check_attached
from common.training.history import Diagnostic, History
from common.training.loop import Trainer, device, train
from common.training.tensorboard import TensorBoard
from common.user_paths import user_path

__all__ = ["Run", "Trained", "completed", "train_all", "without_constant_settings"]


def __dir__() -> list[str]:
    return __all__


class TaskSettings(Protocol):
    """What a run trains, as settings: a `Network`, or another object of settings that makes a task of data."""

    @property
    def settings(self) -> dict[str, Any]:
        """Each argument of the constructor by its name."""

    def task(self, dataset: Dataset, seed: int) -> Task:
        """Return the network with its loss on a data set, with the initial weights of a seed."""


@dataclass(frozen=True, repr=False)
class Run:
    """One line of a plan: a training and its settings. All its objects are unbuilt and serve as settings.

    Attributes:
        name: unique in its plan; legends and tables show it.
        estimator: the gradient estimator, which computes the direction.
        optimizer: any Keras optimizer; its learning rate is a number or a schedule.
        epochs: number of passes over the training split, ≥ 1.
        batch_size: examples per step; None: the whole training split.
        group: the purpose of the run, such as "full" or "sweep".
        network: the network to train; None: the plan's.
        data: the data set; None: the plan's.
        diagnostics: diagnostics called after every recorded epoch.
        callbacks: Keras callback classes; each seed gets an object of its own.
        options: further arguments of the loop, such as drop_remainder or record_every.
        loop: `training.train`, or another function with its first arguments, such as Keras' own `fit`.
    """

    name: str
    estimator: GradientEstimator
    optimizer: keras.optimizers.Optimizer
    epochs: int
    batch_size: int | None
    group: str = ""
    # None until `completed` gives it the plan's; whatever trains a run has called that.
    network: TaskSettings = None  # type: ignore[assignment]
    data: Dataset = None  # type: ignore[assignment]
    diagnostics: Sequence[Diagnostic] = ()
    callbacks: Sequence[type[keras.callbacks.Callback]] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    loop: Callable[..., History] = train

    def __post_init__(self):
        require(isinstance(self.name, str), "name", "a string", self.name)
        require(isinstance(self.estimator, GradientEstimator), "estimator", "a GradientEstimator", self.estimator)
        require(isinstance(self.optimizer, keras.optimizers.Optimizer), "optimizer", "an optimizer", self.optimizer)
        require_count("epochs", self.epochs)
        if self.batch_size is not None:
            require_count("batch_size", self.batch_size)
        _require_network(self.network)
        require(self.data is None or isinstance(self.data, Dataset), "data", _DATA, self.data)
        for name, kind in (("diagnostics", "diagnostics"), ("callbacks", "classes of Keras callbacks")):
            value = getattr(self, name)
            require(isinstance(value, list | tuple), name, f"a list of {kind}", value)
        check_attached((), self.diagnostics, None)  # callbacks are classes here, and a store keeps checkpoints
        for callback in self.callbacks:
            constructor = callable(callback) and not isinstance(callback, keras.callbacks.Callback)
            require(constructor, "each of callbacks", "a class, of which each seed gets an object", callback)
        require(callable(self.loop), "loop", "a function, such as training.train", self.loop)
        self._refuse_unknown_options()

    def _refuse_unknown_options(self) -> None:
        require(isinstance(self.options, Mapping), "options", "a dictionary", self.options)
        parameters = inspect.signature(self.loop).parameters.values()
        known = [part.name for part in parameters if part.kind is part.KEYWORD_ONLY and part.name not in _GIVEN]
        if any(part.kind is part.VAR_KEYWORD for part in parameters):
            return
        for name in self.options:
            require(name in known, "an option", f"one of {', '.join(known)}{nearest(str(name), known)}", name)

    def but(self, name: str, **changes: Any) -> Run:
        """Return another run, with another name and some changed settings: arguments of `Run`, by name."""
        known = [part.name for part in dataclasses.fields(self)]
        for change in changes:
            require(change in known, "a change", f"one of {', '.join(known)}{nearest(change, known)}", change)
        return dataclasses.replace(self, name=name, **changes)

    def with_settings(self, name: str, **settings: Any) -> Run:
        """Return another run whose estimator has some settings changed: `newton.with_settings("rank 4", rank=4)`.

        Raises:
            ValueError: the estimator has no such setting, or its constructor raises for the value.
        """
        known = self.estimator.settings
        for setting in settings:
            allowed = f"one of {', '.join(known)}{nearest(setting, known)}"
            require(setting in known, f"a setting of {type(self.estimator).__name__}", allowed, setting)
        return self.but(name, estimator=type(self.estimator)(**known | settings))

    def __repr__(self) -> str:
        given = [text(getattr(self, name)) for name in ("name", "estimator", "optimizer")]
        for part in dataclasses.fields(self)[len(given) :]:
            value = getattr(self, part.name)
            default = part.default if part.default_factory is dataclasses.MISSING else part.default_factory()
            if value is not default and not (part.name != "loop" and value == default):
                given.append(f"{part.name}={_argument(value)}")
        return f"Run({', '.join(given)})"

    def __str__(self) -> str:
        size = self.batch_size or "all"
        line = f"{self.name}: {text(self.estimator)}, {text(self.optimizer)}, batch {size}, {self.epochs} epochs"
        # As wide as a notebook's output is on a small screen.
        return textwrap.fill(line, 110, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)

    def built_for(self, seed: int) -> tuple[Task, GradientEstimator, keras.optimizers.Optimizer]:
        """Return a task of this seed, and copies of estimator and optimizer that are not built yet."""
        return self.network.task(self.data, seed), copy.deepcopy(self.estimator), copy_of(self.optimizer)

    @property
    def examples_per_step(self) -> int:
        """The batch size as a number, also if it is the whole training split."""
        return self.batch_size or len(self.data.train)


_DATA = "a Dataset, such as load('digits')"
# What the loop gets from the run itself.
_GIVEN = ("epochs", "batch_size", "seed", "callbacks", "diagnostics", "checkpoint_dir")


def _require_network(network: Any) -> None:
    allowed = network is None or (callable(getattr(network, "task", None)) and not inspect.isclass(network))
    require(allowed, "network", "a Network, such as Network('mlp', [32])", network)


def _argument(value: Any) -> str:
    """Write an argument of a run as Python: classes and functions by their names."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_argument, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_argument(part)}' for key, part in value.items())}}}"
    return value.__name__ if inspect.isclass(value) or inspect.isroutine(value) else text(value)


def train_all(
    plan: Sequence[Run],
    data: Dataset,
    *,
    network: TaskSettings,
    seeds: Sequence[int],
    experiment: str,
    store: str | Path | None = None,
    tensorboard_dir: str | Path = "",
    trained_before: int = 0,
) -> tuple[pd.DataFrame, Trained]:
    """Train every run with every seed; runs in the store are not trained again.

    Args:
        plan: the runs, with unique names.
        data: the data set of runs without one of their own.
        network: the network of runs without one of their own; `network.task(data, seed)` makes the task.
        seeds: the seeds of initial weights, example order and all randomness in network and estimator.
        experiment: the notebook's name, a column of the results.
        store: a folder of records (see `results.Store`); None: nothing is stored or read.
        tensorboard_dir: folder of TensorBoard's logs; every run without logs there is trained and writes them.
        trained_before: number of runs that the same notebook trained before. The column `order` and the folders of logs
            continue from this number.

    Returns:
        The tidy frame of all runs, and the trained tasks by (name, seed).

    Raises:
        ValueError: a name occurs twice, a run has no network, or `training.train` raises.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.optimizers import SGD
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> saddle, slow = SaddleSurface(mu=1.0, start=(1.0, 0.5)), Run("slow", Backpropagation(), SGD(0.1), 1, 2)
        >>> plan = [slow, slow.but("fast", optimizer=SGD(1.0))]
        >>> frame, trained = train_all(plan, examples(), network=saddle, seeds=[0], experiment="mine")
        >>> frame[["run", "train_loss"]].values.tolist()  # u²/2 + μ (1 - v²)²/4 before the only step
        [['slow', 0.640625], ['fast', 0.640625]]
        >>> trained["fast", 0].weights[0].numpy().ravel().tolist()  # (1, 0.5) - (1, -0.375)
        [0.0, 0.875]
    """
    require(isinstance(experiment, str), "experiment", "a string", experiment)
    plan, seeds = completed(plan, data, network), _distinct(seeds)
    require(len(plan) > 0, "plan", "a list of one run or more", plan)
    records = Store(store) if store else None
    if tensorboard_dir:
        tensorboard_dir = user_path(tensorboard_dir)
        a_folder = tensorboard_dir.is_dir() or not tensorboard_dir.exists()
        require(a_folder, "tensorboard_dir", "a folder", str(tensorboard_dir))
    frames, trained = [], Trained()
    with progress.bar(sum(run.epochs for run in plan) * len(seeds)) as bar:
        for order, run in enumerate(plan, trained_before):
            logs = Path(tensorboard_dir, f"{order:02}") if tensorboard_dir else None
            runner = _Runner(run, experiment, records, logs)
            for seed in seeds:
                shown = progress.Progress(bar, run.name, seed, run.epochs)
                frame, weights = runner.record(seed, shown)
                shown.finish()
                # A record may have been made under other names: by another experiment, or from data called otherwise.
                label = {"experiment": experiment, "run": run.name, "group": run.group, "order": order}
                frames.append(frame.assign(**label, dataset=run.data.name))
                trained.add(run, seed, weights)
    return without_constant_settings(combine(frames)), trained


def completed(plan: Sequence[Run], data: Dataset, network: TaskSettings | None) -> list[Run]:
    """Give the plan's data set and network to runs without their own; raise if a name occurs twice."""
    require(not isinstance(plan, Run), "plan", "a list of runs: write [run]", plan)
    require(isinstance(plan, Iterable), "plan", "a list of runs", plan)
    plan = list(plan)
    for run in plan:
        require(isinstance(run, Run), "each of plan", "a Run", run)
    require(data is None or isinstance(data, Dataset), "data", _DATA, data)
    _require_network(network)
    names = [run.name for run in plan]
    for name in names:
        require(names.count(name) == 1, "the names of a plan", "different from each other", name)
    complete = []
    for run in plan:
        own = run.network or network
        if own is None:
            raise ValueError(f"network of the run {run.name!r} must be given, or the plan's, got None")
        require(run.data is not None or data is not None, f"data of the run {run.name!r}", "given, or the plan's", None)
        complete.append(dataclasses.replace(run, data=run.data or data, network=own))
    return complete


def _distinct(seeds: Any) -> list[int]:
    """Return seeds as a list; refuse what is no whole number, or there twice."""
    hint = f": write [{seeds}] or range({seeds})" if is_whole(seeds) else ""
    listed = isinstance(seeds, Iterable) and not isinstance(seeds, str)
    require(listed, "seeds", f"a list of whole numbers, such as [0, 1, 2]{hint}", seeds)
    seeds = list(seeds)
    require(len(seeds) > 0, "seeds", "one or more", seeds)
    for seed in seeds:
        require(is_whole(seed), "each of seeds", "a whole number", seed)
        require(seeds.count(seed) == 1, "seeds", "different from each other", seeds)
    return seeds


def without_constant_settings(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop columns `Owner.argument` that are the same in all runs; `estimator` and `optimizer` still contain them."""
    settings = [name for name in frame if "." in name and not name.startswith("Network.")]
    constant = [name for name in settings if frame[name].nunique(dropna=False) <= 1]
    return frame.drop(columns=constant)


class Trained(Mapping):
    """The trained tasks of a plan, by (name, seed); each is made from its stored weights on access."""

    def __init__(self):
        self._weights: dict[tuple[str, int], tuple[Run, list[np.ndarray]]] = {}

    def add(self, run: Run, seed: int, weights: list[np.ndarray]) -> None:
        """Store the final weights of a run with one seed."""
        self._weights[run.name, seed] = run, weights

    def __getitem__(self, key: tuple[str, int]) -> Task:
        run, weights = self._weights[key]
        task = run.network.task(run.data, key[1])
        task.network.set_weights(weights)
        return task

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._weights)

    def __repr__(self) -> str:
        keys = ", ".join(map(repr, itertools.islice(self, 3)))
        return f"<Trained: {len(self)} tasks by (name, seed): {keys}{', …' if len(self) > 3 else ''}>"

    def __len__(self) -> int:
        return len(self._weights)


class _Runner:
    """Trainer of one run for one seed after another, with a single trace; stored records are not trained again."""

    def __init__(self, run: Run, experiment: str, store: Store | None, logs: Path | None):
        self._run, self._experiment, self._store, self._logs = run, experiment, store, logs
        self._columns = columns(run)
        self._trainer: Trainer | None = None
        self._digest = ""  # of the run that trains

    def record(self, seed: int, shown: progress.Progress) -> tuple[pd.DataFrame, list[np.ndarray]]:
        """Return the frame of the run with one seed, and its final weights."""
        provenance = run_provenance(device(), self._run.data.checksum)
        if self._store is None:
            return self._train(seed, shown, None, provenance | self._named(seed))
        identity = identity_of(self._run, seed)
        digest = identity_digest(identity)
        with self._store.lock(digest):
            stored = None if self._wants_logs(seed, digest) else self._store.find(digest)
            if stored is not None:
                # Records of old do not say what their digest is of.
                return stored.frame.assign(identity=plain(identity)), stored.weights
            provenance = self._store.begin(digest, provenance) | {"digest": digest, "identity": identity}
            frame, weights = self._train(seed, shown, self._store.checkpoint_dir(digest), provenance)
            self._store.write(digest, frame, weights)
            return frame, weights

    def _named(self, seed: int) -> dict[str, Any]:
        """Return digest and identity of a run without a store; both are missing if it has a class of a notebook."""
        with contextlib.suppress(ValueError):
            identity = identity_of(self._run, seed)
            return {"digest": identity_digest(identity), "identity": identity}
        return {"digest": ""}

    def _wants_logs(self, seed: int, digest: str) -> bool:
        return self._logs is not None and not self._log_dir(self._logs, seed, digest).exists()

    @staticmethod
    def _log_dir(logs: Path, seed: int, digest: str) -> Path:
        """Return a folder of this run alone: another run may have had its place in the plan."""
        name = f"{logs.name}-seed{seed}"
        return logs.with_name(f"{name}-{digest[:8]}" if digest else name)

    def _train(self, seed: int, shown, checkpoint_dir: Path | None, provenance: Mapping[str, Any]):
        run = self._run
        self._digest = str(provenance.get("digest", ""))
        with Consumption() as consumption:
            if run.loop is train:
                task, history = self._train_traced(seed, shown, checkpoint_dir)
            else:
                task, history = self._train_by_another_loop(seed, shown, checkpoint_dir)
        # What the sessions before took that a resumed run goes on from is not known.
        taken = {} if provenance.get("resumed") else consumption.columns
        frame = run_frame(
            history.epochs,
            experiment=self._experiment,
            method=type(run.estimator).__name__,
            seed=seed,
            status=history.status,
            metric=task.metric_name,
            diverged_step=history.diverged_step,
            provenance={**provenance, **taken},
            run=run.name,
            group=run.group,
            order=0,
            coordinates=task.parameter_count,
            **self._columns | {"batch_size": run.examples_per_step},
        )
        return frame, task.network.get_weights()

    def _train_by_another_loop(self, seed: int, shown, checkpoint_dir: Path | None) -> tuple[Task, History]:
        run = self._run
        task, estimator, optimizer = run.built_for(seed)
        history = run.loop(
            task,
            estimator,
            optimizer,
            run.data,
            epochs=run.epochs,
            batch_size=run.examples_per_step,
            seed=seed,
            callbacks=self._callbacks(seed, shown, task, estimator),
            diagnostics=run.diagnostics,
            checkpoint_dir=checkpoint_dir,
            **run.options,
        )
        return task, history

    def _train_traced(self, seed: int, shown, checkpoint_dir: Path | None) -> tuple[Task, History]:
        """Train with the previous seed's trace, whose variables get the values of new objects."""
        run = self._run
        if self._trainer is None:
            options = {"epochs": run.epochs, "batch_size": run.examples_per_step} | dict(run.options)
            self._trainer = Trainer(*run.built_for(seed), run.data, **options)
        else:
            self._trainer.restart(*run.built_for(seed))
        trainer = self._trainer
        callbacks = self._callbacks(seed, shown, trainer.task, trainer.estimator)
        history = trainer.run(seed, callbacks=callbacks, diagnostics=run.diagnostics, checkpoint_dir=checkpoint_dir)
        return trainer.task, history

    def _callbacks(self, seed: int, shown, task: Task, estimator: GradientEstimator) -> list[keras.callbacks.Callback]:
        callbacks = [shown, *(make() for make in self._run.callbacks)]
        if self._logs is not None:
            folder, examples = self._log_dir(self._logs, seed, self._digest), self._run.examples_per_step
            callbacks.append(TensorBoard(folder, task, estimator, self._run.data.train, examples))
        return callbacks
