import math
from inspect import signature

import numpy as np
import pytest
from fake_baseline_runs import origin
from fake_evolution_runs import EXPERIMENT, PLAN, SAMPLE_COUNTS, fake_seed
from shown import assert_within_its_page, lines

from common import results
from common.estimators import Likelihood, LogitEvolution
from common.experiments.evolution_strategies import figures as evolution_strategies
from common.experiments.evolution_strategies import run_selection
from common.plotting import draw as redrawing
from common.plotting import style
from common.plotting.curves import NothingToDraw

FIGURES = evolution_strategies.FIGURES


@pytest.fixture(scope="module")
def seeds():
    """The frames of two complete seeds."""
    return [fake_seed(0), fake_seed(1)]


@pytest.fixture
def frame(seeds):
    return results.combine(seeds)


def errors(frame):
    """Mean over the seeds of each run's last validation error, per cent."""
    rows = results.last_rows(frame)
    return 100 * (1 - rows.groupby("run")["validation_metric"].mean())


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_within_its_page_and_says_its_subject(frame, name):
    frame.attrs["missing"] = ["seed2.parquet"]
    figure = FIGURES[name](frame)
    assert figure.get_figwidth() in (style.SINGLE_COLUMN, style.DOUBLE_COLUMN)
    assert "MNIST (LeNet-5)" in figure.caption
    assert "INCOMPLETE: 1 of 1 result files missing" in figure.caption
    assert_within_its_page(figure)


def test_stored_results_are_redrawn_as_files(seeds, tmp_path):
    results.write(seeds[0], tmp_path / "results" / EXPERIMENT / "seed0.parquet", origin(0))
    folders = tmp_path / "results", tmp_path / "figures"
    redrawing.redraw(EXPERIMENT, *folders, drawings=redrawing.Drawings(FIGURES, evolution_strategies.TABLES))
    wrote = {f"{name}{ending}" for name in FIGURES for ending in (".pdf", ".png", ".txt")}
    wrote |= {f"{name}.tex" for name in evolution_strategies.TABLES}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == wrote


def test_curves_by_group_with_the_source_s_plateau(frame):
    figure = evolution_strategies.curves(frame)
    left, right = figure.axes
    named = ["smoothed accuracy", "exact gradient", "moved target", "annealed σ"]
    assert list(lines(left))[:4] == named
    assert set(lines(left)) - set(named) == {"source, epoch 1", "source, plateau to epoch 22"}
    assert list(lines(right)) == ["likelihood", "exact likelihood", "cross-entropy"]
    assert lines(left)["source, epoch 1"].get_xydata() == pytest.approx(np.array([[1, 21.3]]))
    assert "The source has 21.3 % after its first epoch and 12 to 16 % on its plateau" in figure.caption
    expected = errors(frame)
    assert lines(left)["annealed σ"].get_ydata()[-1] == pytest.approx(expected["source: annealed σ"])
    assert lines(right)["cross-entropy"].get_ydata()[-1] == pytest.approx(expected["full: cross-entropy"])


def test_the_source_is_of_mnist_alone(frame):
    left, _ = evolution_strategies.curves(frame.assign(dataset="digits")).axes
    assert not [name for name in lines(left) if name.startswith("source")]


def test_sweeps_over_samples_and_sigma_beside_cross_entropy(frame):
    left, right = evolution_strategies.sweeps(frame).axes
    expected = errors(frame)
    assert lines(left)["likelihood"].get_xdata() == pytest.approx(SAMPLE_COUNTS)
    by_samples = [f"likelihood, {count} samples" for count in SAMPLE_COUNTS]
    assert lines(left)["likelihood"].get_ydata() == pytest.approx(expected[by_samples].to_numpy())
    by_sigma = ["likelihood, σ = 0.5", "likelihood, 200 samples", "likelihood, σ = 4"]
    assert lines(right)["likelihood"].get_ydata() == pytest.approx(expected[by_sigma].to_numpy())
    smoothed = [f"smoothed accuracy, σ = {sigma}" for sigma in ("0.5", "1", "4")]
    assert lines(right)["smoothed accuracy"].get_ydata() == pytest.approx(expected[smoothed].to_numpy())
    for axes in (left, right):
        assert lines(axes)["cross-entropy"].get_ydata() == pytest.approx([expected["cross-entropy"]] * 2)


def test_confusion_has_a_panel_a_seed_and_marks_what_is_never_predicted(frame):
    figure = evolution_strategies.confusion(frame)
    *panels, _ = figure.axes  # the last one is the color bar
    assert [axes.get_title()[:7] for axes in panels] == ["seed 0:", "seed 1:"]
    marked = [label.get_text() for label in panels[0].get_xticklabels() if label.get_color() == style.VERMILION]
    assert marked == ["9"]
    image = panels[0].images[0].get_array()
    assert image[9, 0] == 1
    assert image[8, 8] == 1
    assert [axes.get_title().partition(", ")[2] for axes in panels] == ["never 9", "never 9"]


def test_classes_never_predicted_have_a_row_a_seed(frame):
    axes = evolution_strategies.never_predicted(frame).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "smoothed accuracy"
    assert names[-1] == "likelihood"
    counts = axes.collections[0].get_array()
    assert len(counts) == 2 * len(names)
    assert counts[0].compressed()[[0, -1]] == pytest.approx([2, 1])
    assert set(counts[-1].compressed()) == {0}
    assert len(axes.texts) == counts.count()


@pytest.mark.parametrize(("make", "scale"), [("alignment", 10), ("alignment_at_the_start", 30)])
def test_alignment_by_samples(frame, make, scale):
    figure = getattr(evolution_strategies, make)(frame)
    bias, variance, cosine = figure.axes[-3:]
    names = [
        f"{objective}, {kind}"
        for objective in ("likelihood", "smoothed accuracy")
        for kind in ("independent", "antithetic")
    ]
    assert list(lines(variance)) == names
    measured = lines(variance)["likelihood, antithetic"]
    assert measured.get_xdata() == pytest.approx(SAMPLE_COUNTS)
    own = [line for line in variance.lines if line.get_color() == measured.get_color() and line.get_linestyle() == "-"]
    seeds = np.mean([line.get_ydata() for line in own], axis=0)  # a line each, and no mean
    assert len(own) == 2
    assert seeds == pytest.approx([1.05 * scale / count for count in SAMPLE_COUNTS])
    assert lines(bias)["likelihood, antithetic"].get_ydata()[0] == pytest.approx(0.81)
    assert lines(bias)["smoothed accuracy, independent"].get_ydata() == pytest.approx([0, 0, 0])
    assert lines(cosine)["likelihood, antithetic"].get_ydata()[-1] < 1
    if make == "alignment":
        start = evolution_strategies.alignment_at_the_start(frame).axes[-1]
        assert [axes.get_title() for axes in figure.axes][:1] == ["before training"]
        drawn, alone = (lines(axes)["likelihood, antithetic"].get_xydata() for axes in (figure.axes[0], start))
        assert drawn == pytest.approx(alone)


def test_the_bias_of_unseen_examples_is_marked_where_it_was_measured(frame):
    figure = evolution_strategies.alignment(frame)
    [crosses] = [line for line in figure.axes[-3].lines if line.get_marker() == "x"]
    assert crosses.get_ydata() == pytest.approx([0.9**count for count in SAMPLE_COUNTS] * 2)  # by seed
    assert "Crosses: the likelihood's bias" in figure.caption
    unmeasured = evolution_strategies.alignment(frame.drop(columns="logit_unseen_bias"))  # as older code wrote it
    assert "Crosses" not in unmeasured.caption
    by_seed = evolution_strategies.bias_by_seed(frame)
    assert list(by_seed["Seed"]) == [0, 1]
    row = by_seed.iloc[0]
    assert (row["Samples"], row["Of examples without a right sample"]) == (SAMPLE_COUNTS[-1], "0.00")
    assert (row["Share of the longest example"], row["Its probability of being right"]) == ("90 %", "9e-07")
    older = frame["seed"] == 0
    mixed = frame.assign(logit_unseen_bias=frame["logit_unseen_bias"].where(~older))
    assert "Crosses" in evolution_strategies.alignment(mixed).caption


def test_table_has_every_run_in_the_order_of_the_plan(frame):
    table = evolution_strategies.table(frame)
    assert list(table["Setting"]) == list(PLAN)
    row = table[table["Setting"] == "full: likelihood"].iloc[0]
    values = 100 * (1 - results.last_rows(frame).query("run == 'full: likelihood'")["test_metric"])
    assert row["Test error (%)"] == f"{values.mean():.2f} ± {values.std():.2f}"
    assert (row["Seeds"], row["Diverged"]) == (2, 0)


def test_diverged_runs_are_counted_and_in_no_mean(seeds):
    frame = results.combine([seeds[0], fake_seed(1, diverge=("full: cross-entropy", "likelihood, 2 samples"))])
    assert "1 diverged run (cross) is in no mean" in evolution_strategies.curves(frame).caption
    assert "1 diverged run (cross) is in no mean" in evolution_strategies.sweeps(frame).caption
    assert evolution_strategies.table(frame)["Diverged"].sum() == 2


@pytest.mark.parametrize("name", FIGURES)
def test_what_the_results_lack_is_left_out_and_named(seeds, name):
    """Of a frame with the run of the cross-entropy sweep alone, nothing can be drawn."""
    with pytest.raises(NothingToDraw, match="the results hold no"):
        FIGURES[name](seeds[0][seeds[0]["run"] == "cross-entropy"].drop(columns="confusion"))


@pytest.mark.parametrize("name", FIGURES)
def test_mixed_data_sets_are_refused(seeds, name):
    mixed = results.combine([seeds[0], seeds[1].assign(dataset="digits")])
    with pytest.raises(ValueError, match=r"several values of dataset \(mnist, digits\)"):
        FIGURES[name](mixed)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_which_every_run_diverged_are_drawn(frame, name):
    measures = [name for name in frame if name.endswith(("_metric", "_loss"))]
    lost = frame.assign(status="diverged", diverged_step=1, **dict.fromkeys(measures, math.nan))
    FIGURES[name](lost)._repr_png_()


def test_what_texts_leave_out_is_the_estimator_s_default():
    defaults = {name: signature(LogitEvolution).parameters[name].default for name in run_selection._DEFAULTS}
    assert defaults == run_selection._DEFAULTS
    known = run_selection._settings(repr(LogitEvolution(Likelihood(), 1.5)))
    assert known == {"objective": "likelihood", "sigma": 1.5, "samples": 200, "antithetic": False}
