import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_baseline_runs import origin
from fake_noisy_runs import EXPERIMENT, PLAN, fake_run, fake_seed
from shown import assert_within_its_page, lines, texts

from common import results
from common.experiments.noisy_gradients import figures as noisy_gradients
from common.experiments.noisy_gradients.run_selection import prepared
from common.plotting import draw as redrawing
from common.plotting import style
from common.plotting.curves import NothingToDraw

ROOT = Path(results.__file__).parents[2]
NAMES = [*noisy_gradients.FIGURES]
# By hand from what the fakes say of the runs without noise, η = 0.01: B = 400 and 500, tr H = 40 and 50, P = 34,826.
PREDICTED_SIGMA = (math.sqrt(2 / 4) + math.sqrt(2 / 5)) / 2
THRESHOLDS = {  # of a full batch: 0.01 · 40 / (2 P) and 0.01 · 50 / (2 P); a minibatch of b has 1 + B/b times its ‖g‖²
    batch: (0.4 * (1 + 400 / batch) + 0.5 * (1 + 500 / batch)) / 2 / (2 * 34_826) for batch in (500, 32)
}


@pytest.fixture(scope="module")
def seeds():
    """The frames of two complete seeds."""
    return [fake_seed(0), fake_seed(1)]


@pytest.fixture
def frame(seeds):
    return results.combine(seeds)


def means(frame, value, **conditions):
    """Mean over the seeds of each run's last value, by run; the conditions are on the columns that the figures add."""
    rows = prepared(results.last_rows(frame))
    for name, wanted in conditions.items():
        rows = rows[rows[name] == wanted]
    return rows.groupby("run")[value].mean()


def without(frame, word):
    return frame[~frame["run"].str.contains(word, regex=False)]


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_drawn_within_its_page_and_says_its_seeds(frame, name):
    frame.attrs["missing"] = ["seed2.parquet"]
    figure = noisy_gradients.FIGURES[name](frame)
    assert_within_its_page(figure)
    assert figure.get_figwidth() in (style.SINGLE_COLUMN, style.DOUBLE_COLUMN)
    for words in (texts(figure), figure.caption):
        assert "Pale: single seeds; full: mean of 2 seeds." in words
        assert "INCOMPLETE: 1 of 1 result files missing" in words
    assert "MNIST (convnet)" in figure.caption


def test_drawing_needs_neither_tensorflow_nor_pyplot(seeds, tmp_path):
    for seed, runs in enumerate(seeds):
        results.write(runs, tmp_path / "results" / EXPERIMENT / f"seed{seed}.parquet", origin(seed))
    code = (
        "import sys\nfrom common.experiments.__main__ import main\n"
        f"code = main(['{EXPERIMENT}', '--results', sys.argv[1], '--figures', sys.argv[2]])\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib.pyplot') if name in sys.modules], code)"
    )
    folders = [tmp_path / "results", tmp_path / "figures"]
    done = subprocess.run([sys.executable, "-c", code, *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"
    wrote = {f"{name}{ending}" for name in NAMES for ending in (".pdf", ".png", ".txt")}
    wrote |= {f"{name}.tex" for name in noisy_gradients.TABLES}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == wrote


def test_curves_show_the_reference_noise_and_the_recovery(frame):
    axes = noisy_gradients.curves(frame).axes[0]
    assert list(lines(axes)) == ["σ = 1", "σ = 1, recovered"]
    assert "Recovered: steps are" in noisy_gradients.curves(frame).caption
    expected = 100 * (1 - means(frame, "validation_metric")["full: σ = 1"])
    assert lines(axes)["σ = 1"].get_ydata()[-1] == pytest.approx(expected)


def test_sigma_sweep_with_prediction_source_and_the_run_without_noise(frame):
    figure = noisy_gradients.sigmas(frame)
    curves = lines(figure.axes[0])
    assert set(curves) == {"batch 32, 1 epoch", "batch 500, 15 epochs", "no noise", "source", "predicted: noise wins"}
    sweep = curves["batch 32, 1 epoch"]
    assert sweep.get_xdata() == pytest.approx([0.01, 0.03, 0.1, 0.3, 1, 2, 5, 10])
    test = 100 * (1 - means(frame, "test_metric"))
    assert sweep.get_ydata()[[0, 4, 7]] == pytest.approx(test[["σ = 0.01", "nothing done", "σ = 10"]].to_numpy())
    assert curves["no noise"].get_ydata() == pytest.approx([test["σ = 0"]] * 2)
    assert curves["predicted: noise wins"].get_xdata() == pytest.approx([PREDICTED_SIGMA] * 2)
    assert curves["source"].get_xydata() == pytest.approx(np.array([[1, 19.28]]))
    assert curves["batch 500, 15 epochs"].get_xydata() == pytest.approx(np.array([[1, test["full: σ = 1"]]]))
    assert "σ² = 2/(ηB)" in figure.caption
    by_seed = [
        line.get_xdata()[0] for line in figure.axes[0].lines if list(line.get_ydata()) == [0, 1] and line.get_alpha()
    ]
    assert by_seed == pytest.approx([math.sqrt(2 / 4), math.sqrt(2 / 5)])


def test_source_is_of_mnist_alone(frame):
    assert "source" not in lines(noisy_gradients.sigmas(frame.assign(dataset="digits")).axes[0])


def test_without_a_noise_scale_nothing_is_predicted(frame):
    unmeasured = frame.drop(columns=["noise_scale", "gradient_variance"])
    figure = noisy_gradients.sigmas(unmeasured)
    assert "predicted: noise wins" not in lines(figure.axes[0])
    assert "Dotted" not in figure.caption
    figure = noisy_gradients.signal_to_noise(unmeasured)
    assert "below: noise undoes the step" not in texts(figure)
    assert "Dashed" not in figure.caption


def test_signal_to_noise_over_training_against_sigma_and_the_cosines(frame):
    figure = noisy_gradients.signal_to_noise(frame)
    left, middle, right = figure.axes
    below = "below: noise undoes the step"
    assert set(lines(left)) == {"σ = 1", below}  # of the recovery the ratio would count amplification
    assert set(lines(middle)) == {"at the end of the run", below}
    assert list(lines(right)) == ["σ = 1", "σ = 1, recovered"]
    for axes, batch in ((left, 500), (middle, 32)):
        assert lines(axes)[below].get_ydata() == pytest.approx([THRESHOLDS[batch]] * 2)
        assert lines(axes)[below].get_linestyle() == "--"
        assert axes.get_ylabel() == "Signal-to-noise ratio, log scale"
        by_seed = [line.get_ydata()[0] for line in axes.lines if line.get_alpha() and len(set(line.get_ydata())) == 1]
        assert np.mean(by_seed) == pytest.approx(THRESHOLDS[batch])
    assert [axes.get_title() for axes in figure.axes] == [
        "batch 500, 15 epochs",
        "batch 32, 1 epoch",
        "batch 500, 15 epochs",
    ]
    ratio, cosine = means(frame, "signal_to_noise"), means(frame, "cosine")
    measured = lines(middle)["at the end of the run"]
    assert measured.get_xdata() == pytest.approx([0.01, 0.03, 0.1, 0.3, 1, 2, 5, 10])
    assert measured.get_ydata()[[4, 7]] == pytest.approx(ratio[["nothing done", "σ = 10"]].to_numpy())
    assert lines(left)["σ = 1"].get_ydata()[-1] == pytest.approx(ratio["full: σ = 1"])
    assert lines(right)["σ = 1, recovered"].get_ydata()[-1] == pytest.approx(cosine["full: σ = 1, recovered"])
    assert "Left" in figure.caption
    assert "Middle" in figure.caption
    assert "Right: cosine" in figure.caption


def test_remedies_are_ranked_with_the_best_on_top(frame):
    axes = noisy_gradients.remedies(frame).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    errors = 100 * (1 - means(frame, "validation_metric"))
    assert list(errors[names]) == sorted(errors[names], reverse=True)  # the lowest row has the first tick
    assert {"nothing done", "average 0.99", "annealed, η = 1", "server alone: 200 examples, no noise"} <= set(names)
    assert not [name for name in names if name.startswith(("σ", "batch", "full")) or "air" in name]
    same, other = (line for line in axes.lines if line.get_marker() == "o" and not line.get_alpha())
    assert other.get_markerfacecolor() == "white"
    assert len(other.get_xdata()) == 5  # three annealed, one relative, the server alone
    assert len(same.get_xdata()) + 5 == len(names)
    assert axes.lines[-1].get_xdata() == pytest.approx([errors["nothing done"]] * 2)


def test_tuned_remedies_are_ranked_by_test_error_and_say_how_many_rates_were_tried(frame):
    figure = noisy_gradients.tuned(frame)
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    errors = 100 * (1 - means(frame, "test_metric", group="tuned"))
    drawn = [errors[f"tuned: {name}"] for name in names]
    assert drawn == sorted(drawn, reverse=True)
    assert len(names) == 4
    same, other = (line for line in axes.lines if line.get_marker() == "o" and not line.get_alpha())
    assert other.get_xdata() == pytest.approx([errors["tuned: server alone, rate → 0"]])
    assert len(same.get_xdata()) == 3
    assert "is the best of" not in figure.caption
    trials = [
        fake_run("nothing done", 100).assign(group="trial", run=f"trial {number}", trial_of="tuned: nothing done")
        for number in range(4)
    ]
    with_trials = noisy_gradients.tuned(results.combine([frame, *trials]))
    assert "is the best of 4 on validation data" in with_trials.caption
    assert [label.get_text() for label in with_trials.axes[0].get_yticklabels()] == names


def test_batch_sizes_and_learning_rates(frame):
    axes = noisy_gradients.batch_sizes(frame).axes[0]
    errors = 100 * (1 - means(frame, "validation_metric"))
    rows = {
        "batch 32, rate 0.003 → 0": "rate 0.003 → 0",
        "batch 32, rate 0.003": "rate 0.003",
        "batch 512, rate 0.01": "batch 512",
        "batch 32, rate 0.01": "nothing done",
    }
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 6
    (drawn,) = (
        line for line in axes.lines if line.get_marker() == "o" and not line.get_alpha() and len(line.get_xdata())
    )
    for name, run in rows.items():
        assert drawn.get_xdata()[names.index(name)] == pytest.approx(errors[run])
    assert names[-1] == "batch 32, rate 0.01"  # the run that the others vary is on top


def test_subspaces_by_kind_beside_the_run_without_one(frame):
    curves = lines(noisy_gradients.subspaces(frame).axes[0])
    errors = 100 * (1 - means(frame, "validation_metric"))
    kinds = ["random, kept, rate 0.01", "random, redrawn, rate 0.01", "public gradients, rate 0.005"]
    assert [name for name in curves if name in kinds] == kinds
    assert curves[kinds[0]].get_xdata() == pytest.approx([100, 1000, 10_000])
    assert curves[kinds[1]].get_xydata() == pytest.approx(
        np.array([[1000, errors["subspace d = 1000, redrawn, rate → 0"]]])
    )
    assert curves[kinds[2]].get_xdata() == pytest.approx([5, 20])
    assert curves["no subspace, rate 0.01"].get_ydata() == pytest.approx([errors["rate 0.01 → 0"]] * 2)


def test_over_the_air_by_devices_and_shares(frame):
    axes = noisy_gradients.over_the_air(frame).axes[0]
    curves = lines(axes)
    assert list(curves) == ["4 devices", "16 devices", "16 devices, skewed shares"]
    errors = 100 * (1 - means(frame, "validation_metric"))
    lower = [
        errors[f"1 over the air, {level} dB"] - errors[f"16 over the air, {level} dB, skewed"] for level in (-20, 0)
    ]
    assert curves["16 devices, skewed shares"].get_ydata() == pytest.approx(lower)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["-20", "0"]
    assert curves["16 devices, skewed shares"].get_color() == curves["16 devices"].get_color()


def test_table_has_every_setting_in_the_order_of_the_plan(frame):
    table = noisy_gradients.table(frame)
    assert list(table["Setting"]) == [name for name in PLAN if not name.startswith("tuned: ")]
    tuned = noisy_gradients.tuned_table(frame)
    assert [f"tuned: {name}" for name in tuned["Setting"]] == [name for name in PLAN if name.startswith("tuned: ")]
    row = table[table["Setting"] == "σ = 10"].iloc[0]
    values = 100 * (1 - results.last_rows(frame).query("run == 'σ = 10'")["test_metric"])
    assert row["Test error (%)"] == f"{values.mean():.2f} ± {values.std():.2f}"
    assert (row["Seeds"], row["Diverged"]) == (2, 0)


def test_diverged_runs_are_counted_and_in_no_mean(seeds):
    lost = fake_seed(1, diverge=("σ = 10", "momentum 0.9", "full: σ = 1"))
    frame = results.combine([seeds[0], lost])
    alone = 100 * (1 - means(seeds[0], "test_metric"))
    figure = noisy_gradients.sigmas(frame)
    assert "1 of 2 diverged" in texts(figure)
    assert "2 diverged runs (cross) are in no mean." in figure.caption
    assert lines(figure.axes[0])["batch 32, 1 epoch"].get_ydata()[-1] == pytest.approx(alone["σ = 10"])
    assert "1 diverged run (cross) is in no mean" in texts(noisy_gradients.curves(frame))
    assert noisy_gradients.table(frame)["Diverged"].sum() == 3


def test_remedy_of_which_every_run_diverged_stands_last_and_says_so(frame):
    lost = results.combine(
        [without(frame, "momentum"), *(fake_run("momentum 0.9", seed, diverge=1) for seed in (0, 1))]
    )
    figure = noisy_gradients.remedies(lost)
    assert figure.axes[0].get_yticklabels()[0].get_text() == "momentum 0.9"
    assert "2 of 2 diverged" in texts(figure)
    figure._repr_png_()


def test_sigma_at_which_every_run_diverged_is_on_the_axis(frame):
    lost = results.combine([without(frame, "σ = 10"), *(fake_run("σ = 10", seed, diverge=1) for seed in (0, 1))])
    axes = noisy_gradients.sigmas(lost).axes[0]
    assert axes.get_xlim()[1] > 10
    assert "2 of 2 diverged" in [text.get_text() for text in axes.texts]


def test_one_seed_has_no_spread(seeds):
    for name, make in noisy_gradients.FIGURES.items():
        assert "One seed." in make(seeds[0]).caption, name
    assert "±" not in " ".join(noisy_gradients.table(seeds[0])["Test error (%)"])


LACKING = {
    "nothing done": ("02_noisy_sigma", "no run 'nothing done'"),
    "full": ("02_noisy_curves", "no run of the full budget"),
    "d = ": ("02_noisy_subspace", "no run in a subspace"),
    "tuned": ("02_noisy_tuned", "no remedies with tuned rates"),
    "air": ("02_noisy_over_the_air", "no over-the-air runs"),
    "full: σ = 1": ("02_noisy_signal_to_noise", "no measured signal_to_noise of noisy runs"),
}


@pytest.mark.parametrize(("word", "figure", "sentence"), [(word, *rest) for word, rest in LACKING.items()])
def test_what_the_results_lack_is_left_out_and_named(seeds, tmp_path, capsys, word, figure, sentence):
    path = tmp_path / "results" / EXPERIMENT / "all.parquet"
    results.write(without(seeds[0], word), path, origin(0))
    figures = {figure: noisy_gradients.FIGURES[figure]}
    assert redrawing.redraw(EXPERIMENT, tmp_path / "results", tmp_path, drawings=redrawing.Drawings(figures, {})) == []
    assert f"left out {figure}: the results hold {sentence}" in capsys.readouterr().out


def test_one_batch_size_and_rate_or_one_remedy_is_no_comparison():
    only = results.combine([fake_run("nothing done", 0)])
    with pytest.raises(NothingToDraw, match="one batch size and one learning rate only"):
        noisy_gradients.batch_sizes(only)
    with pytest.raises(NothingToDraw, match="no remedies with tuned rates"):
        noisy_gradients.tuned(only)
    with pytest.raises(NothingToDraw, match="no remedies with tuned rates"):
        noisy_gradients.tuned_table(only)
    with pytest.raises(NothingToDraw, match="no remedies at the reference noise"):
        noisy_gradients.remedies(only)


@pytest.mark.parametrize("make", noisy_gradients.FIGURES.values(), ids=NAMES)
def test_mixed_data_sets_are_refused(seeds, make):
    mixed = results.combine([seeds[0], seeds[1].assign(dataset="digits")])
    with pytest.raises(ValueError, match=r"several values of dataset \(mnist, digits\)"):
        make(mixed)
