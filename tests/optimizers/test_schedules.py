import keras
import numpy as np
import pytest
import tensorflow as tf

from common.optimizers import SGD, Adam, CosineDecay, ExponentialDecay, Lazy, LinearDecay, copy_of
from common.optimizers.schedules import bind, relative
from common.settings import Configured

SCHEDULES = keras.optimizers.schedules
STEPS, AN_EPOCH = 60, 20


def _bound(schedule, steps=STEPS):
    schedule.bind(steps, AN_EPOCH)
    return schedule


def _rates(schedule, steps=STEPS):
    return np.array([schedule(tf.constant(step, tf.int64)) for step in range(steps)])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (LinearDecay(0.1), SCHEDULES.PolynomialDecay(0.1, STEPS, 0.0)),
        (LinearDecay(0.1, 0.01), SCHEDULES.PolynomialDecay(0.1, STEPS, 0.01)),
        (CosineDecay(0.1), SCHEDULES.CosineDecay(0.1, STEPS)),
        (CosineDecay(0.1, 0.05), SCHEDULES.CosineDecay(0.1, STEPS, 0.5)),
        (ExponentialDecay(0.1, 0.7), SCHEDULES.ExponentialDecay(0.1, AN_EPOCH, 0.7)),
    ],
    ids=lambda schedule: repr(schedule) if isinstance(schedule, Configured) else "Keras",
)
def test_without_a_warm_up_it_is_keras_own_to_the_last_bit(ours, theirs):
    np.testing.assert_array_equal(_rates(_bound(ours)), _rates(theirs))


@pytest.mark.parametrize(
    "make", [LinearDecay, CosineDecay, lambda rate, **options: ExponentialDecay(rate, 0.5, **options)]
)
def test_a_warm_up_rises_evenly_and_then_the_schedule_begins(make):
    rates = _rates(_bound(make(0.7, warmup=0.1)))
    np.testing.assert_allclose(rates[:6], 0.7 * np.arange(1, 7) / 7, rtol=1e-6)
    np.testing.assert_array_equal(rates[6:], _rates(_bound(make(0.7), STEPS - 6), STEPS - 6))


def test_it_counts_inside_a_traced_step():
    optimizer, weight = SGD(_bound(LinearDecay(0.1, warmup=0.5), 4)), keras.Variable([0.0])
    optimizer.build([weight])
    step = tf.function(lambda: optimizer.apply([tf.ones(1)], [weight]))
    seen = []
    for _ in range(4):
        step()
        seen.append(-float(weight.numpy()[0]))
    np.testing.assert_allclose(np.diff([0.0, *seen]), [0.1 / 3, 0.2 / 3, 0.1, 0.05], rtol=1e-5)


def test_unbound_it_says_what_it_lacks():
    optimizer, weight = SGD(CosineDecay(0.1)), keras.Variable([0.0])
    with pytest.raises(ValueError, match=r"CosineDecay\(0.1\) is relative to the length of a run and knows none yet"):
        optimizer.apply([tf.ones(1)], [weight])


def test_a_copy_is_bound_to_its_own_run():
    optimizer = Adam(LinearDecay(0.1))
    first, second = copy_of(optimizer, 10), copy_of(optimizer, steps=20, steps_per_epoch=5)
    assert float(first.learning_rate) == float(second.learning_rate) == pytest.approx(0.1)
    assert float(relative(first)(5)) == pytest.approx(0.05)
    assert float(relative(second)(5)) == pytest.approx(0.075)
    with pytest.raises(ValueError, match="knows none yet"):
        relative(copy_of(first))(0)
    with pytest.raises(ValueError, match="knows none yet"):
        relative(optimizer)(0)


def test_binding_reaches_into_lazy_and_leaves_other_rates_alone():
    lazy = Lazy(SGD(LinearDecay(0.1)))
    bind(lazy, 10, 5)
    assert float(lazy.learning_rate) == pytest.approx(0.1)
    bind(SGD(0.1), 10, 5)
    assert relative(SGD(0.1)) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearDecay(-0.1), "initial must be a number ≥ 0, got -0.1"),
        (lambda: LinearDecay(0.1, warmup=1.0), "warmup must be a fraction of the run's steps in [0, 1), got 1.0"),
        (lambda: CosineDecay("0.1"), "initial must be a number ≥ 0, got '0.1'"),
        (lambda: CosineDecay(0, 0.1), "final must be 0 where initial is, got 0.1"),
        (lambda: ExponentialDecay(0.1, 0), "per_epoch must be a number above 0, got 0"),
        (lambda: LinearDecay(0.1).bind(0, 1), "steps must be ≥ 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(ValueError, match="must be") as error:
        make()
    assert str(error.value) == words
