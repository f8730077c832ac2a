import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_baseline_runs import origin
from fake_hessian_runs import CAUSES, EXPERIMENT, MEASURED, METHODS, PLAN, fake_run, fake_seed, fake_trials, fake_walk
from shown import assert_within_its_page, lines, texts

from common import results
from common.experiments.low_rank_hessian import figures as low_rank_hessian
from common.plotting import style
from common.plotting.curves import NothingToDraw

ROOT = Path(results.__file__).parents[2]
NAMES = [*low_rank_hessian.FIGURES]


@pytest.fixture(scope="module")
def seeds():
    return [fake_seed(0), fake_seed(1)]


@pytest.fixture
def frame(seeds):
    frame = results.combine([*seeds, fake_trials()])
    frame.attrs["measurements"] = [MEASURED, MEASURED]
    return frame


def last(frame, run, column):
    rows = results.last_rows(frame)
    return rows.loc[rows["run"] == run, column].astype(float)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_drawn_within_its_page(frame, name):
    frame.attrs["missing"] = ["seed2.parquet"]
    figure = low_rank_hessian.FIGURES[name](frame)
    assert_within_its_page(figure)
    assert figure.get_figwidth() in (style.SINGLE_COLUMN, style.DOUBLE_COLUMN)
    assert "INCOMPLETE: 1 of 1 result files missing" in figure.caption


def test_drawing_needs_neither_tensorflow_nor_pyplot(seeds, tmp_path):
    for seed, runs in enumerate([results.combine([seeds[0], fake_trials()]), seeds[1]]):
        results.write(runs, tmp_path / "results" / EXPERIMENT / f"seed{seed}.parquet", origin(seed), MEASURED)
    code = (
        "import sys\nfrom common.experiments.__main__ import main\n"
        f"code = main(['{EXPERIMENT}', '--results', sys.argv[1], '--figures', sys.argv[2]])\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib.pyplot') if name in sys.modules], code)"
    )
    folders = [tmp_path / "results", tmp_path / "figures"]
    done = subprocess.run([sys.executable, "-c", code, *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"
    wrote = {f"{name}{ending}" for name in NAMES for ending in (".pdf", ".png", ".txt")}
    wrote |= {f"{name}.tex" for name in low_rank_hessian.TABLES}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == wrote


def test_curves_show_every_method_against_three_measures(frame):
    panels = low_rank_hessian.curves(frame).axes
    assert panels[0].get_xlabel() == "Epochs, log scale"
    assert list(lines(panels[0])) == list(METHODS)
    expected = 100 * (1 - last(frame, "Adam", "validation_metric")).mean()
    assert lines(panels[0])["Adam"].get_ydata()[-1] == pytest.approx(expected)
    assert lines(panels[1])["Adam"].get_xdata()[-1] == pytest.approx(4)  # 55,000 gradients of one example an epoch
    assert lines(panels[2])["Adam"].get_xdata()[-1] == pytest.approx(4 * 42.0)


def test_a_method_far_above_all_others_is_named_and_leaves_the_axis_to_them(frame):
    assert "Above the panels" not in low_rank_hessian.curves(frame).caption
    far = frame.copy()
    method = "Newton, conjugate gradients"
    far.loc[far["run"] == method, "validation_metric"] = 0.2
    figure = low_rank_hessian.curves(far)
    assert f"Above the panels: {method}, at a mean of 80.0 % after epoch 1 and 80.0 % after epoch 4." in figure.caption
    others = far[(far["group"] == "full") & (far["run"] != method)]
    assert figure.axes[0].get_ylim()[1] == pytest.approx(1.1 * 100 * (1 - others["validation_metric"].min()))
    assert figure.axes[2].get_xlim()[1] == pytest.approx(1.1 * others["seconds"].max())


def test_seconds_are_those_of_epochs_timed_in_turn(frame):
    full = (frame["run"] == "Adam") & (frame["group"] == "full")
    frame.loc[full, "timed_seconds"] = 7.0 * frame.loc[full, "epoch"]
    drawn = low_rank_hessian.curves(frame)
    assert lines(drawn.axes[2])["Adam"].get_xdata()[-1] == pytest.approx(28)
    assert "timed in turn" in drawn.caption
    table = low_rank_hessian.table(frame).set_index("Setting")["Seconds"]
    assert table["Adam"] == "28 ± 0"
    assert table["the recipe"] == "-"


def test_causes_stand_below_the_recipe(frame):
    axes = low_rank_hessian.causes(frame).axes[0]
    assert [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()] == list(CAUSES)[::-1]
    values = axes.lines[1].get_xdata()  # the means, above the seeds
    assert values[-1] == pytest.approx(100 * (1 - last(frame, "the recipe", "validation_metric")).mean())


def test_the_source_s_error_stands_in_the_row_of_its_settings(frame):
    figure = low_rank_hessian.causes(frame)
    assert figure.axes[0].lines[-1].get_xydata() == pytest.approx(np.array([[79.7, 0]]))
    assert "Diamond: the source's best, 79.7 %" in figure.caption
    assert "Diamond" not in low_rank_hessian.causes(frame.assign(dataset="digits")).caption


def test_causes_that_diverged_say_so(seeds):
    lost = results.combine([seeds[0], fake_seed(1, diverge=("γ damps",))])
    assert "1 of 2 diverged" in texts(low_rank_hessian.causes(lost))
    lost = results.combine([fake_seed(seed, diverge=("γ damps",)) for seed in (0, 1)])
    figure = low_rank_hessian.causes(lost)
    assert "2 of 2 diverged" in texts(figure)
    figure._repr_png_()


def test_sweeps_have_a_row_for_each_run_around_the_recipe(frame):
    axes = low_rank_hessian.sweeps(frame).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()][::-1]
    assert names[:2] == ["the recipe", "rank 5"]
    means = axes.lines[1].get_xdata()[::-1]
    for name, mean in zip(names, means, strict=True):
        assert mean == pytest.approx(100 * (1 - last(frame, name, "validation_metric")).mean())
    assert axes.lines[2].get_xdata()[0] == means[0]


def test_spectra_at_start_middle_and_end(frame):
    figure = low_rank_hessian.spectrum(frame)
    assert [axes.get_title() for axes in figure.axes] == ["start", "after epoch 2", "after epoch 4"]
    nodes = lines(figure.axes[1])["nodes"]
    assert nodes.get_xdata()[-3:] == pytest.approx(3 * np.array([2.0, 12.0, 40.0]))
    assert nodes.get_ydata()[-3:] == pytest.approx([1e-3, 1e-4, 1e-5])
    assert "Shaded: the scale is linear between -1 and 1." in figure.caption


def test_eigenvalues_fall_and_overlaps_are_read_back_from_json(frame):
    left, right = low_rank_hessian.eigenpairs(frame).axes
    assert lines(left)["start"].get_ydata() == pytest.approx([40, 12])  # the last are not converged
    assert lines(right)["after an epoch"].get_xydata() == pytest.approx(np.array([[1, 0.97], [50, 0.95]]))
    assert lines(left)["classes - 1"].get_xdata()[0] == 1


def test_spectra_are_tabulated_beside_the_number_of_classes(frame):
    """By hand: nodes -1.5, -1, 2, 12, 40 at the start, shares 1e-1 to 1e-5."""
    row = low_rank_hessian.spectra(frame).iloc[0]
    assert [row[name] for name in ("Epoch", "Largest", "No. 1", "No. 2", "No. 4")] == ["0", "40", "40", "12", "-1"]
    assert row["Most negative"] == "-1.5"
    mass = [0.15, 0.01, 0.002, 0.0012, 0.0004]
    assert float(row["Negative share of Σ|λ| (%)"]) == pytest.approx(100 * 0.16 / sum(mass), abs=0.06)


def test_paths_at_the_saddle(frame):
    _, right = low_rank_hessian.saddle(frame).axes
    loss = lines(right)["saddle-free Newton"].get_ydata()
    assert loss[0] == pytest.approx(0.5**2 / 2 + 0.005 * (1 - 0.014**2) ** 2)
    assert "μ = 0.02" in low_rank_hessian.saddle(frame).caption
    assert lines(right)["at the saddle"].get_ydata()[0] == pytest.approx(0.005)


def test_table_has_every_setting(frame):
    table = low_rank_hessian.table(frame)
    assert list(table["Setting"]) == list(PLAN)
    assert table.iloc[0]["Gradients of one example (thousands)"] == "220 ± 0"
    values = 100 * (1 - last(frame, "Adam", "test_metric"))
    assert table.iloc[2]["Test error (%)"] == f"{values.mean():.2f} ± {values.std():.2f}"
    assert table.iloc[0]["Runs"] == "full, 4 epochs"


def test_milestones_are_the_test_curve_s(frame):
    table = low_rank_hessian.milestones(frame).set_index("Setting")
    assert list(table.index) == list(METHODS)
    assert list(table.columns) == [f"Epoch {epoch}" for epoch in range(1, 5)]
    rows = frame[(frame["run"] == "Adam") & (frame["epoch"] == 3)]
    values = 100 * (1 - rows["curve_test_metric"])
    assert table.loc["Adam", "Epoch 3"] == f"{values.mean():.2f} ± {values.std():.2f}"


def test_milestones_leave_out_what_diverged(seeds):
    lost = results.combine([seeds[0], fake_seed(1, diverge=("Adam",))])
    table = low_rank_hessian.milestones(lost).set_index("Setting")
    rows = seeds[0][(seeds[0]["run"] == "Adam") & (seeds[0]["epoch"] == 1)]
    assert table.loc["Adam", "Epoch 1"] == f"{100 * (1 - rows['curve_test_metric'].iloc[0]):.2f}"


def test_seconds_to_a_target_are_compared_seed_by_seed(frame):
    """By hand: errors of 40 and 20 % after epochs of 10 s; 20 √2 % lies half way, in logarithms, between them.

    The other method takes two and eight times as long: geometric mean 4, t interval of the logarithms (two seeds,
    t = 12.706) 4 · 2^±12.706.
    """
    full = frame[frame["group"] == "full"]
    runs = full[full["run"].isin(["Adam", "saddle-free Newton"]) & full["epoch"].isin([1, 2])].copy()
    runs["validation_metric"] = runs["epoch"].map({1: 0.6, 2: 0.8})
    factors = runs["seed"].map({0: 2.0, 1: 8.0}).where(runs["run"] != "Adam", 1.0)
    runs["seconds"] = 10.0 * runs["epoch"] * factors
    runs.attrs["measurements"] = [{"target_accuracies": [1 - 0.2 * np.sqrt(2), 0.99]}]
    table = low_rank_hessian.times(runs).set_index("Setting")
    assert list(table.columns) == ["Seconds to 28.3 %", "Ratio at 28.3 %", "Seconds to 1 %", "Ratio at 1 %"]
    assert table.loc["Adam"].to_list() == ["15 ± 0", "1", "-", "-"]
    spread = f"{75:.0f} ± {np.std([30, 120], ddof=1):.0f}"
    assert table.loc["saddle-free Newton"].to_list()[::3] == [spread, "-"]
    low, high = 4 * 2.0**-12.706, 4 * 2.0**12.706
    shown = table.loc["saddle-free Newton", "Ratio at 28.3 %"]
    assert shown.startswith(f"4.00 [{low:.2f}, ")
    assert float(shown.rpartition(", ")[2].rstrip("]")) == pytest.approx(high, rel=1e-3)


def test_seeds_that_missed_a_target_are_counted(frame):
    runs = frame[(frame["group"] == "full") & (frame["run"] == "Adam")].copy()
    runs["validation_metric"] = runs["seed"].map({0: 0.99, 1: 0.5})
    runs.attrs["measurements"] = [{"target_accuracies": [0.985]}]
    assert low_rank_hessian.times(runs)["Seconds to 1.5 %"].item().endswith("(1 of 2)")
    with pytest.raises(NothingToDraw, match="no validation error after known seconds"):
        low_rank_hessian.times(runs.assign(seconds=np.nan))


def test_rates_were_chosen_where_there_were_trials(frame):
    assert "was chosen on validation data" in low_rank_hessian.curves(frame).caption
    table = low_rank_hessian.trials(frame).set_index("Setting")
    assert list(table.columns) == ["Lowest rate", "× 1", "× 2", "Chosen"]
    assert table.loc["Adam"].to_list() == ["0.001", "3.00", "1.75", "0.002"]
    assert table.loc["saddle-free Newton"].to_list() == ["0.01", "4.00", "diverged", "0.01"]
    untried = frame[frame["group"] != "trial"]
    assert "was chosen" not in low_rank_hessian.curves(untried).caption
    with pytest.raises(NothingToDraw, match="no trial"):
        low_rank_hessian.trials(untried)


def test_one_seed_has_no_spread(seeds):
    for make in (low_rank_hessian.curves, low_rank_hessian.causes, low_rank_hessian.sweeps):
        assert "One seed." in make(seeds[0]).caption


@pytest.mark.parametrize("name", NAMES)
def test_what_the_results_lack_is_named(name):
    only = fake_walk("saddle: gradient descent", 0) if name != "05_hessian_saddle" else fake_run("rank 5", 0)
    with pytest.raises(NothingToDraw, match="the results hold no"):
        low_rank_hessian.FIGURES[name](only)
