"""An optimizer is its text: written, read back and written again, whatever it is."""

import keras
import numpy as np
import pytest
from optimizer_cases import OPTIMIZERS

from common import optimizers
from common.optimizers import SGD, Adam, AdamW, CosineDecay, ExponentialDecay, Lazy, LinearDecay, Muon
from common.optimizers.notation import KNOWN, arguments_of
from common.settings import text

KERAS = keras.optimizers
WRITTEN = {
    "SGD(0.01, momentum=0.9)": lambda: SGD(0.01, momentum=0.9),
    "SGD(0.1, use_ema=True, ema_momentum=0.999)": lambda: SGD(0.1, use_ema=True, ema_momentum=0.999),
    "keras.Adam(0.001)": KERAS.Adam,
    "keras.AdamW(0.001, weight_decay=0.01)": lambda: KERAS.AdamW(0.001, weight_decay=0.01),
    "keras.RMSprop(0.02, rho=0.5)": lambda: KERAS.RMSprop(0.02, rho=0.5),
    "Nadam(0.003)": lambda: KERAS.Nadam(0.003),
    "Lion(LinearDecay(0.003, warmup=0.1))": lambda: KERAS.Lion(LinearDecay(0.003, warmup=0.1)),
    "SGD(PolynomialDecay(0.1, 100, end_learning_rate=0.0))": lambda: SGD(
        KERAS.schedules.PolynomialDecay(0.1, 100, 0.0)
    ),
    "SGD(keras.CosineDecay(0.1, 100))": lambda: SGD(KERAS.schedules.CosineDecay(0.1, 100)),
    "Adam(0.001)": lambda: Adam(1e-3, name="mine"),
    "AdamW(0.01, clipnorm=1.0, use_ema=True)": lambda: AdamW(0.01, clipnorm=1.0, use_ema=True),
    "Muon(CosineDecay(0.1, final=0.01), adam_for=['last'])": lambda: Muon(CosineDecay(0.1, 0.01), adam_for=["last"]),
    "Lazy(Adam(ExponentialDecay(0.1, 0.5), beta_1=0.8))": lambda: Lazy(Adam(ExponentialDecay(0.1, 0.5), beta_1=0.8)),
}


@pytest.mark.parametrize(("written", "make"), WRITTEN.items(), ids=list(WRITTEN))
def test_it_is_written_as_python_and_read_back(written, make):
    optimizer = make()
    assert text(optimizer) == written
    again = optimizers.parse(written)
    assert type(again) is type(optimizer)
    assert text(again) == written == text(optimizers.copy_of(optimizer))
    assert _config(again) == _config(optimizer)


@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.05}], ids=["free", "clipped"])
@pytest.mark.parametrize("case", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_every_optimizer_of_the_table_makes_the_round_trip(case, options):
    for make in filter(None, (case.make, case.keras)):
        optimizer = make(0.0031, **options)
        again = optimizers.parse(text(optimizer))
        assert type(again) is type(optimizer)
        assert text(again) == text(optimizer)
        assert _config(again) == _config(optimizer)


def _config(optimizer):
    return {name: value for name, value in optimizer.get_config().items() if name != "name"}


@pytest.mark.parametrize("rate", [0.1, 0.01, 1e-7, 0.30000001, 1 / 3, 12345.678])
def test_a_rate_is_the_shortest_decimal_number_that_is_the_same_float32(rate):
    again = optimizers.parse(text(SGD(rate)))
    assert np.float32(again.learning_rate.numpy()) == np.float32(rate)
    assert len(text(SGD(rate))) <= len("SGD(0.33333334)")


def test_arguments_are_listed_with_their_defaults():
    arguments = arguments_of(SGD(0.1, momentum=0.9))
    assert next(iter(arguments)) == "learning_rate"
    assert (arguments["momentum"], arguments["nesterov"], arguments["clipnorm"]) == (0.9, False, None)
    assert "name" not in arguments


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("Sgd(0.1)", "unknown name 'Sgd'; did you mean 'SGD'"),
        ("SGD(0.1, momentun=0.9)", "SGD has no argument 'momentun'; did you mean 'momentum'"),
        ("Adam(0.1, beta_3=0.9)", "Adam has no argument 'beta_3'; did you mean 'beta_"),
        ("SGD('fast')", "learning_rate must be a number or a schedule, got 'fast'"),
        ("SGD(LinearDecay(-1))", "initial must be a number ≥ 0, got -1"),
        ("LinearDecay(0.1)", "describes no optimizer, but a LinearDecay"),
        ("0.1", "is no constructor call"),
        ("SGD(__import__('os'))", "unknown name '__import__'"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(expression, words):
    with pytest.raises(ValueError, match=r"^optimizer ") as error:
        optimizers.parse(expression)
    assert words in str(error.value)


def test_whole_numbers_are_rates_and_keras_own_may_be_named_as_such():
    assert text(optimizers.parse("SGD(1)")) == text(optimizers.parse("keras.SGD(1.0)")) == "SGD(1.0)"


def test_known_names():
    assert {"SGD", "Adam", "keras.Adam", "CosineDecay", "keras.CosineDecay", "Lazy"} <= KNOWN.keys()
    assert not {"Optimizer", "LearningRateSchedule", "MultiOptimizer"} & KNOWN.keys()
