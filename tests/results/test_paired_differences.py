"""Differences between runs of the same seeds, with intervals, and what may be said of them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from common import results


def _frame(accuracies):
    """Last rows of runs by name, an accuracy a seed; None is a run that diverged."""
    rows = [
        {"experiment": "e", "method": "m", "seed": seed, "run": name, "epoch": 1, "step": 1, "test_metric": accuracy}
        | {"status": "diverged" if accuracy is None else "finished"}
        for name, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    return pd.DataFrame(rows)


def _compared(margin=0.0025, **accuracies):
    return results.paired_differences(_frame(accuracies), "exact", margin=margin)


def test_an_interval_is_that_of_the_paired_t_test():
    exact, other = [0.90, 0.92, 0.94, 0.91], [0.88, 0.91, 0.93, 0.90]
    row = _compared(exact=exact, other=other).loc["other"]
    test = stats.ttest_rel(other, exact)
    low, high = test.confidence_interval(0.95)
    np.testing.assert_allclose(
        [row["difference"], row["low"], row["high"], row["p"]], [-0.0125, low, high, test.pvalue]
    )
    assert (row["n"], row["verdict"]) == (4, "behind")


def test_probabilities_are_corrected_by_holm_s_method():
    exact = [0.90, 0.92, 0.94, 0.91]
    others = {"a": [0.91, 0.94, 0.95, 0.93], "b": [0.93, 0.94, 0.98, 0.93], "c": [0.90, 0.93, 0.94, 0.91]}
    raw = np.array([stats.ttest_rel(values, exact).pvalue for values in others.values()])
    order = np.argsort(raw)
    expected = np.empty(3)
    expected[order] = np.minimum(1, np.maximum.accumulate(raw[order] * [3, 2, 1]))
    np.testing.assert_allclose(_compared(exact=exact, **others)["p"], expected)


def test_what_the_interval_carries_is_said_and_no_more():
    exact = [0.900, 0.920, 0.940, 0.910]
    shifted = {name: [value + by for value, by in zip(exact, shifts, strict=True)] for name, shifts in {
        "ahead": (0.010, 0.011, 0.009, 0.010),
        "level": (0.0005, -0.0005, 0.0004, -0.0004),
        "wide": (0.03, -0.02, 0.01, -0.01),
        "same": (0, 0, 0, 0),
    }.items()}  # fmt: skip
    verdicts = _compared(exact=exact, **shifted, lost=[None] * 4, single=[0.9, None, None, None])["verdict"]
    assert verdicts.to_dict() == {
        "ahead": "ahead",
        "level": "level",
        "wide": "not told apart",
        "same": "level",
        "lost": "diverged",
        "single": "one seed",
    }


def test_a_seed_that_diverged_is_no_pair():
    row = _compared(exact=[0.9, 0.92, None, 0.91], other=[0.8, None, 0.85, 0.82]).loc["other"]
    assert row["n"] == 2
    assert row["difference"] == pytest.approx(-0.095)


def test_an_unknown_baseline_is_named():
    with pytest.raises(ValueError, match="'exact'"):
        results.paired_differences(_frame({"exact": [1.0]}), "exakt", margin=0.1)


def test_accuracies_and_errors_are_not_averaged():
    frame = _frame({"exact": [0.9, 0.91]}).assign(metric=["accuracy", "mean_squared_error"])
    with pytest.raises(ValueError, match=r"'test_metric' of the group .'method': 'm'. holds accuracy and mean_squared"):
        results.summarize(frame, ["method"])
    assert len(results.summarize(frame, ["method", "metric"])) == 2
