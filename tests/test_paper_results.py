"""The committed results of the paper's settings: complete, made by committed code, and within their bands."""

import re
from pathlib import Path

import pytest

from common import results
from common.plotting import baseline_sgd, optimizers
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


@pytest.fixture(scope="module")
def optimizer_runs():
    expected = [ROOT / job.path(RESULT) for job in select("paper", ["03_optimizers_from_scratch"])]
    frame = results.read(expected, expected)
    assert not frame.attrs["missing"]
    for made in frame.attrs["provenance"]:
        assert made["dirty"] is False
        assert re.fullmatch("[0-9a-f]{40}", made["commit"])
        assert made["data_checksum"].startswith("fb857230bbf9")  # Boston housing as published
    return frame


@pytest.mark.parametrize(
    ("method", "most"),
    [("clipping", 49.35), ("momentum", 29.12), ("Adam, clipped", 28.04), ("Adam", 29.34)],
)
def test_median_lowest_test_error_is_no_worse_than_the_source(optimizer_runs, method, most):
    values = optimizers.run_values(optimizer_runs)
    runs = values[(values.method == method) & (values.features == "raw")]
    assert runs["seed"].nunique() >= 5
    assert runs["lowest"].median() <= most


def test_minibatches_stay_behind_the_single_run_of_the_source(optimizer_runs):
    """30.62, which none of these seeds reaches; README says so."""
    values = optimizers.run_values(optimizer_runs)
    runs = values[(values.method == "minibatches") & (values.features == "raw")]
    assert 30.62 < runs["lowest"].median() <= 36


def test_the_largest_rate_kills_all_hidden_units(optimizer_runs):
    values = optimizers.run_values(optimizer_runs)
    runs = values[(values.method == "gradient descent") & (values.learning_rate == 0.001)]
    assert (runs["dead_units"] == 4).all()


def test_the_network_chosen_on_standardised_features(optimizer_runs):
    values = optimizers.run_values(optimizer_runs)
    method, hidden = optimizers.chosen_network(optimizer_runs)
    runs = values[values.cosine & (values.method == method) & (values.hidden == hidden)]
    assert runs["seed"].nunique() >= 5
    assert runs["last"].mean() <= 15


def test_readme_shows_the_stored_optimizers(optimizer_runs):
    """Every row of README's table is recomputed from the result files."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Optimizers from scratch")[1].split("\n## ")[0]
    shown = [line for line in section.splitlines() if "±" in line and line.startswith("|")]
    assert shown == optimizers.readme_rows(optimizer_runs)
