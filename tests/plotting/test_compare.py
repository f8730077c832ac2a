import matplotlib
import numpy as np
import pytest

from common.plotting import style
from common.plotting.compare import compare
from common.plotting.curves import NothingToDraw
from common.training import History


def _history(seed=0, status="finished", metric="accuracy", loss=1.0):
    records = [
        {"epoch": epoch, "step": 10 * epoch, "cost": 5.0 * epoch, "train_loss": loss / epoch, "cosine": 0.5,
         "validation_metric": 1 - 0.1 / epoch}
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    return History(records, status=status, seed=seed, method="SPSA", metric=metric)


def _lines(figure):
    return {line.get_label(): line.get_xydata() for line in figure.axes[0].get_lines() if line.get_label()[0] != "_"}


def test_each_name_is_a_line():
    figure = compare({"no noise": _history(), "σ = 1": _history(loss=2.0)}, "train_loss")
    lines = _lines(figure)
    assert list(lines) == ["no noise", "σ = 1"]
    np.testing.assert_allclose(lines["σ = 1"], [[1, 2], [2, 1], [3, 2 / 3]])
    assert figure.axes[0].get_lines()[0].get_color() == style.METHODS["no noise"][0]
    assert isinstance(figure, style.PaperFigure)


def test_the_default_is_the_validation_error_in_percent():
    figure = compare({"a": _history()})
    np.testing.assert_allclose(_lines(figure)["a"][:, 1], [10, 5, 10 / 3])
    assert "Validation error (%), log scale" in figure.axes[0].get_ylabel()


def test_seeds_are_averaged_and_drawn_pale():
    figure = compare({"a": [_history(0, loss=1.0), _history(1, loss=3.0)]}, "train_loss", x="cost")
    np.testing.assert_allclose(_lines(figure)["a"], [[5, 2], [10, 1], [15, 2 / 3]])
    assert len(figure.axes[0].get_lines()) == 3
    assert figure.caption == "Pale: single seeds; full: mean of 2 seeds."


def test_a_plain_legend_is_in_the_projects_style():
    (axes,) = compare({"a": _history(), "b": _history()}, "cosine").axes
    legend = axes.legend(loc="lower left", title="runs")
    assert [entry.get_text() for entry in legend.get_texts()] == ["a", "b"]
    assert legend.get_texts()[0].get_fontsize() == style.RC["legend.fontsize"]
    assert not legend.get_frame_on()
    assert matplotlib.rcParams["legend.fontsize"] != style.RC["legend.fontsize"]


def test_a_diverged_run_is_drawn_by_itself():
    figure = compare({"a": _history(), "b": _history(status="diverged")}, "train_loss")
    assert list(_lines(figure)) == ["a"]
    assert any(line.get_marker() == "x" for line in figure.axes[0].get_lines())


@pytest.mark.parametrize(
    ("histories", "options", "words"),
    [
        (_history(), {}, "histories must be a dictionary such as"),
        ({}, {}, "histories must be a dictionary such as"),
        ({"a": 3}, {}, r"histories\['a'\] must be a History, got 3"),
        ({"a": []}, {}, r"histories\['a'\] must be a History, or several, got \[\]"),
        ({"a": _history()}, {"y": "validation_eror"}, "did you mean 'validation_error'"),
        ({"a": _history()}, {"x": "epochs"}, "did you mean 'epoch'"),
        ({"a": [_history(), _history()]}, {}, "different from each other, got \\[0, 0\\]"),
        ({"a": _history(), "b": _history(metric="mean_squared_error")}, {}, "mix several values of metric"),
    ],
)
def test_mistakes_are_refused(histories, options, words):
    with pytest.raises(ValueError, match=words):
        compare(histories, **options)


def test_a_measure_that_no_run_has_is_refused():
    with pytest.raises(NothingToDraw, match="no run has a value of 'test_error'"):
        compare({"a": _history()}, "test_error")
