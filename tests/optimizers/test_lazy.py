import keras
import numpy as np
import pytest
import tensorflow as tf

from common.optimizers.lazy import Lazy


def _iterates(optimizer, masks):
    """Two variables; the first has a gradient where its mask is 1, the second always."""
    variables = [keras.Variable([1.0, 2.0]), keras.Variable([3.0])]
    optimizer.build(variables)

    @tf.function
    def step(mask):
        optimizer.apply([mask * variables[0].value, tf.ones(1)], variables)

    iterates = []
    for mask in masks:
        step(tf.constant(float(mask)))
        iterates.append([variable.numpy().copy() for variable in variables])
    return [np.array(values) for values in zip(*iterates, strict=True)]


def _decayed(rate=0.1):
    return keras.optimizers.schedules.CosineDecay(rate, 10)


@pytest.mark.parametrize("make", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_with_gradients_at_every_step_it_is_the_other_optimizer(make):
    expected, lazy = (_iterates(optimizer, [1, 1, 1]) for optimizer in (make(_decayed()), Lazy(make(_decayed()))))
    for a, b in zip(lazy, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_variable_without_a_gradient_rests_with_its_moments_and_its_count():
    """What comes after is as if the resting steps had not been."""
    first, second = _iterates(Lazy(keras.optimizers.Adam(0.1)), [1, 0, 0, 1, 1])
    np.testing.assert_array_equal(first[0], first[2])
    expected, _ = _iterates(keras.optimizers.Adam(0.1), [1, 1, 1])
    np.testing.assert_allclose(first[[0, 3, 4]], expected, rtol=1e-6)
    assert np.all(np.diff(second[:, 0]) < 0)


def test_a_schedule_is_that_of_the_common_steps():
    first, _ = _iterates(Lazy(keras.optimizers.SGD(_decayed())), [0, 0, 1])
    assert first[2] == pytest.approx(np.array([1.0, 2.0]) * (1 - float(_decayed()(2))))


def test_its_configuration_makes_it_again():
    optimizer = Lazy(keras.optimizers.Adam(_decayed(), beta_1=0.8))
    again = Lazy.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.get_config()["inner"]["config"]["beta_1"] == 0.8
    assert "name" not in again.get_config()["inner"]["config"]


def test_it_is_named_after_itself():
    assert Lazy(keras.optimizers.SGD(0.1)).name == "lazy"
    assert Lazy(keras.optimizers.SGD(0.1), name="mine").name == "mine"


def test_what_sees_all_variables_or_several_steps_at_once_is_refused():
    with pytest.raises(
        ValueError, match="inner must treat each variable and each step by itself, got global_clipnorm set"
    ):
        Lazy(keras.optimizers.Adam(global_clipnorm=1.0))


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(ValueError, match=r"^inner must be a Keras optimizer, such as Adam\(0.001\), got 0.1$"):
        Lazy(0.1)
