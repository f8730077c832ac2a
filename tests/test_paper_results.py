"""The committed results of the paper's settings: complete, made by committed code, and within their bands."""

import re
from pathlib import Path

import pytest

from common import results
from common.plotting import baseline_sgd
from workflow.experiments import RESULT, select

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def baseline():
    expected = [ROOT / job.path(RESULT) for job in select("paper", ["01_baseline_sgd"])]
    frame = results.read(expected, expected)
    assert not frame.attrs["missing"]
    return frame


def test_every_run_finished_from_clean_code_on_the_published_data(baseline):
    assert set(baseline["status"]) == {"finished"}
    assert baseline["seed"].nunique() >= 2
    for made in baseline.attrs["provenance"]:
        assert made["dirty"] is False
        assert re.fullmatch("[0-9a-f]{40}", made["commit"])
        assert made["data_checksum"].startswith("06b0d1f124c4")  # MNIST as published


@pytest.mark.parametrize(
    ("setting", "least"),
    [
        ({"trainer": "keras_fit", "batch_size": 128}, 0.970),  # the source: 97.42 %
        ({"trainer": "loop", "batch_size": 64, "scaled": False, "dropout": False}, 0.978),  # 98.01 %
        ({"trainer": "loop", "batch_size": 128, "scaled": False, "dropout": False}, 0.970),
        ({"trainer": "loop", "batch_size": 500, "scaled": False, "dropout": False}, 0.940),  # 94.32 %
        ({"trainer": "loop", "batch_size": 500, "scaled": True, "dropout": False}, 0.970),
    ],
)
def test_mean_test_accuracy_reaches_the_source(baseline, setting, least):
    by = ["trainer", "batch_size", "scaled", "dropout"]
    table = results.summarize(baseline, by)
    for name, value in setting.items():
        table = table[table[name] == value]
    assert len(table) == 1
    assert table["mean"].item() >= least


def test_readme_shows_the_stored_numbers(baseline):
    """Every accuracy in README's table is recomputed from the result files."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"\d+\.\d+ ± \d+\.\d+", readme)
    accuracies = baseline_sgd.table(baseline)["Test accuracy (%)"]
    stored = [text.replace(r" $\pm$ ", " ± ") for text in accuracies]
    assert sorted(shown) == sorted(stored)
