import math

import numpy as np
import pytest
import tensorflow as tf

from common import alignment, models, tasks
from common.data import Split


def _linear_task():
    """One weight, squared error: the gradient of one example is 2 (w x - y) x, known without TensorFlow."""
    task = tasks.regression(models.build("mlp", (1,), 1, seed=0, hidden=()))
    task.weights[0].assign([[0.5]])
    task.weights[1].assign([0.0])
    return task


def test_noise_scale_recovers_a_known_gradient_and_variance():
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 0.3, (200_000, 1)).astype(np.float32)
    y = (0.2 * x + rng.normal(0, 0.5, x.shape)).astype(np.float32)
    residual = 0.5 * x - y
    gradients = np.concatenate([2 * residual * x, 2 * residual], axis=1).astype(np.float64)
    norm, variance = np.sum(gradients.mean(0) ** 2), gradients.var(0).sum()
    measured = alignment.GradientNoiseScale(4, 64, large_batches=3_000)(_linear_task(), Split(x, y), 0, 1)
    assert measured["gradient_norm_squared"] == pytest.approx(norm, rel=0.05)
    assert measured["gradient_variance"] == pytest.approx(variance, rel=0.05)
    assert measured["noise_scale"] == pytest.approx(variance / norm, rel=0.08)


def test_noise_scale_is_seeded_and_moves_with_the_epoch():
    rng = np.random.default_rng(0)
    split = Split(rng.random((512, 1), dtype=np.float32), rng.random((512, 1), dtype=np.float32))
    scale, task = alignment.GradientNoiseScale(4, 64, 2), _linear_task()
    assert scale(task, split, 0, 1) == scale(task, split, 0, 1)
    assert scale(task, split, 0, 1) != scale(task, split, 0, 2)


def test_noise_scale_is_not_a_number_where_the_noise_hides_the_gradient():
    scale = alignment.GradientNoiseScale(4, 64)
    assert math.isnan(scale._solve(small_norm=16.0, large_norm=0.5)["noise_scale"])  # 64 · 0.5 < 4 · 16


@pytest.mark.parametrize("sizes", [(0, 64), (64, 64), (64, 100), (64, 32)])
def test_impossible_batch_sizes_are_named(sizes):
    with pytest.raises(
        ValueError, match=f"large must be a multiple of small .* got small {sizes[0]}, large {sizes[1]}"
    ):
        alignment.GradientNoiseScale(*sizes)


def test_too_few_examples_are_named():
    split = Split(np.zeros((32, 1), np.float32), np.zeros((32, 1), np.float32))
    with pytest.raises(ValueError, match="large must be at most the 32 training examples, got 64"):
        alignment.GradientNoiseScale(4, 64)(_linear_task(), split, 0, 1)


def test_cosine_by_hand():
    first = [tf.constant([1.0, 0.0]), tf.constant([[2.0]])]
    second = [tf.constant([2.0, 1.0]), tf.constant([[2.0]])]
    assert float(alignment.cosine(first, second)) == pytest.approx(6 / math.sqrt(5 * 9))
    assert math.isnan(float(alignment.cosine(first, [tf.zeros(2), tf.zeros((1, 1))])))
