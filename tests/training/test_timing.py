import numpy as np
import pytest

from common.training.timing import seconds_at, timed_in_turn


def test_every_method_takes_its_turn_in_every_round():
    order = []
    seconds = timed_in_turn({name: lambda name=name: order.append(name) or 0.5 for name in ("a", "b")}, 3)
    assert order == ["a", "b"] * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_a_diverged_epoch_is_not_fast():
    assert np.isnan(timed_in_turn({"a": lambda: float("nan")}, 1)["a"]).all()


def test_a_clock_follows_the_timed_epochs_and_goes_on_as_the_later_ones():
    seconds = seconds_at([0, 5, 10, 15, 30, 50], [4.0, 2.0, 3.0], 10)
    assert seconds == pytest.approx([0, 2, 4, 5, 9, 9 + 2 * 2.5])


def test_a_single_timed_epoch_is_all_that_is_known():
    assert seconds_at(np.array([10, 30]), [4.0], 10) == pytest.approx([4, 12])
