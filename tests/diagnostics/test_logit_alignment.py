import math

import numpy as np
import pytest
from moments import moment

from common.data import Split
from common.diagnostics import LogitAlignment
from common.estimators.evolution.logit_evolution import LogitEvolution
from common.estimators.evolution.logit_gradient import Likelihood, SmoothedAccuracy
from common.estimators.noise.noisy_gradient import AnnealedNoise
from common.tasks import networks as models
from common.tasks import task as tasks


def _constant_logits(margin):
    """A network whose logits are (margin, 0) whatever it sees."""
    task = tasks.classification(models.build("mlp", (1,), 2, seed=0, hidden=()))
    task.weights[0].assign([[0.0, 0.0]])
    task.weights[1].assign([margin, 0.0])
    return task


def _align(estimators, margin, examples=400, repeats=40):
    split = Split(np.zeros((examples, 1), np.float32), np.zeros(examples, np.int32))
    compare = LogitAlignment(estimators, examples, repeats)
    return compare(moment(_constant_logits(margin), split, 1, epochs=1, classes=2))


def test_logit_alignment_of_the_smoothed_accuracy_is_that_of_a_coin():
    """At equal logits F is a coin that leaves the length of the noise as it was: E‖Fε‖² = 2/2, and g is (±1/(2√π))."""
    measured = _align([LogitEvolution(SmoothedAccuracy(), 1.0, 50)], 0.0)
    squared = 2 * (1 / (2 * math.sqrt(math.pi))) ** 2
    ratio = (1 - squared) / 50 / squared
    assert measured["logit_variance"] == pytest.approx(ratio, rel=0.03)
    assert measured["logit_bias"] < 4 * math.sqrt(ratio / (400 * 40))
    assert measured["logit_cosine"] == pytest.approx(1 / math.sqrt(1 + ratio), rel=0.02)


def test_logit_alignment_sees_the_share_of_examples_without_a_right_sample():
    right = 0.0786496  # Φ(-2 / √2)
    measured = _align([LogitEvolution(Likelihood(), 1.0, 10)], -2.0)
    assert measured["logit_bias"] == pytest.approx((1 - right) ** 10, abs=0.03)
    assert measured["logit_unseen_bias"] == pytest.approx(measured["logit_bias"], abs=0.03)
    assert measured["logit_longest_share"] == pytest.approx(1 / 400)
    assert measured["logit_longest_probability"] == pytest.approx(right, rel=1e-4)


def test_one_example_that_no_sample_gets_right_can_be_all_of_the_bias():
    """The exact gradient of 399 easy examples and one at P = Φ(-8 / √2) is the one's, which 600 samples never see."""
    split = Split(np.zeros((400, 1), np.float32), np.array([*[0] * 399, 1], np.int32))
    compare = LogitAlignment([LogitEvolution(o, 1.0, 600) for o in (Likelihood(), SmoothedAccuracy())], 400, 5)
    measured = compare(moment(_constant_logits(8.0), split, 1, epochs=1, classes=2))
    assert measured["logit_unseen_bias"][0] == pytest.approx(1)
    assert measured["logit_bias"][0] == pytest.approx(1, abs=1e-3)
    assert measured["logit_longest_share"][0] == pytest.approx(1)
    assert measured["logit_longest_probability"][0] == pytest.approx(7.687e-9, rel=1e-2)
    assert measured["logit_longest_share"][1] == pytest.approx(1 / 400, rel=1e-2)  # of P, all gradients are as long


def test_each_estimator_is_compared_and_improves_with_samples():
    estimators = [LogitEvolution(Likelihood(), 1.0, samples) for samples in (4, 100)]
    measured = _align(estimators, 0.5, 50, 5)
    assert list(measured["logit_estimators"]) == list(map(repr, estimators))
    few, many = measured["logit_cosine"]
    assert few < many <= 1
    assert measured["logit_variance"][0] > measured["logit_variance"][1]
    again = _align(estimators[1:], 0.5, 50, 5)
    assert again["logit_cosine"] == [many]


def test_noise_that_changes_with_the_step_is_not_aligned():
    words = r"^sigma of estimators to align must be one that no step changes, got AnnealedNoise\(0.1\)$"
    with pytest.raises(ValueError, match=words):
        LogitAlignment([LogitEvolution(Likelihood(), AnnealedNoise(0.1), 4)])


@pytest.mark.parametrize(
    ("sizes", "words"), [((0, 2), "examples must be ≥ 1, got 0"), ((4, 1), "repeats must be ≥ 2, got 1")]
)
def test_impossible_logit_alignments_are_named(sizes, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        LogitAlignment([LogitEvolution(Likelihood(), 1.0)], *sizes)
