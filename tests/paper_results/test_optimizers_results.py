import re

import pytest
from paper_runs import page, stored

from common.experiments.optimizers_from_scratch import figures as optimizers


@pytest.fixture(scope="module")
def runs_of_optimizers():
    return stored("03_optimizers_from_scratch")


@pytest.mark.parametrize(
    ("method", "most"),
    [("clipping", 49.35), ("momentum", 29.12), ("Adam, clipped", 28.04), ("Adam", 29.34)],
)
def test_median_lowest_test_error_is_no_worse_than_the_source(runs_of_optimizers, method, most):
    values = optimizers.run_values(runs_of_optimizers)
    runs = values[(values.method == method) & (values.features == "raw")]
    assert runs["seed"].nunique() >= 5
    assert runs["lowest"].median() <= most


def test_minibatches_stay_behind_the_single_run_of_the_source(runs_of_optimizers):
    """30.62, which none of these seeds reaches; the page says so."""
    values = optimizers.run_values(runs_of_optimizers)
    runs = values[(values.method == "minibatches") & (values.features == "raw")]
    assert 30.62 < runs["lowest"].median() <= 36


def test_the_largest_rate_kills_all_hidden_units(runs_of_optimizers):
    values = optimizers.run_values(runs_of_optimizers)
    runs = values[(values.method == "gradient descent") & (values.learning_rate == 0.001)]
    assert (runs["dead_units"] == 4).all()


def test_the_network_chosen_on_standardised_features(runs_of_optimizers):
    values = optimizers.run_values(runs_of_optimizers)
    method, hidden = optimizers.chosen_network(runs_of_optimizers)
    runs = values[values.cosine & (values.method == method) & (values.hidden == hidden)]
    assert runs["seed"].nunique() >= 5
    assert runs["last"].mean() <= 15


def test_the_text_of_the_page_has_the_stored_numbers(runs_of_optimizers):
    """Every error in the text is one of the table, the source's, or the constant prediction's."""
    table = optimizers.table(runs_of_optimizers)
    constant = runs_of_optimizers.attrs["measurements"][0]["constant_test_loss"]
    known = {f"{constant:.2f}"}
    for name in ("Lowest, median", "Source", "Last epoch"):
        known |= {number for cell in table[name] for number in cell.split(" ± ")}
    text = "\n".join(line for line in page("03_optimizers_from_scratch").splitlines() if not line.startswith("|"))
    numbers = re.findall(r"(?<![\d.])\d{2}\.\d\d(?!\d)", text)
    assert numbers
    assert set(numbers) <= known
