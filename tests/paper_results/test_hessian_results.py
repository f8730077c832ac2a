import re

import pytest
from paper_runs import accuracy, readme_section, shown, stored

from common.plotting import low_rank_hessian

SECTION = "5 · Low-rank Hessian"
NEWTON, FIRST_ORDER = "saddle-free Newton", ("Adam", "gradient descent, momentum")


@pytest.fixture(scope="module")
def hessian():
    return stored("05_low_rank_hessian")


def _after(frame, setting, epoch):
    """Mean test accuracy over the seeds."""
    rows = frame[(frame["budget"] == "full") & (frame["setting"] == setting) & (frame["epoch"] == epoch)]
    assert len(rows) == 3
    return rows["curve_test_metric"].mean()


@pytest.mark.parametrize("epoch", [1, 2])
def test_it_is_ahead_after_the_first_epochs(hessian, epoch):
    assert _after(hessian, NEWTON, epoch) > max(_after(hessian, name, epoch) for name in FIRST_ORDER)


def test_it_ends_not_below_the_best_first_order_method(hessian):
    assert _after(hessian, NEWTON, 3) >= 0.990
    last = accuracy(hessian, NEWTON)["mean"]
    assert last >= 0.992
    assert last >= max(accuracy(hessian, name)["mean"] for name in FIRST_ORDER)


def test_it_costs_little_more_time_to_98_5_percent(hessian):
    seconds = low_rank_hessian.first_time(hessian[hessian["budget"] == "full"], 0.985)
    assert seconds[NEWTON] <= 1.3 * seconds.drop(NEWTON).min()


def test_readme_shows_the_stored_numbers(hessian):
    """Row by row: test accuracy along the way, and what the causes and sweeps end with."""
    milestones = low_rank_hessian.milestones(hessian)
    known = {row["Setting"]: list(row.iloc[1:]) for _, row in milestones.iterrows()}
    final = low_rank_hessian.table(hessian)[["Setting", "Validation accuracy (%)", "Test accuracy (%)"]]
    known |= {row["Setting"]: list(row.iloc[1:]) for _, row in final.iterrows() if row["Setting"] not in known}
    lines = readme_section(SECTION).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| (full|cause|sweep) \|", line)]
    assert len(rows) >= 14
    for _, setting, *values in rows:
        assert values == known[setting], setting
    assert len(shown(SECTION)) == sum("±" in value for row in rows for value in row)
