import math
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from fake_baseline_runs import EXPERIMENT, fake_run, fake_seed, origin
from shown import assert_within_its_page, texts

from common import results
from common.experiments import __main__ as command
from common.experiments.baseline_sgd import figures as baseline_sgd
from common.plotting import draw as redrawing
from common.plotting import style
from common.plotting.curves import NothingToDraw

ROOT = Path(results.__file__).parents[2]
NAMES = [*baseline_sgd.FIGURES]


def redraw(results_folder, figures_folder, expected, name):
    drawings = redrawing.Drawings({name: baseline_sgd.FIGURES[name]}, baseline_sgd.TABLES)
    return redrawing.redraw(EXPERIMENT, results_folder, figures_folder, expected, drawings=drawings)


def test_import_is_light_and_without_tensorflow():
    code = (
        "import sys, common.plotting, common.results\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_drawing_needs_neither_tensorflow_nor_pyplot(folder, tmp_path):
    code = (
        "import sys\nfrom common.experiments.__main__ import main\n"
        f"code = main(['{EXPERIMENT}', '--results', sys.argv[1], '--figures', sys.argv[2]])\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib.pyplot') if name in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path / "figures"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"
    wrote = {f"{name}{ending}" for name in NAMES for ending in (".pdf", ".png", ".txt")} | {"01_baseline_table.tex"}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == wrote


def test_redrawing_gives_the_same_bytes(frame, tmp_path):
    for folder in ("one", "two"):
        style.save(baseline_sgd.dropout(frame), tmp_path / folder, "figure", frame)
    for ending in ("pdf", "png", "txt"):
        assert (tmp_path / f"one/figure.{ending}").read_bytes() == (tmp_path / f"two/figure.{ending}").read_bytes()


def test_files_have_print_size_embedded_truetype_and_provenance(frame, tmp_path):
    pdf, png, caption = style.save(baseline_sgd.noise_scale(frame), tmp_path, "figure", frame)
    content = pdf.read_bytes()
    width = float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", content)[1])
    assert width == pytest.approx(72 * style.SINGLE_COLUMN)
    assert b"/FontFile2" in content  # TrueType
    assert b"CreationDate" not in content
    for field in (b"0123456789abcdef0123456789abcdef01234567", b"seeds: 0, 1", EXPERIMENT.encode()):
        assert field in content
    assert matplotlib.image.imread(png).shape[1] == int(style.SINGLE_COLUMN * style.PNG_RESOLUTION)
    assert "Pale: single seeds; full: mean of 2 seeds." in caption.read_text()
    height = float(re.search(rb"/MediaBox \[ ?0 0 [\d.]+ ([\d.]+)", content)[1]) / 72
    assert matplotlib.image.imread(png).shape[0] > height * style.PNG_RESOLUTION  # the PDF is without a caption


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_shows_itself_and_says_its_seeds(frame, name):
    figure = baseline_sgd.FIGURES[name](frame)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "mean of 2 seeds" in texts(figure)
    assert "mean of 2 seeds" in figure.caption


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaves_the_figure(frame, name):
    frame.attrs["missing"] = ["seed2.parquet"]
    figure = baseline_sgd.FIGURES[name](frame)
    assert_within_its_page(figure)


def test_incomplete_set_says_so_on_the_figure(folder):
    (folder / EXPERIMENT / "seed7.parquet").write_bytes(b"torn")
    frame = results.read(folder, expected=[folder / EXPERIMENT / "seed5.parquet"])
    figure = baseline_sgd.dropout(frame)
    assert "INCOMPLETE: 1 of 4 result files missing, 1 unreadable" in texts(figure).replace("\n", " ")
    assert "INCOMPLETE" in figure.caption


def test_diverged_run_is_shown_and_counted():
    frame = results.combine([fake_seed(0), fake_seed(1, diverge=4)])
    assert "1 diverged run (cross) is in no mean" in texts(baseline_sgd.curves(frame)).replace("\n", " ")
    assert "1 of 2 diverged" in texts(baseline_sgd.batch_sizes(frame))
    table = baseline_sgd.table(frame)
    row = table[(table["Batch size"] == 2048) & (table["Rule"] == "scaled")].iloc[0]
    assert (row["Seeds"], row["Diverged"]) == (1, 1)


def test_table_has_the_source_beside_the_settings_it_tells_of(frame):
    table = baseline_sgd.table(frame)
    with_source = table[table["Source (%)"] != "-"]
    assert with_source[["Trainer", "Dropout", "Batch size", "Source (%)"]].to_numpy().tolist() == [
        ["Keras fit", "on", 128, "2.58"],
        ["own loop", "off", 64, "1.99"],
        ["own loop", "off", 500, "5.68"],
    ]
    assert "Source (%)" not in baseline_sgd.table(frame.assign(dataset="digits"))


def test_missing_family_is_named_and_its_stale_figure_removed(tmp_path, capsys):
    results.write(fake_seed(0, noise=False), tmp_path / "results" / EXPERIMENT / "all.parquet", origin(0))
    stale = tmp_path / "figures" / "01_baseline_noise_scale.pdf"
    stale.parent.mkdir()
    stale.write_text("of former results")
    written = redraw(tmp_path / "results", tmp_path / "figures", [], "01_baseline_noise_scale")
    assert "left out 01_baseline_noise_scale: the results hold no measured noise_scale" in capsys.readouterr().out
    assert not stale.exists()
    assert written == [tmp_path / "figures" / "01_baseline_table.tex"]


def test_only_keras_fit_gives_sentences():
    only = fake_run("keras_fit", 128, 0, dropout=True)
    for draw in (baseline_sgd.curves, baseline_sgd.dropout, baseline_sgd.noise_scale):
        with pytest.raises(NothingToDraw, match="the results hold"):
            draw(only)


def undefined(frame, where):
    """Return the frame without the noise scale where (seed, epoch) is one of the given."""
    lost = [pair in where for pair in zip(frame["seed"], frame["epoch"], strict=True)]
    return frame.assign(gradient_variance=frame["noise_scale"], noise_scale=frame["noise_scale"].mask(lost))


def noise_curve(figure):
    return next(line for line in figure.axes[0].lines if line.get_label() == "128")


def test_the_critical_batch_size_is_that_of_the_hyperbola():
    sizes = np.array([64, 128, 500, 2048])
    smallest, critical = baseline_sgd._hyperbola(pd.Series(50 * (1 + 300 / sizes), index=sizes))
    assert (smallest, critical) == (pytest.approx(50), pytest.approx(300))
    assert np.isnan(baseline_sgd._hyperbola(pd.Series([100.0, 50.0], index=[64, 128]))).all()


def test_steps_of_tuned_rates_are_shown_with_seeds_and_means(frame):
    (axes,) = baseline_sgd.steps(frame).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert all(re.fullmatch(r"[\d.]+ %: B = [\d,]+", label) for label in labels)
    assert len(labels) == len(baseline_sgd.TARGETS)
    with pytest.raises(NothingToDraw, match="tuned learning rates"):
        baseline_sgd.steps(frame[frame["group"] != "tuned rate"])


def test_trials_are_in_no_figure_and_no_table(frame):
    trial = frame[frame["group"] == "tuned rate"].assign(group="trial", seed=100)
    both = results.combine([frame, trial.assign(run="trial: " + trial["run"])])
    assert baseline_sgd.batch_sizes(both).caption == baseline_sgd.batch_sizes(frame).caption
    assert len(baseline_sgd.table(both)) == len(baseline_sgd.table(frame))


def test_undefined_noise_scales_are_counted_and_break_the_line_only_where_no_seed_has_one(frame):
    figure = baseline_sgd.noise_scale(undefined(frame, {(0, 3), (0, 9), (1, 9)}))
    note = "3 of 30 points are undefined: noise hides the gradient. There the mean is over the other seeds"
    assert note in texts(figure).replace("\n", " ")
    assert note in figure.caption
    drawn = noise_curve(figure).get_ydata()
    kept = frame.query("seed == 1 and epoch == 3")["noise_scale"].dropna().item()
    assert drawn[2] == pytest.approx(kept)
    assert [i for i, value in enumerate(drawn, 1) if math.isnan(value)] == [9]


def test_parts_of_the_noise_scale_are_averaged_before_they_are_divided(frame):
    lengths = frame["seed"].map({0: 1.0, 1: 3.0}).where(frame["noise_scale"].notna())
    parts = {"gradient_variance": frame["noise_scale"] * lengths, "gradient_norm_squared": lengths}
    figure = baseline_sgd.noise_scale(frame.assign(**parts))
    by_seed = frame.pivot_table(index="epoch", columns="seed", values="noise_scale")
    assert noise_curve(figure).get_ydata()[0] == pytest.approx((by_seed[0] + 3 * by_seed[1])[:3].mean() / 4)
    assert "full: both averaged over 2 seeds and 5 epochs." in figure.caption


def test_seed_whose_noise_scale_is_never_defined_is_counted(frame):
    figure = baseline_sgd.noise_scale(undefined(frame, {(0, epoch) for epoch in range(1, 16)}))
    assert "15 of 30 points are undefined" in figure.caption
    assert "mean of 2 seeds" in figure.caption


def test_defined_noise_scales_have_no_such_note(frame):
    assert "undefined" not in baseline_sgd.noise_scale(frame).caption
    only = baseline_sgd.noise_scale(undefined(fake_seed(0), {(0, 1)}))
    assert "1 of 15 points is undefined: noise hides the gradient." in only.caption
    assert "other seeds" not in only.caption


def test_source_markers_say_which_trainer_they_are_of(frame):
    figure = baseline_sgd.batch_sizes(frame)
    entries = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert entries[-2:] == ["source, Keras fit", "source, own loop"]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines[entries[-2]].get_xydata() == pytest.approx(np.array([[128, 100 - 97.42]]))
    assert lines[entries[-1]].get_xydata() == pytest.approx(np.array([[64, 100 - 98.01], [500, 100 - 94.32]]))


@pytest.mark.filterwarnings("error")
def test_figures_of_runs_that_all_diverged_are_drawn_without_a_warning():
    runs = [fake_run("keras_fit", 128, 0, dropout=True, diverge=2), fake_run("loop", 128, 0, noise=True, diverge=2)]
    frame = results.combine(runs)
    for draw in (baseline_sgd.curves, baseline_sgd.dropout, baseline_sgd.noise_scale):
        draw(frame)._repr_png_()


def test_drawable_returns_the_figures_there_are_and_names_the_others(capsys):
    frame = fake_seed(0, noise=False)
    (drawn,) = redrawing.drawable(frame, baseline_sgd.noise_scale, baseline_sgd.dropout)
    assert isinstance(drawn, style.PaperFigure)
    assert capsys.readouterr().out == "left out noise_scale: the results hold no measured noise_scale\n"
    assert redrawing.drawable(frame) == []


def test_drawable_hides_no_fault_of_the_results(frame):
    mixed = results.combine([frame, fake_seed(7).assign(precision="mixed_bfloat16")])
    with pytest.raises(ValueError, match="several values of precision"):
        redrawing.drawable(mixed, baseline_sgd.curves)


def test_mixed_precisions_are_refused(frame):
    mixed = results.combine([frame, fake_seed(7).assign(precision="mixed_bfloat16")])
    with pytest.raises(ValueError, match=r"several values of precision \(float32, mixed_bfloat16\)"):
        baseline_sgd.curves(mixed)


def test_figure_is_drawn_from_the_expected_files_alone(folder, tmp_path):
    figures = tmp_path / "figures"
    redraw(folder, figures, [folder / EXPERIMENT / "seed0.parquet"], "01_baseline_dropout")
    assert "One seed." in (figures / "01_baseline_dropout.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["01_baseline_sdg"], "unknown experiment '01_baseline_sdg'; did you mean '01_baseline_sgd'?"),
        ([EXPERIMENT, "--results", "nowhere"], "no result file could be read from nowhere"),
    ],
)
def test_command_fails_with_one_sentence(arguments, sentence, capsys):
    assert command.main(arguments) == 1
    assert sentence in capsys.readouterr().err
