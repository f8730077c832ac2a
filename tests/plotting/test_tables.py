import math

import pytest
from fake_baseline_runs import fake_run

from common import results
from common.plotting import tables

BY = {"batch_size": "Batch size"}
ACCURACY = {"test_metric": tables.Value("Test accuracy (%)", scale=100, digits=1)}


def with_test(batch, seed, value, **options):
    frame = fake_run("loop", batch, seed, epochs=4, **options)
    return frame.assign(test_metric=frame["test_metric"].mask(frame["test_metric"].notna(), value))


def test_mean_spread_seeds_and_divergence_stand_in_the_table():
    runs = [with_test(64, 0, 0.90), with_test(64, 1, 0.94), with_test(64, 2, 0.1, diverge=3)]
    table = tables.final_table(results.combine([*runs, with_test(128, 0, 0.5)]), BY, ACCURACY)
    assert table.to_dict("records") == [
        {"Batch size": 64, "Test accuracy (%)": "92.0 ± 2.8", "Seeds": 2, "Diverged": 1},
        {"Batch size": 128, "Test accuracy (%)": "50.0", "Seeds": 1, "Diverged": 0},
    ]


def test_setting_whose_runs_all_diverged_says_so():
    table = tables.final_table(with_test(64, 0, 0.9, diverge=3), BY, ACCURACY)
    assert table.iloc[0].tolist() == [64, "diverged", 0, 1]


@pytest.mark.parametrize(
    ("mean", "std", "cell"), [(97.416, 0.123, "97.42 ± 0.12"), (97.416, math.nan, "97.42"), (math.nan, math.nan, "-")]
)
def test_one_seed_has_no_spread(mean, std, cell):
    assert tables.mean_and_spread(mean, std, 2) == cell
