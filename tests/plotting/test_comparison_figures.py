"""The ledger and its table, from runs made of formulas."""

import numpy as np
import pandas as pd
import pytest
from fake_runs import ended, run_frame

from common import results
from common.experiments.__main__ import main
from common.experiments.comparison import figures
from common.plotting.curves import NothingToDraw

PLAN = {
    "backpropagation": ("Backpropagation()", 0.02, 1.0),
    "signs": ("SignGradient(Backpropagation())", 0.021, 1.0),
    "forward gradient": ("ForwardGradient()", 0.2, 0.7),
    "NewtonCG(Backpropagation())": ("NewtonCG(Backpropagation())", 0.05, 6.0),
}


def _run(name, seed, diverge=None, group=figures.EQUAL):
    estimator, final, cost = PLAN[name]
    records = [
        {"epoch": epoch, "step": 100 * epoch, "seconds": 2.0 * epoch, "cost": 12_800.0 * cost * epoch}
        | {"bytes_sent": 1e6 * epoch, "train_metric": 0.9, "validation_metric": 1 - final * (1 + 0.1 * (3 - epoch))}
        for epoch in (1, 2, 3)
    ]
    records = ended(records, diverge, test_metric=1 - final * (1 + seed / 20))
    if name == "backpropagation":
        aligned = {"aligned_estimators": np.array([text for text, *_ in PLAN.values()])}
        aligned |= {"aligned_cosine": np.array([1.0, 0.6, 0.01, 0.4]), "aligned_signal_to_noise": np.ones(4)}
        records[0] |= aligned
    label = {"experiment": "08_comparison", "method": "m", "seed": seed, "run": name, "group": group}
    label |= {"order": list(PLAN).index(name), "dataset": "mnist", "network": "mlp", "precision": "float32"}
    return run_frame(
        records, diverge, **label, estimator=estimator, batch_size=128, coordinates=100, train_examples=55_000
    )


@pytest.fixture(scope="module")
def frame():
    return results.combine([_run(name, seed) for name in PLAN for seed in range(3)])


@pytest.mark.parametrize("draw", figures.FIGURES.values(), ids=list(figures.FIGURES))
def test_figures_can_be_drawn(draw, frame):
    drawn = draw(frame)
    drawn.draw_without_rendering()
    assert "MNIST" in drawn.caption


def test_the_ledger_has_a_row_for_each_source_in_the_order_of_families(frame):
    labels = [text.get_text() for text in figures.ledger(frame).axes[0].get_yticklabels()]
    assert labels == ["backpropagation", "signs", "forward gradient", "NewtonCG(Backpropagation())"]


def test_the_table_says_what_the_interval_carries(frame):
    table = figures.table(frame).set_index("Source")
    assert table["Verdict"].tolist()[0] == "-"
    assert table.loc["forward gradient", "Verdict"] == "behind"
    assert table.loc["backpropagation", "Test error (%)"].startswith("2.10 ±")
    assert table.loc["signs", "Needs"] == "b a d"
    assert table.loc["forward gradient", "Difference (points) [95 %]"].startswith("+18.9")


def test_a_source_that_diverged_in_every_seed_has_a_row():
    lost = results.combine(
        [_run(name, seed, diverge=1 if name == "signs" else None) for name in PLAN for seed in range(2)]
    )
    figures.ledger(lost).draw_without_rendering()
    table = figures.table(lost).set_index("Source")
    assert table.loc["signs", "Verdict"] == "diverged"
    assert table.loc["signs", "Test error (%)"] == "-"


def test_each_variant_is_drawn_by_itself_into_files_of_its_name(frame, tmp_path, capsys):
    paths = [tmp_path / "results" / "08_comparison" / f"{name}.parquet" for name in ("mnist_mlp", "fashion_mnist_mlp")]
    for path, dataset in zip(paths, ("mnist", "fashion_mnist"), strict=True):
        results.write(frame.assign(dataset=dataset), path, {"parameters": {}})
    call = ["08_comparison", "--results", str(tmp_path / "results"), "--figures", str(tmp_path / "figures")]
    assert main(call) == 1
    assert "mix several values of dataset" in capsys.readouterr().err
    missing = tmp_path / "mnist_convnet.parquet"
    assert main([*call, "--each", "--expected", *map(str, [*paths, missing])]) == 0
    said = capsys.readouterr().out
    assert f"missing: {missing}" in said
    assert "figures/08_ledger_fashion_mnist_mlp.pdf" in said
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        f"{name}_{variant}"
        for name in [*figures.FIGURES, *figures.TABLES]
        for variant in ("mnist_mlp", "fashion_mnist_mlp")
    }
    for variant, dataset in {"mnist_mlp": "on MNIST (mlp)", "fashion_mnist_mlp": "on Fashion-MNIST (mlp)"}.items():
        assert dataset in (tmp_path / "figures" / f"08_ledger_{variant}.txt").read_text(encoding="utf-8")


def test_results_without_the_baseline_have_nothing_to_draw(frame):
    with pytest.raises(NothingToDraw, match="no runs of 'backpropagation'"):
        figures.ledger(frame[frame["run"] != "backpropagation"])


def test_results_of_trials_alone_have_no_curves(frame):
    with pytest.raises(NothingToDraw):
        figures.curves(pd.DataFrame(frame.assign(group="trial")))
