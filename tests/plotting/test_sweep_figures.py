"""Which figure a sweep has, and what is in it."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_sweep_runs import DIRECTION, as_frame, fake_run, fake_sweep, final_errors, grid, write_sweep
from shown import assert_within_its_page, lines, texts

from common.plotting import style
from common.plotting.curves import NothingToDraw
from common.plotting.sweep import sweep_figure, sweep_table

ROOT = Path(__file__).resolve().parents[2]
SIGMAS = [0.01, 0.1, 1.0, 2.0]
RATES = ["SGD(0.003)", "SGD(0.01)", "SGD(0.1)"]
LONG = "NoisyGradient(Backpropagation(), ConstantNoise(0.1), sketch=SignSketch(1000, redraw_every=1), decay=0.9)"

SWEEPS = {
    "nothing": grid(sigma=[0.1]),
    "a number": grid(sigma=SIGMAS),
    "a number from zero on": grid(sigma=[0.0, *SIGMAS]),
    "a text": grid(optimizer=[*RATES, LONG]),
    "two numbers": grid(sigma=SIGMAS, batch_size=[16, 32]),
    "seven lines": grid(sigma=[*SIGMAS, 3.0, 4.0, 5.0, 6.0], batch_size=[8 * 2**i for i in range(7)]),
    "two texts": grid(optimizer=RATES, network=["mlp", "lenet5"]),
    "three": grid(sigma=SIGMAS, optimizer=RATES, network=["mlp", "lenet5"]),
    "four": grid(sigma=SIGMAS, optimizer=RATES, network=["mlp", "lenet5"], batch_size=[16, 32]),
    "together": [{"hidden": "[32]", "network": "mlp"}, {"hidden": "[]", "network": "lenet5"}],
    "many texts": grid(optimizer=[f"SGD({rate})" for rate in range(1, 40)]),
}


def ways(figure):
    """The points of the mean lines of a figure's panels."""
    return [
        [container.lines[0].get_xydata() for container in axes.containers if len(container.lines[0].get_xydata())]
        for axes in figure.axes
        if axes.get_visible()
    ]


@pytest.mark.parametrize("name", SWEEPS)
def test_every_figure_is_within_its_page_and_says_its_seeds(name):
    some = next(iter(SWEEPS[name][0]))
    worst = SWEEPS[name][-1][some]
    frame = fake_sweep(SWEEPS[name], diverge=lambda point, seed: seed == 1 and point[some] == worst)
    frame.attrs["missing"] = ["seed9.parquet"]
    figure = sweep_figure(frame)
    assert_within_its_page(figure)
    assert figure.get_figwidth() in (style.SINGLE_COLUMN, style.DOUBLE_COLUMN)
    assert "seeds" in texts(figure)
    assert "INCOMPLETE: 1 of 1 result files missing" in texts(figure)
    assert "scikit-learn's digits" in figure.caption
    assert texts(figure).count("diverged") == (0 if name == "many texts" else 1)  # there it is not among the best


def test_where_nothing_varies_there_are_learning_curves():
    figure = sweep_figure(fake_sweep(grid(sigma=[0.1])))
    assert list(lines(figure.axes[0])) == ["backpropagation", DIRECTION]
    assert figure.axes[0].get_xlabel() == "Epochs"


def test_one_number_is_an_axis_with_a_line_and_the_baseline_across():
    frame = fake_sweep(grid(sigma=SIGMAS))
    figure = sweep_figure(frame)
    ((means,),) = ways(figure)
    assert means[:, 0].tolist() == SIGMAS
    assert means[:, 1] == pytest.approx([final_errors(frame, DIRECTION, sigma=sigma).mean() for sigma in SIGMAS])
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == (
        "log",
        "sigma, log scale",
        "Test error (%), log scale",
    )
    level = final_errors(frame, "backpropagation").mean()
    assert any(line.get_ydata() == pytest.approx([level, level]) for line in axes.lines if len(line.get_ydata()) == 2)
    assert [text.get_text() for text in figure.legends[0].texts] == ["backpropagation"]


def test_seeds_are_circles():
    frame = fake_sweep(grid(sigma=SIGMAS))
    shown = [line.get_ydata() for line in sweep_figure(frame).axes[0].lines if line.get_markerfacecolor() == "none"]
    expected = np.concatenate([final_errors(frame, DIRECTION, sigma=sigma) for sigma in SIGMAS])
    assert sorted(np.concatenate(shown)) == pytest.approx(sorted(expected))


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1, 2, 5, 10], "linear"), ([1, 2, 5, 11], "log"), ([0, 1, 11], "symlog"), ([-1, 1, 100], "linear")],
)
def test_the_axis_is_logarithmic_beyond_a_decade_of_positive_numbers(values, scale):
    assert sweep_figure(fake_sweep(grid(shift=values), baseline_depends_on=None)).axes[0].get_xscale() == scale


def test_texts_are_dots_beside_their_names():
    figure = sweep_figure(fake_sweep(grid(optimizer=[*RATES, LONG])))
    axes = figure.axes[0]
    labels = [text.get_text().replace("\n", " ") for text in axes.get_yticklabels()]
    assert labels[1:] == RATES
    assert labels[0].startswith("NoisyGradient(Backpropagation(), ")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Test error (%)", "optimizer")
    assert axes.containers[0].lines[0].get_linestyle() == "None"


def test_of_two_things_the_number_with_more_values_is_the_axis():
    figure = sweep_figure(fake_sweep(grid(batch_size=[16, 32, 64], sigma=SIGMAS), baseline_depends_on=("batch_size",)))
    assert figure.axes[0].get_xlabel() == "sigma, log scale"
    assert [text.get_text() for text in figure.legends[0].texts] == [
        *(f"batch_size = {size}" for size in (16, 32, 64)),
        "backpropagation",
    ]
    dashed = [line for line in figure.axes[0].lines if list(line.get_xdata()) == [0, 1]]
    assert [line.get_color() for line in dashed] == [style.group_style(i)["color"] for i in range(3)]


def test_more_than_six_lines_are_panels():
    figure = sweep_figure(fake_sweep(SWEEPS["seven lines"]))
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == [f"batch_size = {8 * 2**i}" for i in range(7)]
    assert "a panel for each batch_size" in figure.caption


def test_three_things_are_panels_of_two_and_nothing_is_averaged():
    frame = fake_sweep(SWEEPS["three"], baseline_depends_on=("optimizer", "network"))
    figure = sweep_figure(frame)
    assert [axes.get_title() for axes in figure.axes] == [
        f"network = {network}\noptimizer = {rate}" for network in ("lenet5", "mlp") for rate in RATES
    ]
    for (network, rate), (means,) in zip(itertools.product(("lenet5", "mlp"), RATES), ways(figure), strict=True):
        point = {"network": network, "optimizer": rate}
        expected = [final_errors(frame, DIRECTION, sigma=sigma, **point).mean() for sigma in SIGMAS]
        assert means == pytest.approx(np.array([SIGMAS, expected]).T)


def test_of_more_things_the_points_with_the_lowest_validation_error_are_ranked():
    frame = fake_sweep(SWEEPS["four"])
    figure = sweep_figure(frame)
    table = sweep_table(frame).query("run == @DIRECTION").sort_values("validation", ascending=False, kind="stable")
    ((means,),) = ways(figure)
    assert means[:, 0] == pytest.approx(100 - table["mean"].to_numpy()[:20])
    assert "at the 20 of 48 points with the lowest validation error" in figure.caption
    names = ["sweep.sigma", "sweep.optimizer", "sweep.network", "sweep.batch_size"]
    best = ", ".join(f"{value:g}" if isinstance(value, float) else value for value in table[names].iloc[0])
    assert figure.axes[0].get_yticklabels()[0].get_text() == best
    assert figure.axes[0].get_ylabel() == "sigma, optimizer, network, batch_size"


def test_what_varies_together_is_one_thing():
    figure = sweep_figure(fake_sweep(SWEEPS["together"]))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["[32], mlp", "[], lenet5"]
    assert figure.axes[0].get_ylabel() == "hidden, network"


def test_a_text_that_varies_with_a_number_leaves_it_the_axis():
    points = [{"optimizer": f"SGD({rate})", "batch_size": size} for size, rate in ((16, 0.01), (32, 0.03), (64, 0.05))]
    figure = sweep_figure(fake_sweep(points))
    ((means,),) = ways(figure)
    assert means[:, 0].tolist() == [16, 32, 64]
    assert figure.axes[0].get_xlabel() == "batch_size (with optimizer)"


def test_points_of_a_random_search_are_dots_with_all_their_numbers():
    figure = sweep_figure(fake_sweep([{"sigma": 0.5, "rate": 0.125}, {"sigma": 0.1, "rate": 1 / 3}]))
    labels = {text.get_text() for text in figure.axes[0].get_yticklabels()}
    assert labels in ({"0.5, 0.125", "0.1, 0.3333"}, {"0.125, 0.5", "0.3333, 0.1"})


def test_runs_that_depend_on_the_axis_are_lines():
    frame = fake_sweep(grid(batch_size=[16, 32, 64]), baseline_depends_on=("batch_size",))
    assert [text.get_text() for text in sweep_figure(frame).legends[0].texts] == ["backpropagation", DIRECTION]


def test_seven_runs_have_a_panel_each_with_the_baseline_in_all():
    rows = [
        row
        for point, seed in itertools.product(grid(sigma=SIGMAS), (0, 1))
        for run in (*(f"run {number}" for number in range(7)), "backpropagation")
        for row in fake_run(point, seed, run, depends_on=() if run == "backpropagation" else None)
    ]
    figure = sweep_figure(as_frame(rows))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == [f"run {number}" for number in range(7)]
    assert all(any(list(line.get_xdata()) == [0, 1] for line in axes.lines) for axes in panels)


def test_drawing_needs_neither_tensorflow_nor_pyplot(tmp_path):
    write_sweep(tmp_path / "noise", grid(sigma=SIGMAS))
    code = (
        "import sys\nfrom common.plotting.sweep import write_summary\nwrite_summary(*sys.argv[1:])\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib.pyplot') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, tmp_path / "noise", tmp_path / "out"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_diverged_runs_are_crosses_and_in_no_mean():
    frame = fake_sweep(grid(sigma=SIGMAS), diverge=lambda point, seed: point["sigma"] == 2.0 and seed == 0)
    figure = sweep_figure(frame)
    crosses = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [list(places) for places in crosses] == [[2.0]]
    ((means,),) = ways(figure)
    assert means[-1, 1] == pytest.approx(final_errors(frame, DIRECTION, sigma=2.0).mean())
    assert "Means and 95 % t intervals over 2 to 3 seeds" in figure.caption
    assert "Crosses: 1 diverged run, in no mean." in figure.caption


def test_a_point_at_which_all_diverged_keeps_its_place():
    figure = sweep_figure(fake_sweep(grid(sigma=SIGMAS), diverge=lambda point, seed: point["sigma"] == 2.0))
    ((means,),) = ways(figure)
    assert means[:, 0].tolist() == SIGMAS[:-1]
    assert figure.axes[0].get_xlim()[1] > 2


def test_a_sweep_that_diverged_everywhere_can_be_drawn():
    frame = fake_sweep(grid(sigma=SIGMAS), diverge=lambda point, seed: True)
    figure = sweep_figure(frame)
    assert "12 diverged runs" in figure.caption
    assert_within_its_page(figure)


def test_an_interval_that_hides_the_seeds_is_cut_and_the_note_says_so():
    frame = fake_sweep(grid(sigma=SIGMAS), seeds=(0, 1))
    figure = sweep_figure(frame)
    low, high = figure.axes[0].get_ylim()
    errors = final_errors(frame, DIRECTION)
    assert 0 < low < errors.min()
    assert errors.max() < high
    table = sweep_table(frame)
    cut = (100 - table["high"]).min() < low or (100 - table["low"]).max() > high
    assert ("An interval that leaves the panel goes on." in figure.caption) == cut
    assert cut


def test_results_without_a_test_metric_have_nothing_to_draw():
    with pytest.raises(NothingToDraw, match="no run of the results has a test metric"):
        sweep_figure(fake_sweep(grid(sigma=SIGMAS)).assign(test_metric=math.nan))


def test_runs_of_several_metrics_are_refused():
    frame = fake_sweep(grid(sigma=SIGMAS))
    mixed = frame.assign(metric=frame["metric"].where(frame["run"] == DIRECTION, "mean_squared_error"))
    with pytest.raises(ValueError, match="the results mix several values of metric"):
        sweep_figure(mixed)
