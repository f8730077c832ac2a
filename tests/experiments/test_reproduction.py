"""Stored runs are rebuilt from their rows and come out the same to the bit, or are refused in one sentence."""

import dataclasses
import json

import pytest

from common import results, training
from common.data import load
from common.data.load import DataUnavailable, Split
from common.diagnostics import TestCurve
from common.estimators import Backpropagation, ConstantNoise, NoisyGradient
from common.experiments.identity import identity_of
from common.experiments.reproduction import run_of, train_again
from common.experiments.run import Run, train_all
from common.experiments.stored_settings import CannotRebuildError
from common.optimizers import SGD, CosineDecay, Momentum
from common.results.agreement import IDENTICAL, agreement
from common.results.stored_runs import StoredRun, stored_runs
from common.tasks.line_task import Line, one_feature
from common.tasks.networks import Network
from common.training.best_weights import BestWeights

DIGITS = load("digits")
FEW = dataclasses.replace(DIGITS, train=Split(DIGITS.train.x[:100], DIGITS.train.y[:100]))
MLP = Network("mlp", [4], dropout=False)
SGD_RUN = Run("sgd", Backpropagation(), SGD(0.1), 2, 32, network=MLP, data=FEW)
RAW = load("diabetes").named("diabetes, raw")
RUNS = {
    "noise, a schedule and a diagnostic": SGD_RUN.but(
        "noisy",
        estimator=NoisyGradient(Backpropagation(), ConstantNoise(0.1)),
        optimizer=Momentum(CosineDecay(0.1), 0.8),
        diagnostics=[TestCurve()],
    ),
    "options": SGD_RUN.but("options", epochs=3, options={"record_every": 2, "drop_remainder": True}),
    "a callback that changes the weights": SGD_RUN.but("best", callbacks=[BestWeights]),
    "steps in the order of epochs": SGD_RUN.but("steps", loop=training.train_steps, options={"steps_per_epoch": 2}),
    "Keras fit": SGD_RUN.but("fit", loop=training.fit, network=Network("mlp", [4])),
    "features in their units, the whole split a step": SGD_RUN.but(
        "raw", data=RAW, batch_size=None, optimizer=SGD(1e-6)
    ),
    "standardised features, nothing held out": SGD_RUN.but(
        "standardised", data=load("diabetes", 0, standardize=True).named("diabetes, standardised")
    ),
    "one feature": SGD_RUN.but("line", data=one_feature(RAW, 2), network=Line(), batch_size=None, optimizer=SGD(1e-6)),
    "a run that diverges": SGD_RUN.but("diverges", optimizer=SGD(1e38)),
}


def stored(run, folder, seed=1):
    """Train a run into a store and read it back."""
    train_all([run], run.data, network=run.network, seeds=[seed], experiment="mine", store=folder)
    [record] = stored_runs(folder)[0]
    return record


@pytest.mark.parametrize("name", RUNS)
def test_a_record_says_all_that_its_run_needs(name, tmp_path):
    record = stored(RUNS[name], tmp_path)
    assert results.identity_digest(json.loads(record.value("identity"))) == record.digest
    rebuilt, seed = run_of(record)
    assert seed == 1
    assert identity_of(rebuilt.but("", diagnostics=RUNS[name].diagnostics), 1) == identity_of(RUNS[name], 1)
    assert agreement(record.frame, train_again(record)).verdict == IDENTICAL


def test_a_record_of_old_gets_its_identity_when_a_plan_finds_it(tmp_path):
    record = stored(SGD_RUN, tmp_path)
    store = results.Store(tmp_path)
    old = store.find(record.digest)
    store.write(record.digest, old.frame.drop(columns="identity"), old.weights)
    [record] = stored_runs(tmp_path)[0]
    assert record.value("identity") is None
    frame, _ = train_all([SGD_RUN], FEW, network=MLP, seeds=[1], experiment="mine", store=tmp_path)
    assert json.loads(frame["identity"].iloc[0]) == identity_of(SGD_RUN, 1)


def test_columns_of_old_are_enough_where_they_say_all(tmp_path):
    run = SGD_RUN.but("old", data=DIGITS, batch_size=500, epochs=3, options={"drop_remainder": True})
    record = stored(run, tmp_path)
    columns = ["identity", "digest", "option.drop_remainder"]
    old = StoredRun(record.path, 0, record.frame.drop(columns=columns))
    assert run_of(old)[0].options == {"record_every": 1, "drop_remainder": True}
    assert agreement(record.frame, train_again(old)).verdict == IDENTICAL


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A stored run that nobody changes."""
    return stored(SGD_RUN, tmp_path_factory.mktemp("store"))


def _changed(record, **identity):
    """Return the record as if its identity had been another one, digest included."""
    changed = json.loads(record.value("identity")) | identity
    frame = record.frame.assign(identity=json.dumps(changed), digest=results.identity_digest(changed))
    return StoredRun(record.path, 0, frame)


@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        ({"estimator": "Backprop()"}, "this code does not read its estimator: estimator 'Backprop()': unknown name"),
        ({"optimizer": "SGD(0.1, momentun=1)"}, "this code does not read its optimizer: "),
        ({"network": "Network('mpl')"}, "this code does not read its network: "),
        ({"data": "0" * 64}, "its data set 'digits', with 100 training examples, is neither one that load gives nor"),
        ({"callbacks": ["mine.Stop"]}, "its callback mine.Stop is none of this project's"),
        ({"callbacks": ["common.training.stop.Stop"]}, "its callback common.training.stop.Stop is not there any more"),
        ({"loop": "os.system"}, "its loop os.system is none of this project's"),
        ({"estimator": "Backpropagation( )"}, "its estimator was 'Backpropagation( )', and comes out as"),
        ({"epochs": 0}, "epochs must be ≥ 1"),
        ({"network": "Network('mlp', [5], dropout=False)"}, "its network had 3,190 weights, and has 3,985 now"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_in_one_sentence(identity, sentence, record):
    with pytest.raises(CannotRebuildError) as error:
        run_of(_changed(record, **identity))
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_another_default_than_then_is_refused(tmp_path):
    record = stored(RUNS["noise, a schedule and a diagnostic"], tmp_path)
    frame = record.frame.assign(**{"NoisyGradient.clip_norm": 2.0})
    with pytest.raises(CannotRebuildError, match=r"^its NoisyGradient.clip_norm was 2.0, by default, and is None now$"):
        run_of(StoredRun(record.path, 0, frame))


def test_data_that_are_not_here_are_named(record, monkeypatch):
    def load(*_, **__):
        raise DataUnavailable("mnist is not on this machine")

    monkeypatch.setattr("common.experiments.reproduction.load", load)
    with pytest.raises(CannotRebuildError, match=r"^mnist is not on this machine$"):
        run_of(record)
