import numpy as np
import pytest
from matplotlib.figure import Figure

from common import results
from common.plotting import curves as learning_curves
from common.plotting import style
from common.plotting.curves import Series


def run(seed, errors, *, status="finished", **parameters):
    epochs = [
        {"epoch": i, "step": 5 * i, "seconds": i * (1 + seed), "cost": 5.0 * i, "validation_metric": 1 - error}
        for i, error in enumerate(errors, 1)
    ]
    epochs[-1] |= {"test_metric": 1 - errors[-1]}
    return results.run_frame(
        epochs, experiment="e", method="m", seed=seed, status=status, metric="accuracy", **({"sigma": 1.0} | parameters)
    )


def series(*runs, **look):
    return Series("a", learning_curves.with_errors(results.combine(runs)), {"color": "#000000"} | look)


@pytest.fixture
def axes():
    return Figure().subplots()


def test_curve_is_the_mean_beside_the_seeds_themselves(axes):
    learning_curves.draw_curves(axes, [series(run(0, [0.4, 0.2]), run(1, [0.6, 0.3]))], "epoch", "validation_error")
    mean, *seeds = axes.lines
    assert mean.get_ydata() == pytest.approx([50, 25])
    assert [line.get_ydata().tolist() for line in seeds] == [pytest.approx([40, 20]), pytest.approx([60, 30])]
    assert all(line.get_alpha() < 0.5 and line.get_zorder() < mean.get_zorder() for line in seeds)
    assert not axes.collections


def test_seeds_of_one_epoch_are_dots(axes):
    learning_curves.draw_curves(axes, [series(run(0, [0.4]), run(1, [0.6]))], "epoch", "validation_error")
    mean, *seeds = axes.lines
    assert mean.get_ydata() == pytest.approx([50])
    assert [(line.get_marker(), *line.get_ydata()) for line in seeds] == [("o", pytest.approx(40)), ("o", 60)]


def test_many_seeds_are_a_band_from_the_lowest_to_the_highest(axes):
    group = series(*(run(seed, [0.1 * (seed + 1)]) for seed in range(6)))
    learning_curves.draw_curves(axes, [group], "epoch", "validation_error")
    assert len(axes.lines) == 1
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((10, 60))
    assert learning_curves.spread_note([group]) == "Line: mean of 6 seeds; band: from the lowest to the highest."


def test_the_median_alone_where_one_seed_is_far_off(axes):
    group = series(*(run(seed, [error]) for seed, error in enumerate((0.1, 0.2, 0.3, 0.4, 0.99))))
    learning_curves.draw_curves(axes, [group], "epoch", "validation_error", median=True)
    assert [line.get_ydata().tolist() for line in axes.lines] == [pytest.approx([30])]
    assert not axes.collections
    assert learning_curves.spread_note([group], median=True) == "Median of 5 seeds."


def test_seconds_are_averaged_epoch_by_epoch(axes):
    learning_curves.draw_curves(axes, [series(run(0, [0.4, 0.2]), run(1, [0.6, 0.3]))], "seconds", "validation_error")
    assert axes.lines[0].get_xdata() == pytest.approx([1.5, 3])


def test_one_seed_is_a_line(axes):
    learning_curves.draw_curves(axes, [series(run(0, [0.4, 0.2]))], "epoch", "validation_error")
    assert len(axes.lines) == 1
    assert learning_curves.spread_note([series(run(0, [0.4]))]) == "One seed."


def test_mean_ends_where_the_shortest_run_ends(axes):
    learning_curves.draw_curves(
        axes, [series(run(0, [0.4, 0.2, 0.1]), run(1, [0.6, 0.3]))], "epoch", "validation_error"
    )
    assert axes.lines[0].get_xdata() == pytest.approx([1, 2])


def test_epoch_in_which_a_seed_is_undefined_is_left_out_unless_it_is_to_be_skipped(axes):
    group = series(run(0, [0.4, np.nan, np.nan, 0.1]), run(1, [0.6, 0.3, np.nan, 0.2]))
    learning_curves.draw_curves(axes, [group], "epoch", "validation_error")
    learning_curves.draw_curves(axes, [group], "epoch", "validation_error", skip_undefined=True)
    strict, skipping = (line for line in axes.lines if not line.get_alpha())
    assert strict.get_xydata() == pytest.approx(np.array([[1, 50], [4, 15]]))
    assert skipping.get_ydata() == pytest.approx([50, 30, np.nan, 15], nan_ok=True)


def test_diverged_run_ends_in_a_cross_and_is_in_no_mean(axes):
    group = series(run(0, [0.4, 0.2]), run(1, [0.6, 0.3]), run(2, [0.5, 0.9, np.nan], status="diverged"))
    learning_curves.draw_curves(axes, [group], "epoch", "validation_error")
    mean, _, _, thin, cross = axes.lines
    assert mean.get_ydata() == pytest.approx([50, 25])
    assert thin.get_ydata() == pytest.approx([50, 90])
    assert (cross.get_marker(), *cross.get_xydata()[0]) == pytest.approx(("x", 2, 90))
    assert learning_curves.spread_note([group]) == (
        "Pale: single seeds; full: mean of 2 seeds. 1 diverged run (cross) is in no mean."
    )


def test_run_diverged_in_its_first_epoch_is_marked_all_the_same(axes):
    lost = results.run_frame([], experiment="e", method="m", seed=0, status="diverged", metric="accuracy", sigma=1.0)
    learning_curves.draw_curves(axes, [series(lost)], "seconds", "validation_error")
    assert r"$\times$" in [text.get_text() for text in axes.texts]


def test_series_with_a_seed_twice_names_the_parameter_that_differs(axes):
    group = series(run(0, [0.4], sigma=1.0), run(0, [0.3], sigma=2.0))
    with pytest.raises(ValueError, match="several runs of seed 0, which differ in sigma"):
        learning_curves.draw_curves(axes, [group], "epoch", "validation_error")


def test_final_values_are_means_and_dots_and_count_divergence(axes):
    runs = [run(0, [0.4]), run(1, [0.6]), run(0, [0.2], sigma=2.0), run(1, [0.9], sigma=2.0, status="diverged")]
    learning_curves.draw_final(axes, [series(*runs)], "sigma", "test_error")
    mean, dots = axes.lines
    assert mean.get_xydata() == pytest.approx(np.array([[1, 50], [2, 20]]))
    assert sorted(dots.get_ydata()) == pytest.approx([20, 40, 60])
    assert "1 of 2 diverged" in [text.get_text() for text in axes.texts]
    note = learning_curves.spread_note([series(*runs)], ["sigma"])
    assert note.startswith("Pale: single seeds; full: mean of 1 to 2 seeds.")


def test_seeds_of_several_populations_are_lines_without_a_mean(axes):
    runs = [run(seed, [0.4 + 0.5 * seed], sigma=sigma) for seed in (0, 1) for sigma in (1.0, 2.0)]
    learning_curves.draw_final(axes, [series(*runs)], "sigma", "test_error", seed_by_seed=True)
    assert [line.get_ydata().tolist() for line in axes.lines] == [pytest.approx([40, 40]), pytest.approx([90, 90])]
    assert learning_curves.spread_note([series(*runs)], ["sigma"], middle=False) == "A line for each of 2 seeds."


def test_regression_error_is_the_metric_itself():
    frame = run(0, [0.4]).assign(metric="mean_squared_error", test_metric=29.5)
    assert learning_curves.with_errors(frame)["test_error"].tolist() == [29.5]
    assert learning_curves.error_name(frame, "test") == "Test mean squared error"


def test_groups_differ_in_color_line_and_marker():
    looks = [style.group_style(i) for i in range(6)]
    for name in ("color", "linestyle", "marker"):
        assert len({str(look[name]) for look in looks}) == 6


def test_select_leaves_out_rows_without_the_parameter():
    mixed = results.combine([run(0, [0.4], noisy=True), run(1, [0.4])])
    assert learning_curves.select(mixed, noisy=True)["seed"].tolist() == [0]


def test_series_by_orders_and_labels():
    mixed = results.combine([run(0, [0.4], sigma=2.0), run(0, [0.4], sigma=1.0)])
    assert [series.label for series in learning_curves.series_by(mixed, "sigma", "σ = {:g}")] == ["σ = 1", "σ = 2"]
