import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from common.plotting import style
from common.plotting.edge_labels import apart, name_at_edge


@pytest.mark.parametrize(
    ("heights", "gap", "expected"),
    [
        ([0.2, 0.8], 0.1, [0.2, 0.8]),
        ([0.5, 0.5, 0.9], 0.2, [0.4, 0.6, 0.9]),
        ([0.0, 0.01], 0.2, [0.1, 0.3]),  # none leaves the panel
        ([1.0, 1.0], 0.2, [0.7, 0.9]),
        ([0.1, 0.2, 0.3], 0.9, [1 / 6, 1 / 2, 5 / 6]),  # no room for such a gap
    ],
)
def test_heights_move_as_little_as_possible(heights, gap, expected):
    np.testing.assert_allclose(apart(np.array(heights), gap), expected, atol=1e-12)


def test_names_do_not_overlap_and_stay_in_the_order_of_their_points():
    _, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    points = pd.DataFrame({"x": 1.0, "y": [1.0, 1.001, 1.002, 3.0]}, index=["a", "b", "c", "d"])
    axes.set_yscale("log")
    axes.plot(points["x"], points["y"], "o")
    name_at_edge(axes, points, dict.fromkeys("abcd", style.BLACK))
    figure = axes.figure
    figure.canvas.draw()
    # An annotation's own extent holds the line to its point, too.
    boxes = [Text.get_window_extent(text).get_points()[:, 1] for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c", "d"]
    assert all(below[1] <= above[0] for below, above in itertools.pairwise(boxes))


def test_no_points_no_names():
    _, (axes,) = style.figure(style.SINGLE_COLUMN, 2.5)
    name_at_edge(axes, pd.DataFrame(columns=["x", "y"]), {})
    assert not axes.texts
