"""The sketch beside an explicit dense matrix in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from common.estimators.noise.sign_sketch import SignSketch

SIZES = [(12, 4), (13, 5), (7, 7), (5, 1)]


def _seed(run=0, step=0):
    return tf.constant([run, step], tf.int64)


def _matrix(drawn):
    """S, (d, P): one sign in each column."""
    matrix = np.zeros((drawn.dimensions, len(drawn.buckets)))
    matrix[drawn.buckets.numpy(), np.arange(len(drawn.buckets))] = drawn.signs.numpy()
    return matrix


def _matrices(sketch, parameters, count):
    """S for many run seeds, (count, d, P)."""
    draw = tf.function(lambda seed: tf.nest.flatten(_parts(sketch.draw(parameters, seed))))
    matrices = np.zeros((count, sketch.dimensions, parameters))
    for run in range(count):
        buckets, signs = draw(_seed(run))
        matrices[run, buckets.numpy(), np.arange(parameters)] = signs.numpy()
    return matrices


def _parts(drawn):
    return drawn.buckets, drawn.signs


def _assert_mean(samples, expected):
    """Within four of its own standard errors; a value that never varies must be hit."""
    error = samples.std(0) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(0) - expected) <= 4 * error + 1e-9)


@pytest.mark.parametrize(("parameters", "dimensions"), SIZES)
def test_equals_an_explicit_matrix(parameters, dimensions):
    rng = np.random.default_rng(0)
    drawn = SignSketch(dimensions).draw(parameters, _seed(1))
    vector, sketched = rng.normal(size=parameters), rng.normal(size=dimensions)
    matrix = _matrix(drawn)
    assert drawn.apply(tf.constant(vector, tf.float32)).shape == (dimensions,)
    np.testing.assert_allclose(drawn.apply(tf.constant(vector, tf.float32)), matrix @ vector, atol=1e-6)
    back = drawn.apply_transpose(tf.constant(sketched, tf.float32))
    np.testing.assert_allclose(back, matrix.T @ sketched, atol=1e-6)


def test_is_linear():
    rng = np.random.default_rng(0)
    first, second = tf.constant(rng.normal(size=(2, 13)), tf.float32)
    drawn = SignSketch(5).draw(13, _seed())
    expected = 2 * drawn.apply(first) - 3 * drawn.apply(second)
    np.testing.assert_allclose(drawn.apply(2 * first - 3 * second), expected, atol=1e-5)


@pytest.mark.parametrize(("parameters", "dimensions"), SIZES)
def test_buckets_are_balanced_and_signs_are_signs(parameters, dimensions):
    for run in range(20):
        drawn = SignSketch(dimensions).draw(parameters, _seed(run))
        sizes = np.bincount(drawn.buckets, minlength=dimensions)
        assert set(sizes) <= {parameters // dimensions, -(-parameters // dimensions)}
        assert set(drawn.signs.numpy()) <= {-1.0, 1.0}


def test_directions_are_orthogonal_with_the_bucket_sizes_as_squared_lengths():
    drawn = SignSketch(5).draw(13, _seed())
    matrix = _matrix(drawn)
    np.testing.assert_array_equal(matrix @ matrix.T, np.diag(np.bincount(drawn.buckets, minlength=5)))


def test_unbiased_over_its_seeds_and_keeps_the_expected_norm():
    vector = np.random.default_rng(0).normal(size=11)
    matrices = _matrices(SignSketch(4), 11, 2_000)
    sketched = matrices @ vector
    _assert_mean(np.einsum("sdp,sd->sp", matrices, sketched), vector)
    _assert_mean(np.sum(sketched**2, 1), np.sum(vector**2))


def test_the_signal_to_noise_ratio_rises_by_parameters_over_dimensions():
    """Mapped back, noise on 6 numbers has the power of noise on all 60; the signal has ten times its own."""
    rng = np.random.default_rng(0)
    vector, matrices = rng.normal(size=60), _matrices(SignSketch(6), 60, 500)
    mapped_back = np.einsum("sdp,sd->sp", matrices, matrices @ vector)
    noise = np.einsum("sdp,sd->sp", matrices, rng.normal(size=(500, 6)))
    _assert_mean(np.sum(mapped_back**2, 1), 10 * np.sum(vector**2))
    _assert_mean(np.sum(noise**2, 1), 60)


def test_every_coordinate_meets_every_bucket_and_both_signs_alike():
    matrices = _matrices(SignSketch(3), 7, 2_000)
    sizes = np.array([3, 2, 2])  # of seven coordinates
    _assert_mean(np.abs(matrices), np.repeat(sizes[:, None] / 7, 7, axis=1))
    _assert_mean(matrices.sum(1), np.zeros(7))


def test_as_many_dimensions_as_parameters_lose_nothing():
    vector = tf.random.stateless_normal([50], [0, 0])
    drawn = SignSketch(50).draw(50, _seed(3))
    sketched = drawn.apply(vector)
    assert sorted(np.abs(sketched)) == sorted(np.abs(vector))
    assert not np.array_equal(np.abs(sketched), np.abs(vector))
    np.testing.assert_array_equal(drawn.apply_transpose(sketched), vector)


@pytest.mark.parametrize(
    ("redraw_every", "same"),
    [
        (None, [[0, 1, 2, 3, 4, 100_000]]),
        (1, [[0], [1], [2], [3]]),
        (3, [[0, 1, 2], [3, 4, 5], [6]]),
    ],
)
def test_a_subspace_is_kept_for_as_long_as_it_says(redraw_every, same):
    sketch = SignSketch(6, redraw_every)
    seen = [{_matrix(sketch.draw(30, _seed(0, step))).tobytes() for step in steps} for steps in same]
    assert all(len(subspaces) == 1 for subspaces in seen)
    assert len(set.union(*seen)) == len(same)


def test_the_seed_decides_the_subspace():
    first, again, other = (_matrix(SignSketch(6).draw(30, _seed(run))) for run in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_xla_draws_a_balanced_sketch():
    """What a GPU gets by default; its random numbers may come from another generator."""
    draw = tf.function(lambda seed: _parts(SignSketch(5).draw(13, seed)), jit_compile=True)
    buckets, signs = draw(_seed(2))
    assert sorted(np.bincount(buckets, minlength=5)) == [2, 2, 3, 3, 3]
    assert set(signs.numpy()) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"dimensions": 0}, "dimensions must be ≥ 1, got 0"),
        ({"dimensions": 4, "redraw_every": 0}, "redraw_every must be ≥ 1, or None, got 0"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        SignSketch(**wrong)


def test_more_dimensions_than_parameters_are_refused():
    SignSketch(34_826).require_at_most(34_826)
    with pytest.raises(ValueError, match="dimensions must be at most the network's 34,826 parameters, got 34827"):
        SignSketch(34_827).require_at_most(34_826)
