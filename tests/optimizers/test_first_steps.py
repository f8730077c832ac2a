"""The first two steps of each optimizer, worked by hand: gradients 4, then 1, on a weight that starts at 3."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.optimizers.adam import Adam
from common.optimizers.adamw import AdamW
from common.optimizers.gradient_descent import GradientDescent
from common.optimizers.momentum import Momentum
from common.optimizers.muon import COEFFICIENTS, Muon, newton_schulz
from common.optimizers.rmsprop import RMSprop


def _two_steps(optimizer, first=4.0, second=1.0, start=3.0):
    weight = keras.Variable(np.asarray(start, np.float32))
    seen = []
    for gradient in (first, second):
        optimizer.apply([tf.constant(gradient, tf.float32)], [weight])
        seen.append(weight.numpy().copy())
    return seen


def test_gradient_descent():
    # u = -0.1 · 4, then -0.1 · 1
    assert _two_steps(GradientDescent(0.1)) == pytest.approx([3 - 0.4, 2.6 - 0.1])


def test_clipping_shortens_the_gradient_of_each_variable_to_the_norm():
    # 4 becomes 2; 1 is short enough
    assert _two_steps(GradientDescent(0.1, clipnorm=2)) == pytest.approx([2.8, 2.7])
    long, short = keras.Variable([0.0, 0.0]), keras.Variable([0.0])
    GradientDescent(1.0, clipnorm=2).apply([tf.constant([3.0, 4.0]), tf.constant([1.0])], [long, short])
    np.testing.assert_allclose(long.numpy(), [-1.2, -1.6], rtol=1e-6)  # ‖(3, 4)‖ = 5 becomes 2
    np.testing.assert_allclose(short.numpy(), [-1.0])


def test_momentum():
    # u = -0.4; then 0.5 · (-0.4) - 0.1 = -0.3
    assert _two_steps(Momentum(0.1, momentum=0.5)) == pytest.approx([3 - 0.4, 2.6 - 0.3])


def test_nesterov():
    # u = -0.4, step 0.5 · (-0.4) - 0.4 = -0.6; u = -0.3, step 0.5 · (-0.3) - 0.1 = -0.25
    assert _two_steps(Momentum(0.1, momentum=0.5, nesterov=True)) == pytest.approx([3 - 0.6, 2.4 - 0.25])


def test_rmsprop():
    # v = 0.1 · 16 = 1.6; then 0.9 · 1.6 + 0.1 · 1 = 1.54; ε = 0.04 inside the root
    first = 3 - 0.1 * 4 / math.sqrt(1.64)
    assert _two_steps(RMSprop(0.1, rho=0.9, epsilon=0.04)) == pytest.approx([first, first - 0.1 / math.sqrt(1.58)])


def _adam(decay=0.0):
    """m = 0.4, v = 0.016, m / (1 - 0.9) = 4 and v / (1 - 0.999) = 16; then m = 0.46, v = 0.016984."""
    first = 3 * (1 - decay) - 0.1 * math.sqrt(0.001) / 0.1 * 0.4 / (math.sqrt(0.016) + 0.5)
    alpha = 0.1 * math.sqrt(1 - 0.998001) / (1 - 0.81)
    return [first, first * (1 - decay) - alpha * 0.46 / (math.sqrt(0.016984) + 0.5)]


def test_adam():
    assert _two_steps(Adam(0.1, epsilon=0.5)) == pytest.approx(_adam(), rel=1e-5)
    # Without ε the first step is η against the sign of the gradient, whatever its size.
    assert _two_steps(Adam(0.1))[0] == pytest.approx(3 - 0.1, rel=1e-5)


def test_adamw():
    # 0.1 · 0.2 of the weight goes before each step
    assert _two_steps(AdamW(0.1, weight_decay=0.2, epsilon=0.5)) == pytest.approx(_adam(0.1 * 0.2), rel=1e-5)


def _through_quintic(value):
    a, b, c = COEFFICIENTS
    for _ in range(5):
        value = a * value + b * value**3 + c * value**5
    return value


def test_muon():
    # The gradients are diagonal, hence their own singular value decomposition: only the diagonal is mapped.
    first, second = np.diag([3.0, 4.0]), np.diag([1.0, 0.0])
    scale = 0.2 * 0.1 * math.sqrt(2)
    # B = G and G + B/2 = (4.5, 6), norm 7.5; then B = (1.5, 2) + (1, 0), G + B/2 = (2.25, 1), norm √6.0625
    steps = [np.diag([_through_quintic(0.6), _through_quintic(0.8)])]
    steps += [np.diag([_through_quintic(2.25 / math.sqrt(6.0625)), _through_quintic(1 / math.sqrt(6.0625))])]
    seen = _two_steps(Muon(0.1, momentum=0.5), first, second, np.ones((2, 2)))
    np.testing.assert_allclose(seen[0], 1 - scale * steps[0], rtol=1e-5)
    np.testing.assert_allclose(seen[1], 1 - scale * (steps[0] + steps[1]), rtol=1e-5)


def test_muon_is_adam_for_all_that_is_no_matrix():
    assert _two_steps(Muon(0.1, epsilon=0.5)) == pytest.approx(_adam(), rel=1e-5)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (7, 1)])
def test_newton_schulz_keeps_singular_vectors_and_brings_singular_values_near_one(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    u, values, vt = np.linalg.svd(matrix, full_matrices=False)
    mapped = u @ np.diag(_through_quintic(values / np.linalg.norm(values))) @ vt
    orthogonalized = newton_schulz(tf.constant(matrix)).numpy()
    np.testing.assert_allclose(orthogonalized, mapped, atol=1e-4)
    singular = np.linalg.svd(orthogonalized, compute_uv=False)
    assert singular.min() > 0.6
    assert singular.max() < 1.25


def test_newton_schulz_leaves_zero_alone():
    np.testing.assert_array_equal(newton_schulz(tf.zeros((3, 2))).numpy(), np.zeros((3, 2)))


def test_convolutions_are_matrices_to_muon_and_named_layers_are_not():
    kernel, bias = keras.Variable(np.ones((3, 3, 2, 4)), name="kernel"), keras.Variable(np.ones(4), name="bias")
    last = keras.Variable(np.ones((4, 2)), name="last_kernel")
    plain = Muon(0.1)
    plain.build([kernel, bias, last])
    assert [b is not None for b in plain._b] == [False, False, True]  # convolutions only where asked for
    optimizer = Muon(0.1, adam_for=["last"], convolutions=True)
    optimizer.build([kernel, bias, last])
    assert [b is not None for b in optimizer._b] == [True, False, False]
    rng = np.random.default_rng(0)
    gradients = [tf.constant(rng.normal(size=variable.shape), tf.float32) for variable in (kernel, bias, last)]
    optimizer.apply(gradients)
    step = (1 - kernel.numpy()).reshape(18, 4)
    assert np.sqrt(np.mean(step**2)) == pytest.approx(0.2 * 0.1, rel=0.25)  # as long as the factor promises
    np.testing.assert_allclose(np.abs(1 - last.numpy()), 0.1, rtol=1e-4)  # Adam's first step
