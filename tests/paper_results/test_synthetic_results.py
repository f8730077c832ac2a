import pytest
from paper_runs import stored

from common import results
from common.experiments.synthetic_gradients.run_selection import METHODS

DEPTHS = (3, 4, 5, 6)
NETWORKS = [f"{layers} layers" for layers in DEPTHS] + ["3 layers, convolutional", "4 layers, convolutional"]


@pytest.fixture(scope="module")
def synthetic():
    return stored("06_synthetic_gradients")


def _error(frame, run):
    """Mean test error over the seeds, none of which diverged, in per cent."""
    summary = results.summarize(frame, ["run"]).set_index("run").loc[run]
    assert summary["diverged"] == 0
    return 100 * (1 - summary["mean"])


@pytest.mark.parametrize("layers", DEPTHS)
def test_conditioned_on_labels_it_learns(synthetic, layers):
    assert _error(synthetic, f"{layers} layers, backprop") <= 1.9
    assert _error(synthetic, f"{layers} layers, cDNI") <= 1.8


@pytest.mark.parametrize(("layers", "most"), [(3, 2.6), (4, 3.0), (5, 4.0), (6, 5.0)])
def test_without_labels_it_learns(synthetic, layers, most):
    assert _error(synthetic, f"{layers} layers, DNI") <= most


@pytest.mark.parametrize("layers", [3, 4])
def test_convolutional_networks(synthetic, layers):
    assert _error(synthetic, f"{layers} layers, convolutional, cDNI") <= 1.0


@pytest.mark.parametrize("network", NETWORKS)
def test_the_last_layer_alone_is_clearly_worse(synthetic, network):
    others = [_error(synthetic, f"{network}, {name}") for name in METHODS if name != "no backprop"]
    assert _error(synthetic, f"{network}, no backprop") > 1.3 * max(others)


def test_modules_may_lag(synthetic):
    assert _error(synthetic, "updating with p = 0.2") <= 3.0


def test_weights_regressed_from_activations_learn_less_than_synthetic_gradients(synthetic):
    assert _error(synthetic, "source: weights regressed") > 1.3 * _error(synthetic, "source: DNI")
