"""The committed results of the paper's settings: complete, made by committed code, and within their bands."""

import re
from pathlib import Path

import pytest

from common import results
from common.plotting import baseline_sgd, noisy_gradients
from workflow.experiments import RESULT, select

ROOT = Path(__file__).resolve().parents[1]


def _stored(experiment):
    expected = [ROOT / job.path(RESULT) for job in select("paper", [experiment])]
    frame = results.read(expected, expected)
    assert not frame.attrs["missing"]
    return frame


@pytest.fixture(scope="module")
def baseline():
    return _stored("01_baseline_sgd")


@pytest.fixture(scope="module")
def noisy():
    return _stored("02_noisy_gradients")


@pytest.mark.parametrize(("experiment", "seeds"), [("01_baseline_sgd", 2), ("02_noisy_gradients", 3)])
def test_every_run_is_from_clean_code_on_the_published_data(experiment, seeds):
    frame = _stored(experiment)
    assert frame["seed"].nunique() >= seeds
    for made in frame.attrs["provenance"]:
        assert made["dirty"] is False
        assert re.fullmatch("[0-9a-f]{40}", made["commit"])
        assert made["data_checksum"].startswith("06b0d1f124c4")  # MNIST as published


def test_every_baseline_run_finished(baseline):
    assert set(baseline["status"]) == {"finished"}


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


def _accuracy(frame, setting):
    rows = results.summarize(frame, ["setting"]).set_index("setting").loc[setting]
    assert rows["diverged"] == 0
    return rows


def test_the_source_s_noise_costs_what_the_source_says(noisy):
    assert 0.77 <= _accuracy(noisy, "full: σ = 1")["mean"] <= 0.85  # 80.72 % there


def test_the_recovery_beats_the_noise_and_what_the_server_learns_alone(noisy):
    recovered = _accuracy(noisy, "full: σ = 1, recovered")["mean"]
    assert recovered > _accuracy(noisy, "full: σ = 1")["mean"] + 0.05
    assert recovered > _accuracy(noisy, "server alone: 200 examples, no noise")["mean"] + 0.05


@pytest.mark.xfail(strict=True, reason="the aim of 90 % is not reached yet; README says what is")
def test_the_recovery_reaches_its_aim(noisy):
    assert _accuracy(noisy, "full: σ = 1, recovered")["mean"] >= 0.90


def test_little_noise_is_not_distinguishable_from_none(noisy):
    none, little = (_accuracy(noisy, f"σ = {sigma}") for sigma in ("0", "0.01"))
    assert abs(none["mean"] - little["mean"]) <= max(none["std"], little["std"])


def _shown(section):
    """Every "a ± b" of a section of README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    text = readme.split(f"### {section}")[1].split("\n## ")[0].split("\n### ")[0]
    return re.findall(r"\d+\.\d+ ± \d+\.\d+", text)


def test_readme_shows_the_stored_numbers(baseline):
    """Every accuracy in README's table is recomputed from the result files."""
    assert sorted(_shown("1 · Baseline")) == sorted(baseline_sgd.table(baseline)["Test accuracy (%)"])


def test_readme_shows_the_stored_numbers_of_noise(noisy):
    """Row by row: each setting's validation and test accuracy."""
    table = noisy_gradients.table(noisy).set_index("Setting")
    columns = ["Validation accuracy (%)", "Test accuracy (%)"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in readme.splitlines() if re.match(r"\| (full|sweep) \|", line)]
    assert len(rows) >= 8
    for _, _, setting, *values in rows:
        assert values == list(table.loc[setting, columns]), setting
    assert len(_shown("2 · Noisy gradients")) == sum("±" in value for row in rows for value in row)
