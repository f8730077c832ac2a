"""Random directions: moments of the table, covariance of what is drawn, and what decides a draw."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from common.estimators.evolution.perturbations import ROW, TABLES, DirectionSource, KernelShape

SHAPE = KernelShape(fan_in=4, out=3, biased=True)
SEED = tf.constant([5, 7], tf.int64)


def _drawn(kind, rank, pairs, seed=SEED):
    """Each direction as one row: kernel and bias, (pairs, 15)."""
    source = DirectionSource(kind, rank)
    directions = source.directions(SHAPE, source.codes(SHAPE, pairs, seed))
    kernel = directions.kernel if rank is None else tf.matmul(directions.left, directions.right, transpose_a=True)
    return np.concatenate([np.reshape(kernel, [pairs, 12]), directions.bias[:, 0]], 1).astype(np.float64)


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_has_mean_zero_and_covariance_one(kind):
    rows = TABLES[kind]().astype(np.float64)
    np.testing.assert_allclose(rows.mean(0), 0.0, atol=1e-7)
    np.testing.assert_allclose(rows.T @ rows / len(rows), np.eye(ROW), atol=1e-6)


def test_entries_are_normal():
    entries = TABLES["gaussian"]().ravel()
    assert scipy.stats.kstest(entries[: len(entries) // 2], "norm").statistic < 0.003
    assert scipy.stats.kurtosis(entries) == pytest.approx(0.0, abs=0.03)


def test_entries_are_signs():
    assert set(np.unique(TABLES["signs"]())) == {-1.0, 1.0}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("rank", [1, 3, None])
def test_directions_have_mean_zero_and_covariance_one(rank, kind):
    directions = _drawn(kind, rank, 40_000)
    assert np.abs(directions.mean(0)).max() < 4.5 / np.sqrt(len(directions))
    products = directions[:, :, None] * directions[:, None, :]
    errors = np.maximum(products.std(0), 1e-3) / np.sqrt(len(directions))
    assert np.abs((products.mean(0) - np.eye(15)) / errors).max() < 5.0


def test_the_rank_is_as_asked():
    kernels = _drawn("gaussian", 2, 10)[:, :12].reshape(10, 4, 3)
    assert {np.linalg.matrix_rank(kernel, tol=1e-5) for kernel in kernels} == {2}


@pytest.mark.parametrize("rank", [1, 2, None])
def test_a_direction_does_not_depend_on_how_many_are_drawn(rank):
    many = _drawn("gaussian", rank, 50)
    for fewer in (1, 2, 3, 7, 49):
        np.testing.assert_array_equal(_drawn("gaussian", rank, fewer), many[:fewer])


def test_seeds_decide():
    first, again, other = (_drawn("gaussian", 1, 200, tf.constant([5, step], tf.int64)) for step in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert abs(np.mean(first * other)) < 0.1
