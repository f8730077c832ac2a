"""The controls of 05_low_rank_hessian: what they are made of, without training."""

import pytest
from keras.optimizers import SGD, Adam

from common.estimators import ArmijoLineSearch, Backpropagation, NewtonCG, SaddleFreeNewton
from common.experiments.low_rank_hessian.controls import controls, with_line_search
from common.experiments.run import Run
from common.optimizers import ExponentialDecay
from common.settings import text


@pytest.fixture
def newton():
    return Run("saddle-free Newton", SaddleFreeNewton(Backpropagation(), 4), Adam(0.008), epochs=3, batch_size=32)


@pytest.fixture
def newton_cg():
    return Run("Newton", NewtonCG(Backpropagation(), 3, 2.0, 16), SGD(0.25), epochs=3, batch_size=32, group="full")


def test_controls_of_saddle_free_newton_differ_in_one_thing_each(newton):
    shuffled, adam = controls(newton)
    assert shuffled.estimator.settings == newton.estimator.settings | {"shuffled": True}
    assert isinstance(adam.estimator, Backpropagation)
    assert shuffled.optimizer is adam.optimizer is newton.optimizer
    assert {shuffled.group, adam.group} == {"control"}
    assert {shuffled.epochs, adam.epochs} == {newton.epochs}


def test_a_line_search_begins_at_the_whole_step_and_its_rate_falls_as_that_of_the_methods(newton_cg):
    searching = with_line_search(newton_cg, rate_decay=0.5)
    assert searching.name == "Newton, line search"
    assert searching.group == "control"
    assert isinstance(searching.estimator.line_search, ArmijoLineSearch)
    kept = newton_cg.estimator.settings | {"line_search": searching.estimator.line_search}
    assert searching.estimator.settings == kept
    assert text(searching.optimizer) == text(SGD(ExponentialDecay(1.0, per_epoch=0.5)))
    assert (searching.epochs, searching.batch_size) == (newton_cg.epochs, newton_cg.batch_size)
