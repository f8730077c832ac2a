import pytest
from paper_runs import stored

from common import results


@pytest.fixture(scope="module")
def baseline():
    return stored("01_baseline_sgd")


def test_every_baseline_run_finished(baseline):
    assert set(baseline["status"]) == {"finished"}


@pytest.mark.parametrize(
    ("setting", "least"),
    [
        ({"group": "Keras fit", "batch_size": 128}, 0.970),  # the source: 97.42 %
        ({"group": "fixed rate", "batch_size": 64}, 0.978),  # 98.01 %
        ({"group": "fixed rate", "batch_size": 128}, 0.970),
        ({"group": "fixed rate", "batch_size": 500}, 0.940),  # 94.32 %
        ({"group": "scaled rate", "batch_size": 500}, 0.970),
        ({"group": "tuned rate", "batch_size": 64}, 0.985),  # at the source's rate 0.978
        ({"group": "tuned rate", "batch_size": 128}, 0.985),
    ],
)
def test_mean_test_accuracy_reaches_the_source(baseline, setting, least):
    by = ["group", "batch_size"]
    table = results.summarize(baseline, by)
    for name, value in setting.items():
        table = table[table[name] == value]
    assert len(table) == 1
    assert table["mean"].item() >= least


def test_rates_were_chosen_by_the_trials_of_each_batch_size(baseline):
    ended = results.last_rows(baseline)
    trials = ended[ended["group"] == "trial"]
    assert set(trials.groupby("trial_of").size()) == {4}
    assert set(trials["seed"]).isdisjoint(ended.loc[ended["group"] != "trial", "seed"])
    best = trials.loc[trials.groupby("trial_of")["validation_metric"].idxmax()].set_index("trial_of")["learning_rate"]
    chosen = ended[ended["group"] == "tuned rate"].groupby("run")["learning_rate"].unique()
    assert {name: list(rates) for name, rates in chosen.items()} == {name: [rate] for name, rate in best.items()}
