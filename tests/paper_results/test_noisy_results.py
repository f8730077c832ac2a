import re

import pytest
from paper_runs import readme_section, shown, stored

from common import results
from common.plotting import noisy_gradients


@pytest.fixture(scope="module")
def noisy():
    return stored("02_noisy_gradients")


def _accuracy(frame, setting):
    rows = results.summarize(frame, ["setting"]).set_index("setting").loc[setting]
    assert rows["diverged"] == 0
    return rows


def test_the_source_s_noise_costs_what_the_source_says(noisy):
    assert 0.77 <= _accuracy(noisy, "full: σ = 1")["mean"] <= 0.85  # 80.72 % there


def test_the_recovery_beats_the_noise_and_what_the_server_learns_alone(noisy):
    recovered = _accuracy(noisy, "full: σ = 1, recovered")["mean"]
    assert recovered >= 0.90
    assert recovered > _accuracy(noisy, "full: σ = 1")["mean"] + 0.05
    assert recovered > _accuracy(noisy, "server alone: 500 examples, no noise")["mean"] + 0.03


def test_little_noise_is_not_distinguishable_from_none(noisy):
    none, little = (_accuracy(noisy, f"σ = {sigma}") for sigma in ("0", "0.01"))
    assert abs(none["mean"] - little["mean"]) <= max(none["std"], little["std"])


def test_readme_shows_the_stored_numbers(noisy):
    """Row by row: each setting's validation and test accuracy."""
    table = noisy_gradients.table(noisy).set_index("Setting")
    columns = ["Validation accuracy (%)", "Test accuracy (%)"]
    lines = readme_section("2 · Noisy gradients").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| (full|sweep) \|", line)]
    assert len(rows) >= 8
    for _, _, setting, *values in rows:
        assert values == list(table.loc[setting, columns]), setting
    assert len(shown("2 · Noisy gradients")) == sum("±" in value for row in rows for value in row)
