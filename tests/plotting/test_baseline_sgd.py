import re
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.image
import pytest
from conftest import EXPERIMENT, fake_run, fake_seed, origin

from common import results
from common.plotting import __main__ as command
from common.plotting import baseline_sgd, redrawing, style
from common.plotting.learning_curves import NothingToDraw

ROOT = Path(results.__file__).parent.parent
NAMES = [*baseline_sgd.FIGURES]


def redraw(results_folder, figures_folder, expected, name):
    one = {name: baseline_sgd.FIGURES[name]}
    return redrawing.redraw(
        EXPERIMENT, results_folder, figures_folder, expected, figures=one, tabulate=baseline_sgd.TABLES
    )


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_import_is_light_and_without_tensorflow():
    code = (
        "import sys, common.plotting, common.results\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib.pyplot') if name in sys.modules])"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    print(f"import common.plotting, common.results: {seconds:.2f} s")
    assert done.stdout.strip() == "[]"
    assert seconds < 4  # aim: 2 on an idle machine


def test_drawing_needs_neither_tensorflow_nor_pyplot(folder, tmp_path):
    code = (
        "import sys\nfrom common.plotting.__main__ import main\n"
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
    for told in (b"0123456789abcdef0123456789abcdef01234567", b"seeds: 0, 1", EXPERIMENT.encode()):
        assert told in content
    assert matplotlib.image.imread(png).shape[1] == int(style.SINGLE_COLUMN * style.PNG_RESOLUTION)
    assert "Mean ± 1 standard deviation over 2 seeds." in caption.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_shows_itself_and_says_its_seeds(frame, name):
    figure = baseline_sgd.FIGURES[name](frame)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "over 2 seeds" in texts(figure)
    assert "over 2 seeds" in figure.caption


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaves_the_figure(frame, name):
    frame.attrs["missing"] = ["seed2.parquet"]
    figure = baseline_sgd.FIGURES[name](frame)
    figure._repr_png_()  # lays it out
    box, page = figure.get_tightbbox(), figure.bbox_inches
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= page.x1 + 0.01
    assert box.y1 <= page.y1 + 0.01


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
    row = table[(table["Batch size"] == 2048) & table["Learning rate"].str.contains("scaled")].iloc[0]
    assert (row["Seeds"], row["Diverged"]) == (1, 1)


def test_table_has_the_source_beside_the_settings_it_tells_of(frame):
    table = baseline_sgd.table(frame)
    told = table[table["Source (%)"] != "-"]
    assert told[["Trainer", "Dropout", "Batch size", "Source (%)"]].to_numpy().tolist() == [
        ["Keras fit", "on", 128, "97.42"],
        ["own loop", "off", 64, "98.01"],
        ["own loop", "off", 500, "94.32"],
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
