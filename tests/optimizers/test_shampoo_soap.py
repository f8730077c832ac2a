"""Shampoo and SOAP against an independent numpy in float64, and what holds of them by their formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.optimizers import SOAP, Adam, CosineDecay, Shampoo, copy_of
from common.optimizers.kronecker import sides_of
from common.optimizers.shampoo import inverse_root
from common.optimizers.soap import power_iteration

RATE = 0.01


def _gradients(shape, steps, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, *shape))


def _path(optimizer, gradients, start=None):
    """The weights after each of the gradients, from ones."""
    variable = keras.Variable(np.ones(gradients.shape[1:]) if start is None else start, dtype="float32")
    seen = []
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
        seen.append(variable.numpy().copy())
    return np.array(seen)


def _steps(path):
    return np.diff(np.concatenate([np.ones((1, *path.shape[1:])), path]), axis=0)


def _power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag((values / values.max() + 1e-6) ** exponent) @ vectors.T


def _adams_step(m, v, t, beta_1, beta_2):
    return RATE * (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + 1e-8 / np.sqrt(1 - beta_2**t))


def _shampoo(gradients, exponents=(-0.25, -0.25), graft="adam", every=1):
    """Return the steps of algorithm 1 with running means, grafted; an exponent of 0 leaves a side out."""
    m = v = left = right = 0
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        left, right = 0.999 * left + 0.001 * g @ g.T, 0.999 * right + 0.001 * g.T @ g
        step = _adams_step(m, v, t, 0.9, 0.999) if graft == "adam" else RATE * m / (1 - 0.9**t)
        if t % every == 0:
            a, b = (_power(moment, exponent) for moment, exponent in zip((left, right), exponents, strict=True))
        if t >= every:
            direction = a @ m @ b
            step = direction * np.linalg.norm(step) / np.linalg.norm(direction)
        yield -step


@pytest.mark.parametrize("graft", ["adam", "sgd"])
@pytest.mark.parametrize("every", [1, 3])
def test_shampoos_steps_are_those_of_numpy(graft, every):
    gradients = _gradients((4, 4), 7)
    optimizer = Shampoo(RATE, graft=graft, refresh_every=every)
    expected = list(_shampoo(gradients, graft=graft, every=every))
    np.testing.assert_allclose(_steps(_path(optimizer, gradients)), expected, rtol=2e-3, atol=2e-5)


def test_shampoos_first_step_by_hand():
    # G = diag(3, 4): L = R ∝ diag(9, 16), so that A m B ∝ diag(3 / √9, 4 / √16): both entries are one size.
    # ‖S‖ = 0.01 √2, because Adam's first step is the rate on both: each entry moves by 0.01.
    gradient = np.diag([3.0, 4.0])[None]
    np.testing.assert_allclose(_steps(_path(Shampoo(RATE, refresh_every=1), gradient))[0], -RATE * np.eye(2), atol=1e-6)
    # With SGD's length, ‖S‖ = 0.01 · 5, and each entry moves by 0.05 / √2.
    steps = _steps(_path(Shampoo(RATE, graft="sgd", refresh_every=1), gradient))[0]
    np.testing.assert_allclose(steps, -0.05 / np.sqrt(2) * np.eye(2), atol=1e-6)


def test_shampoo_leaves_a_long_side_out_and_takes_the_square_root_of_the_other():
    gradients = _gradients((6, 3), 5)
    steps = _steps(_path(Shampoo(RATE, refresh_every=1, max_size=4), gradients))
    np.testing.assert_allclose(steps, list(_shampoo(gradients, (0, -0.5))), rtol=2e-3, atol=2e-5)


def test_before_its_first_refresh_shampoo_is_the_grafted_method():
    gradients = _gradients((4, 3), 6)
    ours, adam = _path(Shampoo(RATE, refresh_every=5), gradients), _path(Adam(RATE), gradients)
    np.testing.assert_allclose(ours[:4], adam[:4], rtol=1e-6)
    assert np.abs(ours[4] - adam[4]).max() > 1e-4


@pytest.mark.parametrize("degree", [2, 4])
def test_an_inverse_root_undoes_its_matrix(degree):
    half = np.random.default_rng(0).normal(size=(20, 20))
    matrix = half @ half.T
    root = inverse_root(tf.constant(matrix, tf.float32), degree, 1e-3).numpy().astype(np.float64)
    regularised = matrix / np.linalg.eigvalsh(matrix).max() + 1e-3 * np.eye(20)
    np.testing.assert_allclose(np.linalg.matrix_power(root, degree) @ regularised, np.eye(20), atol=1e-3)


def _soap(gradients, every=1, one_sided=False, factors_every=1):
    """Yield SOAP's steps with M in the coordinates of W, as in the paper's algorithm 3."""
    beta = 0.95
    rows, columns = gradients.shape[1:]
    left, right = (1 - beta) * gradients[0] @ gradients[0].T, (1 - beta) * gradients[0].T @ gradients[0]
    ql = np.eye(rows) if one_sided else np.linalg.eigh(left)[1][:, ::-1]
    qr = np.linalg.eigh(right)[1][:, ::-1]
    m, v = np.zeros((rows, columns)), np.zeros((rows, columns))
    yield m
    for t, g in enumerate(gradients[1:], 1):
        m, v = beta * m + (1 - beta) * g, beta * v + (1 - beta) * (ql.T @ g @ qr) ** 2
        yield -ql @ _adams_step(ql.T @ m @ qr, v, t, beta, beta) @ qr.T
        if t % factors_every == 0:
            left, right = beta * left + (1 - beta) * g @ g.T, beta * right + (1 - beta) * g.T @ g
        if t % every:
            continue
        if not one_sided:
            order = np.argsort(-np.diag(ql.T @ left @ ql))
            ql, v = np.linalg.qr(left @ ql[:, order])[0], v[order]
        order = np.argsort(-np.diag(qr.T @ right @ qr))
        qr, v = np.linalg.qr(right @ qr[:, order])[0], v[:, order]


@pytest.mark.parametrize(
    ("every", "one_sided", "factors_every"), [(1, False, 1), (3, False, 1), (1, True, 1), (3, True, 1), (4, False, 2)]
)
def test_soaps_steps_are_those_of_numpy(every, one_sided, factors_every):
    gradients = _gradients((4, 4), 10)
    optimizer = SOAP(RATE, refresh_every=every, one_sided=one_sided, factors_every=factors_every)
    expected = list(_soap(gradients, every, one_sided, factors_every))
    np.testing.assert_allclose(_steps(_path(optimizer, gradients)), expected, rtol=2e-3, atol=2e-5)


def test_soaps_first_step_only_chooses_the_basis():
    path = _path(SOAP(RATE), _gradients((4, 3), 2))
    np.testing.assert_array_equal(path[0], np.ones((4, 3)))
    # The second is Adam's first: η against the sign of each entry in the basis, hence of norm η √12.
    assert np.linalg.norm(path[1] - path[0]) == pytest.approx(RATE * np.sqrt(12), rel=1e-4)


def test_soap_is_adam_where_the_basis_is_the_identity():
    # Diagonal, in falling order, and of growing size: the eigenvectors are the axes, and stay in their order.
    gradients = np.array([np.diag([4.0, 3.0, 2.0, 1.0]) * scale for scale in (1, 2, -1, 3, -2, 5)])
    ours = _path(SOAP(RATE, refresh_every=2), gradients)
    adam = _path(Adam(RATE, 0.95, 0.95), gradients[1:])
    np.testing.assert_allclose(ours[1:], adam, atol=1e-6)


def test_soap_with_no_side_to_rotate_is_adam_from_the_first_step_on():
    gradients = _gradients((4, 3), 5)
    ours, adam = SOAP(RATE, max_size=2), Adam(RATE, 0.95, 0.95)
    np.testing.assert_array_equal(_path(ours, gradients), _path(adam, gradients))
    ours, adam = SOAP(RATE), Adam(RATE, 0.95, 0.95)
    np.testing.assert_array_equal(_path(ours, gradients[:, :, 0]), _path(adam, gradients[:, :, 0]))


MAKERS = {
    "soap": lambda **options: SOAP(RATE, refresh_every=2, **options),
    "shampoo": lambda **options: Shampoo(RATE, graft="sgd", refresh_every=2, **options),
}


@pytest.fixture(params=MAKERS.values(), ids=list(MAKERS))
def make(request):
    return request.param


def test_rotated_gradients_give_rotated_steps(make):
    rng, gradients = np.random.default_rng(1), _gradients((4, 4), 8)
    u, v = (np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(2))
    plain, rotated = (_steps(_path(make(), some)) for some in (gradients, u @ gradients @ v.T))
    np.testing.assert_allclose(rotated, u @ plain @ v.T, atol=2e-5)


def test_a_convolutions_kernel_is_a_matrix(make):
    gradients = _gradients((2, 2, 3, 4), 8)
    kernel = _path(make(max_size=4), gradients)
    matrix = _path(make(max_size=4), gradients.reshape(8, 12, 4))
    np.testing.assert_array_equal(kernel.reshape(8, 12, 4), matrix)
    (columns,) = sides_of(keras.Variable(np.ones((2, 2, 3, 4))), 4, make())
    assert (columns.axis, columns.factor.shape) == (1, (4, 4))
    assert [side.factor.shape for side in sides_of(keras.Variable(np.ones((2, 2, 3, 4))), 12, make())] == [
        (12, 12),
        (4, 4),
    ]


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_traced_and_compiled_it_takes_the_eager_steps(make, compiled):
    gradients = _gradients((4, 4), 8)
    optimizer, variable = make(), keras.Variable(np.ones((4, 4)), dtype="float32")
    optimizer.build([variable])
    step = tf.function(lambda g: optimizer.apply([g], [variable]), jit_compile=compiled)
    for gradient in gradients:
        step(tf.constant(gradient, tf.float32))
    np.testing.assert_allclose(variable.numpy(), _path(make(), gradients)[-1], atol=2e-5)


def test_weights_decay_before_each_step(make):
    gradients, start = _gradients((4, 4), 4), np.full((4, 4), 2.0)
    weights = start
    for moved, decayed in zip(
        _steps(_path(make(), gradients)), _path(make(weight_decay=0.5), gradients, start), strict=True
    ):
        weights = weights * (1 - RATE * 0.5) + moved
        np.testing.assert_allclose(decayed, weights, atol=1e-5)


def test_the_rate_of_a_schedule_is_that_of_the_step(make):
    gradients = _gradients((4, 4), 5)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [RATE, 0.5 * RATE])
    optimizer = make()
    optimizer.learning_rate = schedule
    factors = np.array([1, 1, 1, 0.5, 0.5]).reshape(5, 1, 1)
    np.testing.assert_allclose(
        _steps(_path(optimizer, gradients)), factors * _steps(_path(make(), gradients)), atol=1e-6
    )
    bound = copy_of(type(optimizer)(CosineDecay(RATE)), 5)
    assert np.isfinite(_path(bound, gradients)).all()


def test_gradients_of_zero_move_nothing_and_stay_finite(make):
    gradients = np.zeros((5, 4, 3))
    gradients[2, 1, 1] = 1e-12  # squared, it leaves the range of float32
    path = _path(make(), gradients)
    np.testing.assert_array_equal(path[:2], np.ones((2, 4, 3)))
    assert np.isfinite(path).all()


def test_power_iteration_finds_the_eigenvectors_and_follows_those_that_change_places():
    half = np.random.default_rng(0).normal(size=(6, 6))
    vectors = np.linalg.qr(half)[0]
    basis = tf.constant(np.linalg.qr(half.T)[0], tf.float32)
    matrix = tf.constant(vectors @ np.diag([32.0, 16, 8, 4, 2, 1]) @ vectors.T, tf.float32)
    for _ in range(40):
        basis, _ = power_iteration(matrix, basis)
    np.testing.assert_allclose(np.abs(vectors.T @ basis.numpy()), np.eye(6), atol=1e-4)
    swapped = tf.constant(vectors @ np.diag([16.0, 32, 8, 4, 2, 1]) @ vectors.T, tf.float32)
    basis, order = power_iteration(swapped, basis)
    assert order.numpy().tolist() == [1, 0, 2, 3, 4, 5]
    np.testing.assert_allclose(np.abs(vectors[:, [1, 0, 2, 3, 4, 5]].T @ basis.numpy()), np.eye(6), atol=1e-3)
    np.testing.assert_allclose(basis.numpy().T @ basis.numpy(), np.eye(6), atol=1e-6)


def test_step_sizes_are_those_of_variables_that_adam_moves(make):
    matrix, bias = keras.Variable(np.ones((4, 3)), dtype="float32"), keras.Variable(np.ones(3), dtype="float32")
    optimizer = SOAP(RATE) if isinstance(make(), SOAP) else Shampoo(RATE)
    for gradient in _gradients((4, 3), 3):
        optimizer.apply([tf.constant(gradient, tf.float32), tf.ones(3)], [matrix, bias])
    (sizes,) = optimizer.effective_step_sizes()
    # Where the gradient is 1, the mean that they multiply is 1 - β₁³, and the step η.
    np.testing.assert_allclose(sizes * (1 - optimizer.beta_1**3), np.full(3, RATE), rtol=1e-4)


@pytest.mark.parametrize(
    ("optimizer", "argument", "wrong", "words"),
    [
        (SOAP, "refresh_every", 0, "refresh_every must be a whole number ≥ 1, got 0"),
        (SOAP, "refresh_every", 2.5, "refresh_every must be a whole number ≥ 1, got 2.5"),
        (SOAP, "factors_every", 0, "factors_every must be a whole number ≥ 1, got 0"),
        (SOAP, "max_size", True, "max_size must be a whole number ≥ 1, got True"),
        (SOAP, "beta_2", 1.0, "beta_2 must be a number ≥ 0 and below 1, got 1.0"),
        (SOAP, "epsilon", 0, "epsilon must be a number above 0, got 0"),
        (Shampoo, "graft", "adan", "graft must be one of ['adam', 'sgd'], got 'adan'; did you mean 'adam'?"),
        (Shampoo, "graft", None, "graft must be one of ['adam', 'sgd'], got None"),
        (Shampoo, "refresh_every", "10", "refresh_every must be a whole number ≥ 1, got '10'"),
        (Shampoo, "max_size", -1, "max_size must be a whole number ≥ 1, got -1"),
        (Shampoo, "ridge", 0, "ridge must be a number above 0, got 0"),
        (SOAP, "refresh", 3, "SOAP has no argument 'refresh'; did you mean 'refresh_every'?"),
        (Shampoo, "refresh", 3, "Shampoo has no argument 'refresh'; did you mean 'refresh_every'?"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_sentence(optimizer, argument, wrong, words):
    with pytest.raises(ValueError, match=argument) as error:
        optimizer(0.1, **{argument: wrong})
    assert str(error.value).startswith(words)
