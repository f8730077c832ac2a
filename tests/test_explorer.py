"""The Python API as somebody meets it who explores it in a notebook: what objects show, and what tab completion."""

import importlib
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import common
from common import diagnostics, estimators, optimizers, results, training
from common.curvature.eigensolvers import Eigenpairs
from common.curvature.operators import HessianOperator
from common.curvature.spectra import SpectralDensity
from common.data import SPECIFICATIONS, Dataset, Split, load
from common.estimators import Backpropagation, ConstantNoise, NoisyGradient, RunContext
from common.experiments.run import Run, Trained
from common.optimizers import SGD, Adam, CosineDecay, Lazy
from common.settings import text
from common.tasks.networks import Network
from common.training.budget import Budget

PACKAGES = [module.name for module in pkgutil.walk_packages(common.__path__, "common.") if module.ispkg]
CONSTRUCTORS = vars(estimators) | vars(optimizers) | vars(diagnostics) | {"Network": Network, "Run": Run}


def _split(examples):
    return Split(np.zeros((examples, 4, 4, 1), np.float32), np.zeros(examples, np.int32))


DATASET = Dataset("zeros", "classification", _split(64), _split(8), _split(8), 3, "abcdef", "made here")
TASK = Network("mlp", [5]).task(DATASET, 0)
RUN = Run("exact", Backpropagation(), SGD(0.05), epochs=8, batch_size=32)


def _estimate():
    estimator = Backpropagation()
    estimator.build(TASK)
    return estimator.estimate(tf.zeros([2, 4, 4, 1]), tf.zeros([2], tf.int32), tf.constant([0, 0], tf.int64))


def _trained():
    trained = Trained()
    for seed in range(40):
        trained.add(RUN, seed, [])
    return trained


def _history(**options):
    record = {"epoch": 1, "step": 40, "train_loss": 0.25, "picture": np.zeros((100, 100))}
    return training.History([record | {"epoch": epoch} for epoch in range(1, 31)], status="finished", **options)


# Objects whose text says what they are, and is no Python.
SHOWN = {
    "data set": (DATASET, "<zeros: 64 training, 8 validation, 8 test examples of shape (4, 4, 1), content abcdef>"),
    "split": (DATASET.train, "<Split: 64 examples, x (64, 4, 4, 1) float32, y (64,) int32>"),
    "task": (TASK, "<Task: 'mlp', 103 parameters, accuracy>"),
    "estimate": (_estimate(), "<GradientEstimate: outputs (2, 3), 4 gradients (16, 5), (5,), (5, 3), (3,)>"),
    "history": (_history(), "<History: 30 epochs, finished, train_loss 0.25>"),
    "diverged": (training.History(status="diverged", diverged_step=3), "<History: 0 epochs, diverged in step 3>"),
    "moment": (
        training.Moment(TASK, Backpropagation(), SGD(0.05), DATASET, 0, 2, 20),
        "<Moment: epoch 2 of 20, seed 0, Backpropagation(), SGD(0.05), zeros>",
    ),
    "trainer": (
        training.Trainer(TASK, Backpropagation(), SGD(0.05), DATASET, epochs=3, batch_size=32),
        "<Trainer: Backpropagation(), SGD(0.05) on zeros, 3 epochs, batch 32>",
    ),
    "evaluation": (
        training.Evaluation(TASK, DATASET.test),
        "<Evaluation of <Task: 'mlp', 103 parameters",
    ),
    "trained": (_trained(), "<Trained: 40 tasks by (name, seed): ('exact', 0), ('exact', 1), ('exact', 2), …>"),
    "record": (
        results.Record("0123456789abcdef", _history().frame(), [np.zeros((99, 99))]),
        "<Record 0123456789ab: 30 rows × ",
    ),
    "operator": (
        HessianOperator(TASK, tf.zeros([2, 4, 4, 1]), tf.zeros([2], tf.int32)),
        "<HessianOperator: 103 × 103 on 2 examples, damping=0, l2=0>",
    ),
    "eigenpairs": (Eigenpairs(tf.zeros([3]), tf.zeros([103, 3])), "<Eigenpairs: values (3,), vectors (103, 3)>"),
    "density": (
        SpectralDensity(np.linspace(-1, 2, 50), np.full(50, 0.02)),
        "<SpectralDensity: 50 nodes from -1 to 2>",
    ),
    "budget": (Budget(DATASET, 2, 32), "Budget(dataset=<zeros: 64 training"),
    "context": (RunContext(split=DATASET.train), "RunContext(seed=0"),
    "specification": (SPECIFICATIONS["digits"], "Specification(kind='classification'"),
}
# Objects that are written as the call that makes them.
CALLS = {
    "network": Network("mlp", [5], precision="mixed_bfloat16"),
    "estimator": NoisyGradient(Backpropagation(), ConstantNoise(0.1), clip_norm=1),
    "optimizer of Keras": SGD(0.1, momentum=0.9),
    "optimizer": Lazy(Adam(CosineDecay(0.1), clipnorm=1.0)),
    "schedule": CosineDecay(0.1, warmup=0.05),
    "diagnostic": diagnostics.GradientAlignment(32),
    "run": RUN.but("noisy", diagnostics=[diagnostics.GradientAlignment(32)], options={"record_every": 2}),
    "store": results.Store("results/quick/.store"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_an_object_says_in_one_short_line_what_it_is(name):
    value, begins = SHOWN[name]
    assert repr(value).startswith(begins)
    assert len(repr(value)) <= 210
    assert "\n" not in repr(value)


@pytest.mark.parametrize("name", CALLS)
def test_an_object_that_is_its_settings_is_written_as_python(name):
    written = repr(CALLS[name])
    assert len(written) <= 210
    read_back = eval(written, CONSTRUCTORS | {"Store": results.Store})  # what a user would paste into a cell
    assert repr(read_back) == written


def test_an_optimizer_whose_settings_cannot_be_told_is_shown_as_any_object():
    class Own(keras.optimizers.SGD):
        def get_config(self):
            raise NotImplementedError

    assert "Own object at" in repr(Own(0.1))
    assert repr(keras.optimizers.Nadam(0.1)) == text(keras.optimizers.Nadam(0.1)) == "Nadam(0.1)"


def _modules_of(package):
    module = importlib.import_module(package)
    return module, {part.name for part in pkgutil.iter_modules(module.__path__)}


@pytest.mark.parametrize("package", PACKAGES)
def test_tab_completion_shows_public_names_alone(package):
    module, submodules = _modules_of(package)
    shown = {name for name in dir(module) if not name.startswith("_")}
    if hasattr(module, "__all__"):
        assert shown == set(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
    else:  # its modules are what it has
        assert shown <= submodules


@pytest.mark.parametrize("module", ["common.plotting.compare", "common.experiments.run", "common.tasks.networks"])
def test_modules_that_are_imported_by_hand_show_no_imports_of_theirs(module):
    loaded = importlib.import_module(module)
    assert set(dir(loaded)) == set(loaded.__all__)
    assert all(getattr(loaded, name).__module__ == module for name in loaded.__all__ if callable(getattr(loaded, name)))


def test_a_data_set_is_shown_in_a_line_whatever_its_size():
    assert len(repr(load("digits"))) < 120


# --- what a history is good for -----------------------------------------------------------------------------------


def _run(seed, status="finished", **options):
    records = [
        {"epoch": epoch, "step": 2 * epoch, "train_loss": 1 / epoch, "validation_metric": 0.5} for epoch in (1, 2)
    ]
    return training.History(records, status=status, seed=seed, method="SPSA", **options)


def test_a_history_of_training_is_a_frame_of_results():
    task = Network("mlp", [5]).task(DATASET, 3)
    history = training.train(task, Backpropagation(), SGD(0.05), DATASET, epochs=2, batch_size=32, seed=3)
    frame = history.frame(run="mine")
    assert frame["method"].unique().tolist() == ["Backpropagation"]
    assert (frame["seed"] == 3).all()
    assert frame["epoch"].tolist() == [1, 2]
    assert frame["metric"].unique().tolist() == ["accuracy"]
    assert np.isfinite(frame["test_metric"].iloc[-1])
    empty = results.run_frame([], experiment="", method="", seed=0, status="finished", metric="accuracy", run="")
    assert list(frame)[: len(empty.columns)] == list(empty)


def test_histories_are_summarized_like_results():
    frame = results.combine([_run(seed).frame(run="a") for seed in (0, 1)])
    (row,) = results.summarize(frame, "run", "validation_metric").to_dict("records")
    assert (row["mean"], row["n"]) == (0.5, 2)


def test_a_history_that_is_not_at_its_end_has_a_frame_too():
    assert _run(0, status="running").frame()["status"].unique().tolist() == ["running"]


def test_a_parameter_with_the_name_of_a_column_is_refused():
    with pytest.raises(ValueError, match="parameter 'epoch' has the name of a fixed result column"):
        _run(0).frame(epoch=3)
