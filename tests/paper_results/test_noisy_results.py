import pytest
from paper_runs import accuracy, stored


@pytest.fixture(scope="module")
def noisy():
    return stored("02_noisy_gradients")


def test_the_source_s_noise_costs_what_the_source_says(noisy):
    assert 0.77 <= accuracy(noisy, "full: σ = 1")["mean"] <= 0.85  # 80.72 % there


def test_the_recovery_ends_above_the_noise(noisy):
    recovered = accuracy(noisy, "full: σ = 1, recovered")["mean"]
    assert recovered >= 0.90
    assert recovered > accuracy(noisy, "full: σ = 1")["mean"] + 0.05


def test_little_noise_is_not_distinguishable_from_none(noisy):
    none, little = (accuracy(noisy, f"σ = {sigma}") for sigma in ("0", "0.01"))
    assert abs(none["mean"] - little["mean"]) <= max(none["std"], little["std"])
