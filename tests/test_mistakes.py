"""Plausible mistakes in a notebook: each is refused before anything is trained, in one sentence."""

import math

import keras
import numpy as np
import pandas as pd
import pytest

from common import results, training
from common.data import Dataset, Split, load
from common.diagnostics import GradientAlignment, LogitAlignment, SpectrumProbe
from common.estimators import (
    SPSA,
    AnnealedNoise,
    Backpropagation,
    ConstantNoise,
    DPGradient,
    LayerwiseEvolution,
    LogitEvolution,
    LowRankGradient,
    NoisyGradient,
    RelativeNoise,
    TopKGradient,
)
from common.experiments.run import Run, train_all
from common.optimizers import SGD, Adam, CosineDecay, Lazy
from common.tasks import networks
from common.tasks.networks import Network
from common.tasks.task import classification


def _split(examples, shape=(4, 4, 1)):
    return Split(np.zeros((examples, *shape), np.float32), np.zeros(examples, np.int32))


def _dataset(*shape):
    return Dataset("zeros", "classification", *(_split(examples, shape) for examples in (64, 8, 8)), 3, "abc", "here")


DATASET = _dataset(4, 4, 1)
NETWORK = Network("mlp", [5])
TASK = NETWORK.task(DATASET, 0)
EXACT = Backpropagation()


def _run(**changes):
    return Run(**{"name": "a", "estimator": EXACT, "optimizer": SGD(0.1), "epochs": 1, "batch_size": 32} | changes)


def _train(**changes):
    given = {"task": TASK, "estimator": EXACT, "optimizer": SGD(0.1), "dataset": DATASET}
    return training.train(**given | {"epochs": 1, "batch_size": 32, "seed": 0} | changes)


def _train_all(plan=None, data=DATASET, **changes):
    plan = [_run()] if plan is None else plan
    return train_all(plan, data, **{"network": NETWORK, "seeds": [0], "experiment": "mine"} | changes)


FRAME = training.History([{"epoch": 1, "step": 2}], status="finished").frame(run="exact")
MISTAKES = {
    # wrong names and kinds of data and networks
    "a number for a name": (lambda: load(5), "There is no data set 5: the names are digits"),
    "a list of names": (lambda: load(["digits"]), "did you mean 'digits'?"),
    "a fraction for a number of examples": (lambda: load("digits", 0.1), "validation must be a whole number"),
    "a misspelt network": (lambda: Network("mpl", [8]), "did you mean 'mlp'?"),
    "one hidden layer": (lambda: Network("mlp", 8), "hidden must be a list of units of each hidden layer"),
    "units that are none": (lambda: Network("mlp", [True]), "hidden must be a list of units of each hidden layer"),
    "a misspelt keyword": (
        lambda: Network("mlp", hiden=[8]),
        "Network has no argument 'hiden'; did you mean 'hidden'?",
    ),
    "a name for data": (lambda: NETWORK.task("digits", 0), "dataset must be a Dataset, such as load('digits')"),
    "data and seed swapped": (lambda: NETWORK.task(0, DATASET), "dataset must be a Dataset, such as load('digits')"),
    "a text for pairs": (lambda: LayerwiseEvolution("8", 0.1), "pairs must be a list or a whole number, got '8'"),
    "a text for a seed": (lambda: NETWORK.task(DATASET, "0"), "seed must be a whole number, got '0'"),
    "a negative number of outputs": (
        lambda: networks.build("mlp", (4, 4, 1), -1, seed=0, hidden=[5]),
        "outputs must be ≥ 1, got -1",
    ),
    "negative units": (
        lambda: networks.build("mlp", (4, 4, 1), 3, seed=0, hidden=[-5]),
        "the units of a hidden layer must be ≥ 1, got -5",
    ),
    "a number for a shape": (
        lambda: networks.build("mlp", 784, 3, seed=0, hidden=[5]),
        "input_shape must be that of one example",
    ),
    "a setting for a Keras model": (lambda: classification(NETWORK), "network must be a Keras model"),
    # estimators, optimizers, diagnostics
    "a number for a level": (lambda: NoisyGradient(EXACT, 0.1), "level must be a noise level, such as Const"),
    "swapped parts": (lambda: NoisyGradient(ConstantNoise(0.1), EXACT), "inner must be a gradient estimator"),
    "a class for an object": (lambda: NoisyGradient(Backpropagation, ConstantNoise(0.1)), "inner must be a gradient"),
    "a text for a number": (lambda: ConstantNoise("0.1"), "sigma must be a number, got '0.1'"),
    "nothing for a number": (lambda: ConstantNoise(None), "sigma must be a number, got None"),
    "a truth for a number": (lambda: ConstantNoise(True), "sigma must be a number, got True"),
    "no number": (lambda: ConstantNoise(math.nan), "sigma must be ≥ 0 and finite, got nan"),
    "a text for an annealed level": (lambda: AnnealedNoise("1"), "must be a number, got '1'"),
    "a text for a relative level": (lambda: RelativeNoise("1"), "must be a number, got '1'"),
    "a text for a norm": (
        lambda: NoisyGradient(EXACT, ConstantNoise(0.1), clip_norm="1"),
        "clip_norm must be a number, got '1'",
    ),
    "a short keyword": (
        lambda: NoisyGradient(EXACT, ConstantNoise(0.1), clip=1),
        "NoisyGradient has no argument 'clip'; did you mean 'clip_norm'?; its arguments are inner, level",
    ),
    "a text for a step": (lambda: SPSA("1"), "sigma must be a number, got '1'"),
    "a text for a fraction": (lambda: TopKGradient(EXACT, "0.1"), "fraction must be a number, got '0.1'"),
    "an estimator for a norm": (lambda: DPGradient(EXACT, 1.0), "clip_norm must be a number, got Backpropagation()"),
    "a negative rank": (lambda: LowRankGradient(EXACT, -1), "rank must be an integer ≥ 1, got -1"),
    "a negative number of samples": (lambda: LogitEvolution(-1, 1.0), "must be"),
    "a text for a rate": (lambda: Adam("0.1"), "learning_rate must be a number ≥ 0"),
    "a misspelt option": (lambda: Adam(0.1, beta1=0.9), "Adam has no argument 'beta1'; did you mean 'beta_1'?"),
    "a negative schedule": (lambda: CosineDecay(-1.0), "initial must be a number ≥ 0, got -1"),
    "steps for a fraction": (lambda: CosineDecay(0.1, warmup=5), "warmup must be a fraction of the run's steps"),
    "a rate for an optimizer": (lambda: Lazy(0.1), "inner must be a Keras optimizer, such as Adam(0.001), got 0.1"),
    "a text for a batch": (lambda: GradientAlignment("32"), "batch_size must be a whole number, got '32'"),
    "a number for a list": (lambda: LogitAlignment(32), "estimators must be a list, got 32"),
    "a text for examples": (lambda: SpectrumProbe("a", 5), "examples must be a whole number, got 'a'"),
    # a plan
    "epochs as a text": (lambda: _run(epochs="3"), "epochs must be a whole number ≥ 1, got '3'"),
    "one epoch and a half": (lambda: _run(epochs=1.5), "epochs must be a whole number ≥ 1, got 1.5"),
    "a batch size of 32.0": (lambda: _run(batch_size=32.0), "batch_size must be a whole number ≥ 1, got 32.0"),
    "estimator and optimizer swapped": (
        lambda: _run(estimator=SGD(0.1), optimizer=EXACT),
        "estimator must be a GradientEstimator, got SGD(0.1)",
    ),
    "an optimizer's name": (lambda: _run(optimizer="sgd"), "optimizer must be an optimizer, got 'sgd'"),
    "a network's name": (lambda: _run(network="mlp"), "network must be a Network, such as Network('mlp', [32])"),
    "a data set's name": (lambda: _run(data="digits"), "data must be a Dataset, such as load('digits')"),
    "one diagnostic": (
        lambda: _run(diagnostics=GradientAlignment(32)),
        "diagnostics must be a list of diagnostics, got GradientAlignment(32)",
    ),
    "a diagnostic's name in a plan": (
        lambda: _run(diagnostics=["GradientAlignment"]),
        "each of diagnostics must be a function of a Moment, got 'GradientAlignment'",
    ),
    "a diagnostic's class in a plan": (
        lambda: _run(diagnostics=[GradientAlignment]),
        "each of diagnostics must be a function of a Moment, GradientAlignment(...), got <class",
    ),
    "diagnostics that could be read once": (
        lambda: _run(diagnostics=iter([GradientAlignment(32)])),
        "diagnostics must be a list of diagnostics, got <list_iterator",
    ),
    "a callback's object": (
        lambda: _run(callbacks=[keras.callbacks.EarlyStopping()]),
        "each of callbacks must be a class, of which each seed gets an object",
    ),
    "a misspelt option of the loop": (
        lambda: _run(options={"record_evry": 2}),
        "an option must be one of drop_remainder, steps_per_epoch, jit_compile, record_every; did you mean",
    ),
    "a misspelt change": (lambda: _run().but("b", epoch=3), "did you mean 'epochs'?"),
    "one run for a plan": (lambda: _train_all(_run()), "plan must be a list of runs: write [run]"),
    "an empty plan": (lambda: _train_all([]), "plan must be a list of one run or more, got []"),
    "estimators for runs": (lambda: _train_all([EXACT]), "each of plan must be a Run, got Backpropagation()"),
    "a name for the plan's data": (lambda: _train_all(data="digits"), "data must be a Dataset, such as load('dig"),
    "a number of seeds": (lambda: _train_all(seeds=3), "such as [0, 1, 2]: write [3] or range(3), got 3"),
    "seeds as texts": (lambda: _train_all(seeds=["0"]), "each of seeds must be a whole number, got '0'"),
    "a seed twice": (lambda: _train_all(seeds=[0, 0]), "seeds must be different from each other, got [0, 0]"),
    "no seeds": (lambda: _train_all(seeds=[]), "seeds must be one or more, got []"),
    # the loop
    "a text for the loop's epochs": (lambda: _train(epochs="3"), "epochs must be a whole number ≥ 1, got '3'"),
    "a fraction of the data": (lambda: _train(batch_size=0.5), "batch_size must be a whole number of examples"),
    "more than there is": (lambda: _train(batch_size=500), "batch_size must be between 1 and the 64 training exam"),
    "no seed": (lambda: _train(seed=None), "seed must be a whole number, got None"),
    "a network for a task": (lambda: _train(task=NETWORK), "task must be a Task, such as Network('lenet5').task("),
    "a split for a data set": (lambda: _train(dataset=DATASET.train), "dataset must be a Dataset, such as load("),
    "data of another shape": (
        lambda: _train(dataset=_dataset(10)),
        "dataset must have examples of shape (4, 4, 1), as 'mlp' takes, got <zeros: 64 training",
    ),
    "a rate that climbs": (lambda: _train(optimizer=SGD(-0.1)), "learning_rate must be ≥ 0, as gradients point uphill"),
    "one callback": (
        lambda: _train(callbacks=keras.callbacks.EarlyStopping()),
        "callbacks must be a list of Keras callbacks",
    ),
    "a callback's class": (
        lambda: _train(callbacks=[keras.callbacks.EarlyStopping]),
        "each of callbacks must be a Keras callback, EarlyStopping(...), got <class",
    ),
    "a diagnostic's name": (
        lambda: _train(diagnostics=["GradientAlignment"]),
        "each of diagnostics must be a function of a Moment, got 'GradientAlignment'",
    ),
    "a diagnostic's class": (
        lambda: _train(diagnostics=[GradientAlignment]),
        "each of diagnostics must be a function of a Moment, GradientAlignment(...), got <class",
    ),
    "a number for a folder": (lambda: _train(checkpoint_dir=5), "checkpoint_dir must be a path, or None, got 5"),
    "a text for a truth": (lambda: _train(drop_remainder="yes"), "drop_remainder must be True or False, got 'yes'"),
    "a text for record_every": (lambda: _train(record_every="2"), "record_every must be a whole number ≥ 1, got '2'"),
    "a text for XLA": (lambda: _train(jit_compile="no"), "jit_compile must be True, False or None, got 'no'"),
    "a data set for a split": (lambda: training.evaluate(TASK, DATASET), "split must be a Split, such as dataset."),
    # results
    "a number for a path": (lambda: results.read(5), "paths must be a path, or several, got int 5"),
    "a misspelt folder": (lambda: results.read("results/papr"), "did you mean 'results/paper'?"),
    "a misspelt column": (lambda: results.summarize(FRAME, ["rn"]), "column 'rn' is unknown"),
    "a history for a frame": (
        lambda: results.summarize(training.History(), ["run"]),
        "frame must be a tidy frame, such as that of train_all, results.read or History.frame",
    ),
    "a misspelt baseline": (
        lambda: results.paired_differences(FRAME, "exct", margin=0.1),
        "run 'exct' is unknown; there is exact; did you mean 'exact'?",
    ),
    "a negative margin": (
        lambda: results.paired_differences(FRAME, "exact", margin=-1),
        "margin must be > 0, got -1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_in_one_sentence(mistake):
    make, words = MISTAKES[mistake]
    with pytest.raises((ValueError, TypeError, FileNotFoundError)) as error:
        make()
    sentence = str(error.value)
    assert words in sentence
    assert "\n" not in sentence
    assert not any(name in str(error.traceback[-1].path) for name in ("tensorflow", "keras", "pandas", "pathlib"))


def test_what_is_right_is_taken():
    assert _run(batch_size=np.int64(32), epochs=np.int32(2), callbacks=[keras.callbacks.EarlyStopping]).epochs == 2
    assert ConstantNoise(np.float32(0.5)).sigma == 0.5
    assert ConstantNoise(1).sigma == 1
    assert LayerwiseEvolution(8, 0.1).pairs == 8
    assert LayerwiseEvolution([8, 4], 0.1).pairs == [8, 4]
    assert NoisyGradient(EXACT, ConstantNoise(0.1), clip_norm=None).clip_norm is None
    frame, _ = _train_all(seeds=range(1))
    assert isinstance(frame, pd.DataFrame)
