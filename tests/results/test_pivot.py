import numpy as np
import pandas as pd
import pytest

from common import results

COLUMNS = {"experiment": "mine", "dataset": "digits", "network": "mlp", "precision": "float32", "batch_size": 32}


def _run(method, optimizer, seed, value, *, epochs=2, status="finished", **changes):
    epoch = np.arange(1, epochs + 1)
    frame = pd.DataFrame({"experiment": "mine", "method": method, "seed": seed}, index=range(epochs))
    frame = frame.assign(**COLUMNS | {"optimizer": optimizer} | changes)
    return frame.assign(epoch=epoch, step=epoch, test_metric=np.where(epoch == epochs, value, np.nan), status=status)


PLAN = [
    _run("A", "SGD(0.1)", 0, 0.5),
    _run("A", "SGD(0.1)", 1, 0.7),
    _run("A", "SGD(1)", 0, 0.2),
    _run("B", "SGD(0.1)", 0, 0.4),
]


def test_cells_are_means_over_seeds():
    table = results.pivot(pd.concat(PLAN))
    assert table.loc["A", "SGD(0.1)"] == pytest.approx(0.6)
    assert table.loc["A", "SGD(1)"] == 0.2
    assert np.isnan(table.loc["B", "SGD(1)"])


def test_a_diverged_run_is_in_no_mean():
    table = results.pivot(pd.concat([*PLAN, _run("B", "SGD(0.1)", 1, 0.0, epochs=1, status="diverged")]))
    assert table.loc["B", "SGD(0.1)"] == 0.4


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"dataset": "mnist"}, "the runs have several values of 'dataset', 'digits', 'mnist': add it to the rows"),
        ({"network": "lenet5"}, "several values of 'network'"),
        ({"Network.hidden": "[8]"}, "several values of 'Network.hidden'"),
        ({"precision": "mixed_bfloat16"}, "several values of 'precision'"),
        ({"batch_size": 64}, "'optimizer': 'SGD(0.1)'} have several values of 'batch_size', 32, 64"),
        ({"epochs": 3}, "have several last epochs, 2, 3"),
        ({}, "has several runs of seed 0"),
    ],
)
def test_no_cell_mixes_runs_that_differ_in_more_than_their_seed(other, words):
    run = {"run": "again", "seed": 2} | other if other else {"run": "again", "seed": 0}
    frame = pd.concat([run_.assign(run="first") for run_ in PLAN] + [_run("A", "SGD(0.1)", value=0.5, **run)])
    columns = [*[name for name in frame if name not in ("epoch", "step", "test_metric", "status")]]
    frame = frame[[*columns, "epoch", "step", "test_metric", "status"]]
    with pytest.raises(ValueError) as error:  # noqa: PT011 - looked at below
        results.pivot(frame)
    assert words in str(error.value)


def test_what_differs_may_make_rows_or_columns():
    frame = pd.concat(
        [*PLAN, _run("A", "SGD(0.1)", 0, 0.9, dataset="mnist"), _run("A", "SGD(1)", 0, 0.8, batch_size=8)]
    )
    with pytest.raises(ValueError, match="'dataset'"):
        results.pivot(frame, ["method"], ["optimizer", "batch_size"])
    table = results.pivot(frame, ["dataset", "method"], ["optimizer", "batch_size"])
    assert table.loc[("mnist", "A"), ("SGD(0.1)", 32)] == 0.9
    assert table.loc[("digits", "A"), ("SGD(1)", 8)] == 0.8


def test_an_unknown_column_is_refused():
    with pytest.raises(ValueError, match=r"column 'methd' is unknown; .*did you mean 'method'"):
        results.pivot(pd.concat(PLAN), "methd")


def test_the_committed_comparison_is_averaged_over_its_seeds_alone():
    frame = results.read("results/paper/08_comparison")
    with pytest.raises(ValueError, match="the runs have several values of"):
        results.pivot(frame)
    other = frame["group"].isin(["trial", "zeroth order"])  # of other settings, or on other networks
    full = frame[~other & (frame["dataset"] == "mnist") & (frame["network"] == "mlp")]
    table = results.pivot(full, "run", "dataset")
    means = results.summarize(full, "run").set_index("run")["mean"]
    assert (table["mnist"] == means.reindex(table.index)).all()
    assert len(table) > 10
