import numpy as np
import pytest

from common.tasks.line_loss import LineLoss


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 0.5, (50, 1))
    return x, 2 * x - 1 + rng.normal(0, 0.1, (50, 1))


def test_it_is_the_mean_squared_error_of_the_line(data):
    x, y = data
    loss = LineLoss.of(x.astype(np.float32), y.astype(np.float32))
    slopes, intercepts = np.meshgrid([-1.0, 0.0, 2.5], [0.5, -2.0])
    expected = [
        [np.mean((w * x + b - y) ** 2) for w, b in zip(*row, strict=True)]
        for row in zip(slopes, intercepts, strict=True)
    ]
    np.testing.assert_allclose(loss(slopes, intercepts), expected, rtol=1e-4)


def test_the_minimum_is_least_squares(data):
    x, y = data
    loss = LineLoss.of(x, y)
    np.testing.assert_allclose(loss.minimum, np.polyfit(x[:, 0], y[:, 0], 1), rtol=1e-6)


def test_curvatures_are_those_of_differences(data):
    loss = LineLoss.of(*data)
    step = 1e-3
    along = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    differences = [
        [(loss(*(step * (a + b))) - loss(*(step * a)) - loss(*(step * b)) + loss(0, 0)) / step**2 for b in along]
        for a in along
    ]
    np.testing.assert_allclose(loss.hessian, differences, rtol=1e-4)
    assert loss.largest_curvature == pytest.approx(max(np.linalg.eigvalsh(differences)), rel=1e-4)
    assert loss.condition > 100  # far from the origin, slope and intercept can hardly be told apart


def test_a_standardised_feature_makes_the_surface_round(data):
    x, y = data
    assert LineLoss.of((x - x.mean()) / x.std(), y).condition == pytest.approx(1)
