import pytest
from paper_runs import accuracy, stored

from common.plotting.curves import select
from common.results import last_rows

LONGER = "a layer at a time, longer"


@pytest.fixture(scope="module")
def evolution():
    return stored("07_evolution_on_weights")


def test_no_backpropagation_at_all(evolution):
    """97 % within 15 minutes and 98 % within 60, on two cores; ours had one core."""
    assert accuracy(evolution, LONGER)["mean"] >= 0.98
    assert select(evolution, run=LONGER)["seconds"].max() <= 15 * 60


def test_a_layer_at_a_time_learns_more_than_all_layers_at_once(evolution):
    layerwise = accuracy(evolution, "a layer at a time")["mean"]
    for name in ("at once", "at once, alike", "at once, alike, rank one", "at once, MLP"):
        assert layerwise > accuracy(evolution, name)["mean"] + 0.04


def test_the_parts_of_the_method_have_equal_arithmetic(evolution):
    last = select(last_rows(evolution), group="parts")
    costs = last.groupby("run")["cost"].mean()
    assert len(costs) == 8
    assert costs.min() > 0.85 * costs.max()  # whole steps of large batches
    assert (last.groupby("run")["seed"].nunique() >= 5).all()
