"""What an example sees of a perturbation, beside perturbations drawn as they are."""

import numpy as np
import pytest
import tensorflow as tf

from common.estimators.evolution.visible_perturbations import VisiblePerturbations

OUT, PAIRS = 3, 20_000


def _inputs(positions, fan_in):
    return np.random.default_rng(0).normal(size=(2, positions, fan_in)).astype(np.float32)


def _visible(inputs, pairs=PAIRS):
    return VisiblePerturbations(tf.constant(inputs), pairs, OUT, tf.constant([1, 2], tf.int64))


@pytest.mark.parametrize(("positions", "fan_in"), [(1, 6), (3, 6), (5, 4)])
def test_responses_are_distributed_as_those_of_gaussian_kernels(positions, fan_in):
    """Covariance σ² X Xᵀ over the positions, the same for each output, none between outputs."""
    inputs = _inputs(positions, fan_in)
    seen = _visible(inputs).response(0.5).numpy().astype(np.float64)
    assert seen.shape == (2, PAIRS, positions, OUT)
    for example in range(2):
        rows_of_pairs = seen[example].reshape(PAIRS, -1)
        products = 0.25 * inputs[example] @ inputs[example].T
        expected = np.einsum("pq,ab->paqb", products, np.eye(OUT)).reshape(rows_of_pairs.shape[1], -1)
        assert np.abs(rows_of_pairs.mean(0)).max() < 4.5 * np.sqrt(expected.max() / PAIRS)
        assert np.abs(rows_of_pairs.T @ rows_of_pairs / PAIRS - expected).max() < 6 * expected.max() / np.sqrt(PAIRS)


@pytest.mark.parametrize(("positions", "fan_in"), [(1, 6), (3, 6), (5, 4)])
def test_what_is_summed_is_what_was_seen(positions, fan_in):
    """X E[E | XE] = XE, and the conditional mean lies in the row space of X."""
    inputs, visible = _inputs(positions, fan_in), _visible(_inputs(positions, fan_in), 2)
    responses = visible.response(1.0).numpy()
    for example, pair in [(0, 0), (1, 1)]:
        weights = np.zeros((2, 2), np.float32)
        weights[example, pair] = 1.0
        weighted = visible.weighted_sum(tf.constant(weights)).numpy()
        assert weighted.shape == (fan_in, OUT)
        np.testing.assert_allclose(inputs[example] @ weighted, responses[example, pair], atol=5e-3)
        rows = np.linalg.svd(inputs[example], full_matrices=False)[2]
        np.testing.assert_allclose(rows.T @ (rows @ weighted), weighted, atol=1e-4)


def test_patches_that_are_alike_do_no_harm():
    """A black corner: rows of X that are equal, and X Xᵀ has no inverse."""
    inputs = np.zeros((1, 3, 6), np.float32)
    inputs[:, :, -1] = 1.0
    visible = _visible(inputs, 4_000)
    seen = visible.response(1.0).numpy()
    assert np.abs(seen - seen.mean(2, keepdims=True)).max() < 0.1
    differences = tf.constant(seen[0, :, 0, :1].T)  # as if the loss were the first output, linear in the bias alone
    gradient = visible.weighted_sum(differences / 4_000).numpy()
    assert gradient[5, 0] == pytest.approx(1.0, abs=0.1)
    assert np.abs(np.delete(gradient.ravel(), 15)).max() < 0.1
