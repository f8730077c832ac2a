import math

import numpy as np
import pytest
from fake_baseline_runs import origin
from fake_synthetic_runs import CONTROLS, EXPERIMENT, LAYERS, METHODS, PROBABILITIES, SOURCE, fake_seed, run_name
from shown import assert_within_its_page, lines

from common import results
from common.experiments.synthetic_gradients import figures as synthetic_gradients
from common.plotting import draw as redrawing
from common.plotting import style
from common.plotting.curves import NothingToDraw

FIGURES = synthetic_gradients.FIGURES
OF_RUNS = [name for name in FIGURES if name != "06_synthetic_critical_path"]


@pytest.fixture(scope="module")
def seeds():
    """The frames of two complete seeds."""
    return [fake_seed(0), fake_seed(1)]


@pytest.fixture
def frame(seeds):
    return results.combine(seeds)


def final_errors(frame, value="test_metric"):
    """Mean over the seeds of each run's last error, per cent."""
    rows = results.last_rows(frame)
    return 100 * (1 - rows.groupby("run")[value].mean())


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_within_its_page_and_has_a_caption(frame, name):
    frame.attrs["missing"] = ["seed2.parquet"]
    figure = FIGURES[name](frame)
    assert figure.get_figwidth() in (style.SINGLE_COLUMN, style.DOUBLE_COLUMN)
    assert "INCOMPLETE: 1 of 1 result files missing" in figure.caption
    assert "MNIST" in figure.caption or name == "06_synthetic_critical_path"
    assert_within_its_page(figure)


def test_stored_results_are_redrawn_as_files(seeds, tmp_path):
    results.write(seeds[0], tmp_path / "results" / EXPERIMENT / "seed0.parquet", origin(0))
    folders = tmp_path / "results", tmp_path / "figures"
    redrawing.redraw(EXPERIMENT, *folders, drawings=redrawing.Drawings(FIGURES, synthetic_gradients.TABLES))
    wrote = {f"{name}{ending}" for name in FIGURES for ending in (".pdf", ".png", ".txt")}
    wrote |= {f"{name}.tex" for name in synthetic_gradients.TABLES}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == wrote


def test_the_source_s_losses_have_a_line_per_method(frame):
    curves = lines(synthetic_gradients.source_loss(frame).axes[0])
    assert list(curves) == list(SOURCE)
    assert curves["cDNI"].get_xdata()[-1] == 5 * 215
    caption = synthetic_gradients.source_loss(frame).caption
    assert "predictors' rates: DNI 0.01, cDNI 0.01, weights regressed 0.0001." in caption


def test_gradients_are_drawn_actual_synthetic_and_apart(frame):
    figure = synthetic_gradients.weight_gradients(frame)
    actual, synthetic, difference = (axes.images[0].get_array() for axes in figure.axes[:3])
    assert actual.shape == (4, 6)
    np.testing.assert_allclose(actual, np.random.default_rng(0).normal(size=(4, 6)))
    np.testing.assert_allclose(synthetic, actual / 2)
    np.testing.assert_allclose(difference, actual / 2)
    assert "Cosine of actual and synthetic 1.00." in figure.caption
    assert {axes.images[0].get_clim() for axes in figure.axes[:3]} == {(-np.abs(actual).max(), np.abs(actual).max())}


def test_digits_are_shown_with_their_labels_and_the_predicted_classes(frame):
    figure = synthetic_gradients.digits(frame)
    assert [axes.get_title() for axes in figure.axes] == ["is 7", "is 6"]
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["\n".join("7777")] * 2
    assert figure.axes[0].texts[1].get_text() == "\n".join(SOURCE)


def test_test_errors_by_depth_and_family(frame):
    expected = final_errors(frame)
    for axes, (family, counts) in zip(synthetic_gradients.depths(frame).axes, LAYERS.items(), strict=True):
        assert list(lines(axes)) == list(METHODS)
        for method, line in lines(axes).items():
            assert line.get_xdata() == pytest.approx(counts)
            names = [run_name(layers, family, method) for layers in counts]
            assert line.get_ydata() == pytest.approx(expected[names].to_numpy())


@pytest.mark.parametrize(("make", "family"), [("curves", "fully connected"), ("convolutional_curves", "convolutional")])
def test_curves_have_a_panel_per_depth(frame, make, family):
    panels = getattr(synthetic_gradients, make)(frame).axes
    assert [axes.get_title() for axes in panels] == [f"{layers} layers" for layers in LAYERS[family]]
    expected = final_errors(frame, "validation_metric")
    for layers, axes in zip(LAYERS[family], panels, strict=True):
        assert list(lines(axes)) == list(METHODS)
        wanted = expected[run_name(layers, family, "cDNI")]
        assert axes.get_xlabel() == "Update steps"
        assert (
            lines(axes)["cDNI"].get_xdata()[-1]
            == frame.loc[frame["run"] == run_name(layers, family, "cDNI"), "step"].max()
        )
        assert lines(axes)["cDNI"].get_ydata()[-1] == pytest.approx(wanted)


def test_cosines_of_the_deepest_network_have_a_line_per_boundary(frame):
    left, right = synthetic_gradients.cosines(frame).axes
    assert (left.get_title(), right.get_title()) == ("DNI", "cDNI")
    assert list(lines(left)) == [f"boundary {place}" for place in range(1, 6)]
    assert lines(right)["boundary 5"].get_ydata()[-1] == pytest.approx(0.35)


def test_cosines_of_all_networks_are_tabulated(frame):
    table = synthetic_gradients.TABLES["06_synthetic_cosine_table"](frame).set_index("Setting")
    assert len(table) == 2 * sum(map(len, LAYERS.values()))
    assert table.loc["3 layers, convolutional, cDNI", "Boundary 2"] == "0.65 ± 0.00"
    assert table.loc["3 layers, convolutional, cDNI", "Boundary 3"] == "-"


def test_captions_say_the_batches_and_the_predictors(frame):
    batches = "Batches, fully connected: 256; DNI 256 (predictors with 2 hidden layers before the ReLU)."
    assert batches in synthetic_gradients.curves(frame).caption
    assert batches in synthetic_gradients.depths(frame).caption
    assert "(predictors" not in synthetic_gradients.convolutional_curves(frame).caption
    hidden, boundaries = "SyntheticGradients.hidden_layers", "SyntheticGradients.boundaries"
    cut = frame[boundaries].notna()
    for layers, layer, words in (
        (0, "norm", "256; DNI 256 (predictors before the ReLU)."),
        (1, "dense", "256; DNI 256 (predictors with 1 hidden layer before the batch norm)."),
        (1, "relu", "256; DNI 256 (predictors with 1 hidden layer)."),
        (0, "relu", "Batches, fully connected: 256."),
    ):
        columns = {hidden: frame[hidden].where(~cut, layers)}
        columns |= {boundaries: frame[boundaries].str.replace("norm", layer)}
        assert words in synthetic_gradients.curves(frame.assign(**columns)).caption


def test_the_figure_of_cosines_says_where_the_boundaries_are(frame):
    assert "DNI's boundaries are before the ReLU, all others behind it." in synthetic_gradients.cosines(frame).caption
    behind = frame.drop(columns="SyntheticGradients.boundaries")
    assert "boundaries are" not in synthetic_gradients.cosines(behind).caption


def test_unlocked_against_epochs_and_against_the_probability(frame):
    left, right = synthetic_gradients.unlocked(frame).axes
    assert list(lines(left)) == [f"p = {share:g}" for share in sorted(PROBABILITIES)]
    rows = frame[frame["run"] == f"updating with p = {min(PROBABILITIES):g}"]
    slowest = lines(left)[f"p = {min(PROBABILITIES):g}"]
    assert slowest.get_xdata()[-1] == pytest.approx(min(PROBABILITIES) * rows["step"].max())
    expected = final_errors(frame)
    wanted = [expected[f"updating with p = {share:g}"] for share in sorted(PROBABILITIES)]
    assert lines(right)["cDNI"].get_ydata() == pytest.approx(wanted)
    wanted = [expected[f"backprop, updating with p = {share:g}"] for share in sorted(PROBABILITIES)]
    assert lines(right)["backprop"].get_ydata() == pytest.approx(wanted)
    alone = synthetic_gradients.unlocked(frame[frame["group"] != "control"]).axes[1]
    assert set(lines(alone)) == {"cDNI"}


def test_controls_and_methods_of_one_depth_are_ranked(frame):
    figure = synthetic_gradients.controls(frame)
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(names) == sorted([*METHODS, *CONTROLS])
    errors = final_errors(frame)
    drawn = [errors[f"6 layers, {name}"] for name in names]
    assert drawn == sorted(drawn, reverse=True)
    means = [line for line in axes.lines if not line.get_alpha()]
    assert [line.get_xdata()[0] for line in means] == pytest.approx(drawn)
    hollow = [line.get_markerfacecolor() == "white" for line in means]
    assert hollow == [name in CONTROLS for name in names]
    assert "6 fully connected layers" in figure.caption


def test_without_controls_there_is_no_figure_of_them(frame):
    with pytest.raises(NothingToDraw, match="no controls of the methods"):
        synthetic_gradients.controls(frame[frame["group"] != "control"])


def test_the_counts_of_products_by_the_number_of_layers(frame):
    chain, wait = synthetic_gradients.critical_path(frame).axes
    assert lines(chain)["backpropagation"].get_xydata()[-1] == pytest.approx([20, 40])
    assert lines(chain)["linear predictors"].get_xydata()[0] == pytest.approx([3, 4])
    assert lines(wait)["predictors with a hidden layer"].get_ydata() == pytest.approx([3] * 18)


def test_table_has_every_run(frame):
    table = synthetic_gradients.table(frame)
    assert list(table["Setting"]) == list(frame.drop_duplicates("order").sort_values("order")["run"])
    row = table[table["Setting"] == "4 layers, cDNI"].iloc[0]
    values = 100 * (1 - results.last_rows(frame).query("run == @row.Setting")["test_metric"])
    assert row["Test error (%)"] == f"{values.mean():.2f} ± {values.std():.2f}"
    assert (row["Seeds"], row["Diverged"], row["Updates"]) == (2, 0, "1075 ± 0")
    assert row["Cost (epochs' worth of gradients)"] == "5.00 ± 0.00"
    assert (row["Rate"], row["Predictors' rate"], row["Predictors' hidden layers"]) == ("0.001", "0.001", "0")
    row = table[table["Setting"] == "4 layers, DNI"].iloc[0]
    assert row["Predictors' hidden layers"] == "2"
    assert "DNI's predictors of fully connected networks are before the ReLU" in table.attrs["printed"].caption


def test_errors_by_depth_are_a_table_too(frame):
    depths, table = synthetic_gradients.depth_table(frame), synthetic_gradients.table(frame).set_index("Setting")
    row = depths[(depths["Networks"] == "fully connected") & (depths["Layers"] == 4)].iloc[0]
    assert row["cDNI"] == table.loc["4 layers, cDNI", "Test error (%)"]


def test_diverged_runs_are_counted_and_in_no_mean(seeds):
    frame = results.combine([seeds[0], fake_seed(1, diverge=("source: backprop", "6 layers, DNI"))])
    for make in (synthetic_gradients.source_loss, synthetic_gradients.curves, synthetic_gradients.depths):
        assert "1 diverged run (cross) is in no mean" in make(frame).caption
    assert synthetic_gradients.table(frame)["Diverged"].sum() == 2


@pytest.mark.parametrize("name", OF_RUNS)
def test_what_the_results_lack_is_left_out_and_named(seeds, name):
    with pytest.raises(NothingToDraw, match="the results hold no"):
        FIGURES[name](seeds[0].assign(group="another"))


def test_pictures_that_were_not_measured_are_left_out_and_named(seeds):
    measured = [name for name in seeds[0] if name.endswith("_gradient") or name.startswith("sample_")]
    pictures = (
        synthetic_gradients.weight_gradients,
        synthetic_gradients.boundary_gradients,
        synthetic_gradients.digits,
    )
    for make in pictures:
        with pytest.raises(NothingToDraw, match="the results hold no"):
            make(seeds[0].drop(columns=measured))


@pytest.mark.parametrize("name", OF_RUNS)
def test_mixed_data_sets_are_refused(seeds, name):
    mixed = results.combine([seeds[0], seeds[1].assign(dataset="digits", seed=0)])
    with pytest.raises(ValueError, match=r"several values of dataset \(mnist, digits\)"):
        FIGURES[name](mixed)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_which_every_run_diverged_are_drawn_or_left_out(frame, name):
    measures = [column for column in frame if column.endswith(("_metric", "_loss")) or column.startswith("cosine_")]
    lost = frame.assign(status="diverged", diverged_step=1, **dict.fromkeys(measures, math.nan))
    for column in [column for column in frame if column.endswith("_gradient")]:
        lost[column] = frame[column].map(lambda cell: cell if cell is None else cell * math.nan)
    try:
        FIGURES[name](lost)._repr_png_()
    except NothingToDraw:
        assert name.endswith(("_source_weights", "_source_boundary", "_source_digits", "_cosines", "_controls"))


def test_layers_are_read_off_the_run_s_name_where_all_have_the_same_hidden_layers(frame):
    runs = frame[frame["run"].str.fullmatch("3 layers, [cD].*")].drop(columns="Network.hidden")
    assert [axes.get_title() for axes in synthetic_gradients.curves(runs).axes] == ["3 layers"]
