"""Eigensolvers on matrices whose indefinite spectra are known, beside numpy."""

import numpy as np
import pytest
import tensorflow as tf
from small_networks import flat_weights, hessian64, small_batch, small_task

from common.curvature.eigensolvers import (
    adaptive_eigenpairs,
    orthonormal,
    randomized_eigenpairs,
    rayleigh_quotients,
    significantly_nonzero,
    subspace_iteration,
    subspace_overlap,
    subspace_size,
    symmetric_eigh,
)
from common.curvature.operators import CurvatureOperator, HessianOperator

SIZE = 60
SPECTRA = {
    "indefinite": np.concatenate([[9.0, -7.0, 5.0, -4.0], 0.3 * np.random.default_rng(1).normal(size=SIZE - 4)]),
    "clustered": np.concatenate([[8.0, 8.0, 8.0, -6.0, -6.0, -5.999], np.full(SIZE - 6, 0.01)]),
    "rank-deficient": np.concatenate([[4.0, -3.0, 2.0], np.zeros(SIZE - 3)]),
}


class Known(CurvatureOperator):
    """The matrix with given eigenvalues and random eigenvectors."""

    def __init__(self, values, seed=0):
        vectors, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
        self.matrix = vectors @ np.diag(values) @ vectors.T
        self.products = 0
        self.damping = self.l2 = 0.0

    @property
    def size(self):
        return len(self.matrix)

    def block(self, columns):
        self.products += columns.shape[1]
        return tf.constant(self.matrix, tf.float32) @ columns


def _seed(step=0):
    return tf.constant([0, step], tf.int64)


def _largest(matrix, rank):
    """Eigenpairs of largest magnitude, by numpy in float64."""
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(-np.abs(values))[:rank]
    return values[order], vectors[:, order]


def _start(columns, seed=0, size=SIZE):
    return tf.constant(np.random.default_rng(seed).normal(size=(size, columns)), tf.float32)


@pytest.mark.parametrize("rank", [1, 3, 4])
@pytest.mark.parametrize("name", SPECTRA)
def test_randomized_eigenpairs_are_numpys(name, rank):
    operator = Known(SPECTRA[name])
    eigenpairs = randomized_eigenpairs(operator, rank, _seed(), oversampling=6, power_iterations=2)
    values, _ = _largest(operator.matrix, rank)
    np.testing.assert_allclose(np.sort(eigenpairs.values), np.sort(values), atol=2e-3)
    vectors = eigenpairs.vectors.numpy()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(rank), atol=1e-5)
    # Within a cluster the vectors are not unique; the equation is what counts.
    np.testing.assert_allclose(operator.matrix @ vectors, vectors * eigenpairs.values.numpy(), atol=0.1)


def test_largest_magnitude_comes_first():
    eigenpairs = randomized_eigenpairs(Known(SPECTRA["indefinite"]), 4, _seed(), oversampling=6, power_iterations=2)
    np.testing.assert_allclose(eigenpairs.values, [9, -7, 5, -4], atol=1e-2)


def test_all_of_a_full_rank_matrix_are_exact_in_one_pass():
    operator = Known(SPECTRA["indefinite"])
    iterated = subspace_iteration(operator.block, _start(SIZE), 1, SIZE)
    np.testing.assert_allclose(iterated.eigenpairs.values, _largest(operator.matrix, SIZE)[0], atol=1e-4)


def test_power_iterations_and_oversampling_sharpen():
    """A slowly falling spectrum, over ten draws: mean error of the largest eigenvalues."""
    operator = Known(np.linspace(10, 0, SIZE) * (-1.0) ** np.arange(SIZE))
    exact = _largest(operator.matrix, 4)[0]

    def error(**options):
        magnitudes = [
            np.abs(randomized_eigenpairs(operator, 4, _seed(number), **options).values) for number in range(10)
        ]
        return np.mean(np.abs(exact) - magnitudes)

    plain = error(oversampling=0)
    assert error(oversampling=8) < 0.8 * plain
    assert error(oversampling=0, power_iterations=3) < 0.8 * plain


def test_test_vectors_are_a_function_of_the_seed_and_fresh_at_each_step():
    operator = Known(SPECTRA["clustered"])
    first, again, other = (
        randomized_eigenpairs(operator, 2, _seed(number), oversampling=0).vectors for number in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-2


def test_products_are_those_that_are_counted():
    operator = Known(SPECTRA["indefinite"])
    randomized_eigenpairs(operator, 3, _seed(), oversampling=2, power_iterations=1)
    assert operator.products == 3 * 5


def test_warm_starts_converge_to_the_same_subspace_on_a_fixed_operator():
    operator = Known(SPECTRA["indefinite"])
    _, exact = _largest(operator.matrix, 4)
    columns, overlaps = _start(6), []
    for _ in range(6):
        iterated = subspace_iteration(operator.block, columns, 1, 4)
        columns = iterated.next_columns
        overlaps.append(float(subspace_overlap(iterated.eigenpairs.vectors, tf.constant(exact, tf.float32))))
    assert overlaps[0] < 0.5  # random
    assert overlaps[-1] > 0.9999
    np.testing.assert_allclose(iterated.eigenpairs.values, [9, -7, 5, -4], atol=1e-3)


def test_warm_starts_are_the_passes_of_one_iteration():
    operator, columns = Known(SPECTRA["indefinite"]), _start(5)
    whole = subspace_iteration(operator.block, columns, 3, 4)
    for _ in range(3):
        part = subspace_iteration(operator.block, columns, 1, 4)
        columns = part.next_columns
    np.testing.assert_allclose(part.eigenpairs.values, whole.eigenpairs.values, atol=1e-6)


def test_the_number_of_passes_may_be_a_tensor_within_a_traced_function():
    operator, columns = Known(SPECTRA["indefinite"]), _start(5)
    traced = tf.function(lambda passes: subspace_iteration(operator.block, columns, passes, 3).eigenpairs.values)
    for passes in (1, 4):
        expected = subspace_iteration(operator.block, columns, passes, 3).eigenpairs.values
        np.testing.assert_allclose(traced(tf.constant(passes)), expected, atol=1e-5)


def test_the_hessian_of_a_network_beside_numpy():
    task, batch = small_task(), small_batch()
    matrix = hessian64(flat_weights(task), *batch)
    options = {"oversampling": 13, "power_iterations": 6}
    eigenpairs = tf.function(lambda: randomized_eigenpairs(HessianOperator(task, *batch), 7, _seed(), **options))()
    values, vectors = _largest(matrix, 7)
    np.testing.assert_allclose(eigenpairs.values, values, rtol=1e-3)
    assert float(subspace_overlap(eigenpairs.vectors, tf.constant(vectors, tf.float32))) > 0.999
    assert values.min() < 0 < values.max()


@pytest.mark.parametrize(("tolerance", "rank"), [(0.6, 2), (0.4, 4)])
def test_adaptive_rank_stops_at_the_tolerance(tolerance, rank):
    operator = Known(SPECTRA["indefinite"])
    eigenpairs = adaptive_eigenpairs(operator, tolerance, _seed(), block=6)
    np.testing.assert_allclose(eigenpairs.values, [9, -7, 5, -4][:rank], atol=0.05)
    np.testing.assert_allclose(eigenpairs.vectors.numpy().T @ eigenpairs.vectors.numpy(), np.eye(rank), atol=1e-4)


def test_adaptive_rank_grows_block_by_block_until_all_is_told():
    operator = Known(np.concatenate([np.linspace(10, 5, 10), np.full(SIZE - 10, 1e-3)]))
    eigenpairs = adaptive_eigenpairs(operator, 0.1, _seed(), block=4)
    np.testing.assert_allclose(eigenpairs.values, np.linspace(10, 5, 10), rtol=1e-3)
    assert adaptive_eigenpairs(operator, 0.1, _seed(), block=4, max_rank=8).values.shape[0] == 8
    assert adaptive_eigenpairs(operator, 0.1, _seed(), block=4, max_rank=9).values.shape[0] == 9


def test_adaptive_rank_of_a_matrix_smaller_than_a_block():
    eigenpairs = adaptive_eigenpairs(Known([3.0, -2.0, 1.0]), 0.5, _seed(), block=8)
    np.testing.assert_allclose(eigenpairs.values, [3, -2], atol=1e-5)


def test_adaptive_rank_of_what_is_not_finite_is_nan():
    operator = Known([3.0, -2.0, 1.0])
    operator.matrix *= np.nan
    assert np.isnan(adaptive_eigenpairs(operator, 0.5, _seed()).values).all()


def test_adaptive_rank_of_a_rank_deficient_matrix():
    eigenpairs = adaptive_eigenpairs(Known(SPECTRA["rank-deficient"]), 1e-3, _seed(), block=5)
    np.testing.assert_allclose(eigenpairs.values, [4, -3, 2], atol=1e-4)


def test_rayleigh_quotients_of_sub_batches_average_to_that_of_the_batch():
    task, (x, y) = small_task(), small_batch()
    vectors = orthonormal(_start(3, size=task.parameter_count))
    parts = rayleigh_quotients([HessianOperator(task, x[i::2], y[i::2]) for i in range(2)], vectors)
    whole = rayleigh_quotients([HessianOperator(task, x, y)], vectors)
    np.testing.assert_allclose(tf.reduce_mean(parts, 0), whole[0], atol=1e-6)


def test_directions_that_noise_explains_are_not_distinguishable():
    """By hand: means 1, 0.1 and -1, standard errors 0.1, 0.1 and 0.6."""
    deviations = np.array([-1.0, 0.0, 1.0])[:, None] * np.sqrt(3)
    quotients = tf.constant([1.0, 0.1, -1.0] + deviations * [0.1, 0.1, 0.6], tf.float32)
    assert significantly_nonzero(quotients).numpy().tolist() == [True, False, False]
    assert significantly_nonzero(quotients, 1.0).numpy().tolist() == [True, False, True]


def test_pure_noise_is_told_apart_about_as_often_as_chance():
    quotients = tf.constant(np.random.default_rng(0).normal(size=(16, 4_000)), tf.float32)
    assert np.mean(significantly_nonzero(quotients)) == pytest.approx(0.064, abs=0.015)  # t-test, 15 degrees of freedom


def test_overlap_of_equal_and_of_orthogonal_subspaces():
    identity = np.eye(6, dtype=np.float32)
    turned, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))
    first = tf.constant(identity[:, :2])
    assert float(subspace_overlap(first, tf.constant(identity[:, :2] @ turned.astype(np.float32)))) == pytest.approx(1)
    assert float(subspace_overlap(first, tf.constant(identity[:, 1:3]))) == pytest.approx(0.5)
    assert float(subspace_overlap(first, tf.constant(identity[:, 3:5]))) == 0


def test_decomposition_of_a_batch_of_matrices_one_of_them_not_finite():
    matrices = np.stack([np.diag([1.0, -3.0, 2.0]), np.full((3, 3), np.nan)]).astype(np.float32)
    values, _ = symmetric_eigh(tf.constant(matrices))
    np.testing.assert_allclose(values[0], [-3, 2, 1])
    assert np.isnan(values[1]).all()


def test_products_that_are_not_finite_give_nan_and_no_error():
    operator = Known(np.full(SIZE, np.nan))
    assert np.isnan(randomized_eigenpairs(operator, 3, _seed()).values).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rank": 61}, "rank must be from 1 to the 60 parameters, got 61"),
        ({"rank": 0}, "rank must be from 1 to the 60 parameters, got 0"),
        ({"oversampling": -1}, "oversampling must be ≥ 0, got -1"),
        ({"power_iterations": -1}, "power_iterations must be ≥ 0, got -1"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    options = {"rank": 3} | wrong
    with pytest.raises(ValueError, match=f"^{words}$"):
        randomized_eigenpairs(Known(SPECTRA["indefinite"]), options.pop("rank"), _seed(), **options)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: adaptive_eigenpairs(Known([1.0]), 1.5, _seed()), "tolerance must be between 0 and 1, got 1.5"),
        (
            lambda: adaptive_eigenpairs(Known([1.0]), 0.5, _seed(), block=0),
            "block must be ≥ 1, got 0",
        ),
        (lambda: significantly_nonzero(tf.zeros([1, 2])), "the number of sub-batches must be ≥ 2, got 1"),
        (lambda: significantly_nonzero(tf.zeros([2, 2]), -1.0), "standard_errors must be ≥ 0, got -1.0"),
    ],
)
def test_wrong_arguments_of_the_rest_are_named(call, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        call()


def test_columns_are_as_many_as_the_matrix_allows():
    assert [subspace_size(4, 3, 60), subspace_size(58, 10, 60)] == [7, 60]
