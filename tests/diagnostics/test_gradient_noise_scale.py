import math

import numpy as np
import pytest
from moments import linear_task, moment

from common.data import Split
from common.diagnostics import GradientNoiseScale


def _look(scale, split, epoch=1, task=None):
    return scale(moment(task or linear_task(), split, epoch, classes=None))


def test_noise_scale_recovers_a_known_gradient_and_variance():
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 0.3, (200_000, 1)).astype(np.float32)
    y = (0.2 * x + rng.normal(0, 0.5, x.shape)).astype(np.float32)
    residual = 0.5 * x - y
    gradients = np.concatenate([2 * residual * x, 2 * residual], axis=1).astype(np.float64)
    norm, variance = np.sum(gradients.mean(0) ** 2), gradients.var(0).sum()
    measured = _look(GradientNoiseScale(4, 64, large_batches=3_000), Split(x, y))
    assert measured["gradient_norm_squared"] == pytest.approx(norm, rel=0.05)
    assert measured["gradient_variance"] == pytest.approx(variance, rel=0.05)
    assert measured["noise_scale"] == pytest.approx(variance / norm, rel=0.08)


def test_noise_scale_is_seeded_and_moves_with_the_epoch():
    rng = np.random.default_rng(0)
    split = Split(rng.random((512, 1), dtype=np.float32), rng.random((512, 1), dtype=np.float32))
    scale, task = GradientNoiseScale(4, 64, 2), linear_task()
    assert _look(scale, split, task=task) == _look(scale, split, task=task)
    assert _look(scale, split, task=task) != _look(scale, split, 2, task=task)


def test_noise_scale_is_not_a_number_where_the_noise_hides_the_gradient():
    scale = GradientNoiseScale(4, 64)
    assert math.isnan(scale._solve(small_norm=16.0, large_norm=0.5)["noise_scale"])  # 64 · 0.5 < 4 · 16


@pytest.mark.parametrize("sizes", [(0, 64), (64, 64), (64, 100), (64, 32)])
def test_impossible_batch_sizes_are_named(sizes):
    with pytest.raises(
        ValueError, match=f"large must be a multiple of small .* got small {sizes[0]}, large {sizes[1]}"
    ):
        GradientNoiseScale(*sizes)


def test_too_few_examples_are_named():
    split = Split(np.zeros((32, 1), np.float32), np.zeros((32, 1), np.float32))
    with pytest.raises(ValueError, match="large must be at most the 32 training examples, got 64"):
        _look(GradientNoiseScale(4, 64), split)
