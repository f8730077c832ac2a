"""The figures and tables of the ledger, from runs made of formulas."""

import numpy as np
import pandas as pd
import pytest
from fake_runs import ended, run_frame
from latex_runs import compiled, require_pdflatex

from common import results
from common.experiments.__main__ import main
from common.experiments.comparison import figures, pages
from common.experiments.comparison.progress_figures import front, ratios_to_best
from common.experiments.comparison.run_selection import aligned, at_first_place, gains, names
from common.experiments.comparison.sources import ALIGNED, EQUAL, LONGER, ZEROTH
from common.experiments.targets import spent_until
from common.plotting import latex_tables
from common.plotting.curves import NothingToDraw, select
from common.plotting.page import write_page

PLAN = {
    "backpropagation": ("Backpropagation()", 0.02, 1.0),
    "cDNI, batch norm": ("SyntheticGradients()", 0.03, 1.5),
    "signs": ("SignGradient(Backpropagation())", 0.021, 1.0),
    "forward gradient": ("ForwardGradient()", 0.2, 0.7),
    "NewtonCG(Backpropagation())": ("NewtonCG(Backpropagation())", 0.05, 6.0),
}
ALL = figures.FIGURES | figures.TOGETHER
COSINES = {"Backpropagation()": 1.0, "SignGradient(Backpropagation())": 0.6, "ForwardGradient()": 0.0001}


def _run(name, seed, diverge=None, group=EQUAL, dataset="mnist", factor=1.0):
    estimator, error, cost = PLAN[name]
    error *= factor
    records = [
        {"epoch": epoch, "step": 100 * epoch, "seconds": 2.0 * epoch, "cost": 12_800.0 * cost * epoch}
        | {"bytes_sent": 1e6 * epoch, "train_metric": 0.9, "validation_metric": 1 - error * (1 + 0.1 * (3 - epoch))}
        for epoch in (1, 2, 3)
    ]
    records = ended(records, diverge, test_metric=1 - error * (1 + seed / 20))
    run = f"{name}, longer" if group == LONGER else name
    label = {"experiment": "08_comparison", "method": "m", "seed": seed, "run": run, "group": group}
    network = "normalised_mlp" if "batch norm" in name else "mlp"
    label |= {"order": list(PLAN).index(name), "dataset": dataset, "network": network, "precision": "float32"}
    frame = run_frame(
        records, diverge, **label, estimator=estimator, batch_size=128, coordinates=100, train_examples=55_000
    )
    return frame.assign(example_seconds=1e-5 * cost, step_memory=1e6 * cost, kept_memory=2e6)


def _looked(seed):
    """Backpropagation's run, at whose weights directions were compared, before it and after its first pass."""
    count = len(COSINES)
    measured = {"aligned_estimators": np.array(list(COSINES)), "aligned_cosine": np.array(list(COSINES.values()))}
    measured |= {"aligned_bias_squared": np.full(count, 0.04), "aligned_variance": np.full(count, 4.0)}
    measured |= {"aligned_decrease": np.array([0.5, 0.25, 0.01]), "aligned_cost": np.array([1.0, 1.0, 0.5])}
    records = [{"epoch": epoch, "step": 100 * epoch, "seconds": 1.0, "cost": 12_800.0} | measured for epoch in (0, 1)]
    records = ended(records, None, test_metric=0.98, validation_metric=0.98, train_metric=0.9)
    label = {"experiment": "08_comparison", "method": "m", "seed": seed, "run": "backpropagation, looked at"}
    label |= {"group": ALIGNED, "order": 9, "dataset": "mnist", "network": "mlp", "precision": "float32"}
    parts = {"estimator": "Backpropagation()", "batch_size": 128, "coordinates": 100, "train_examples": 55_000}
    return run_frame(records, None, **label, **parts)


def _angled(seed):
    records = [
        {"epoch": epoch, "step": 100 * epoch, "seconds": 1.0, "cost": 12_800.0, "train_metric": 0.9}
        | {"angle_first": 90.0 - 20 * epoch - seed, "angle_last": 0.0}
        for epoch in (0, 1, 2)
    ]
    records = ended(records, None, test_metric=0.98, validation_metric=0.98)
    label = {"experiment": "08_comparison", "method": "m", "seed": seed, "run": "signs, angles", "group": ALIGNED}
    label |= {"order": 11, "dataset": "mnist", "network": "mlp", "precision": "float32"}
    parts = {"estimator": "SignGradient(Backpropagation())", "coordinates": 100, "train_examples": 55_000}
    return run_frame(records, None, **label, **parts, batch_size=128)


def _searched(estimator, weights, seed):
    records = [{"epoch": 1, "step": 100, "seconds": 1.0, "cost": 275_000.0, "train_metric": 0.5, "bytes_sent": 1.0}]
    records = ended(records, None, test_metric=0.9 - 1e-6 * weights, validation_metric=0.9)
    name = "backpropagation" if "Back" in estimator else estimator.split("(")[1].split(",")[0]
    label = {"experiment": "08_comparison", "method": "m", "seed": seed, "run": f"{name} on {weights}"}
    label |= {"group": ZEROTH, "order": 20, "dataset": "mnist", "network": "mlp", "precision": "float32"}
    parts = {"estimator": estimator, "batch_size": 128, "coordinates": weights, "train_examples": 55_000}
    return run_frame(records, None, **label, **parts)


@pytest.fixture(scope="module")
def frame():
    frames = [_run(name, seed) for name in PLAN for seed in range(3)]
    frames += [_run(name, seed, dataset="fashion_mnist", factor=4.0) for name in PLAN for seed in range(3)]
    frames += [_run(name, seed, group=LONGER, factor=0.9) for name in PLAN for seed in range(2)]
    frames += [_looked(seed) for seed in range(2)] + [_angled(seed) for seed in range(2)]
    kinds = ("Backpropagation()", "ParameterEvolution(2, 0.1)", "ParameterEvolution(32, 0.1)")
    frames += [_searched(kind, weights, seed) for kind in kinds for weights in (1_000, 20_000) for seed in (0, 1)]
    return results.combine(frames)


@pytest.mark.parametrize("name", ALL)
def test_figures_can_be_drawn(name, frame):
    drawn = ALL[name](frame)
    drawn.draw_without_rendering()
    assert "MNIST" in drawn.caption


def test_the_ledger_is_of_one_data_set(frame):
    assert "on MNIST (MLP)" in figures.ledger(frame).caption
    assert "on Fashion-MNIST (MLP)" in figures.ledger(frame[frame["dataset"] == "fashion_mnist"]).caption


def test_the_ledger_without_directions_has_no_panel_of_cosines(frame):
    assert len(figures.ledger(frame).axes) == 4
    assert "cosine" in figures.ledger(frame).caption
    drawn = figures.ledger(frame[frame["group"] != ALIGNED])
    drawn.draw_without_rendering()
    assert len(drawn.axes) == 3
    assert "cosine" not in drawn.caption


def test_the_ledger_has_a_row_for_each_source_in_the_order_of_families(frame):
    labels = [text.get_text() for text in figures.ledger(frame).axes[0].get_yticklabels()]
    order = ["backpropagation", "signs", "cDNI, batch norm", "forward gradient", "NewtonCG(Backpropagation())"]
    assert labels == order == names(at_first_place(frame))


def test_the_table_says_what_the_interval_carries(frame):
    table = figures.table(frame).set_index("Source")
    assert table["Verdict"].tolist()[0] == "-"
    assert table.loc["forward gradient", "Verdict"] == "behind"
    assert table.loc["backpropagation", "Error (%)"].startswith("2.10 ±")
    assert table.loc["signs", "Needs"] == "b a d"
    assert table.loc["forward gradient", "Difference [95 %]"].startswith("+18.9")
    assert table.loc["NewtonCG(Backpropagation())", "Arithm."] == "6.00"
    assert table.loc["NewtonCG(Backpropagation())", "Seconds"] == "6.00"
    assert table.loc["backpropagation", "MB held"] == "3"
    assert table.loc["backpropagation", "kB sent"] == "10"


def test_the_table_of_longer_runs_compares_with_the_shorter_and_with_the_baselines(frame):
    table = figures.longer_table(frame).set_index("Source")
    assert table.index.tolist() == names(at_first_place(frame))
    assert table.loc["backpropagation", "Error (%)"] == "2.05 ± 0.07"  # of the seeds that have a longer run
    assert table.loc["backpropagation", "Difference [95 %]"] == "-"
    assert table.loc["signs", "Change [95 %]"].startswith("-0.22 [")
    assert table.loc["forward gradient", "Difference [95 %]"].startswith("+16.6")
    assert table["n"].tolist() == [2] * len(PLAN)
    with pytest.raises(NothingToDraw):
        figures.longer_table(frame[frame["group"] != LONGER])


def test_the_figure_of_longer_runs_has_both_errors_of_the_same_seeds(frame):
    drawn = figures.longer(frame)
    [axes] = drawn.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == names(at_first_place(frame))
    squares = [line for line in axes.lines if line.get_marker() == "s"]
    before, after = (float(square.get_xdata()[0]) for square in squares[:2])  # of backpropagation
    assert (before, after) == pytest.approx((2.05, 0.9 * 2.05))
    assert squares[0].get_markerfacecolor() == "white"
    assert "means over 2 seeds" in drawn.caption
    with pytest.raises(NothingToDraw):
        figures.longer(frame[frame["group"] != LONGER])


def test_the_order_of_sources_is_compared_where_one_thing_changes(frame):
    assert len(figures.ranks(frame).axes) == 1
    mnist = select(frame, dataset="mnist", group=EQUAL)
    convnet, both = mnist.assign(network="tiny_convnet"), mnist.assign(network="tiny_convnet", dataset="fashion_mnist")
    drawn = figures.ranks(results.combine([frame, convnet, both]))
    assert len(drawn.axes) == 2
    assert "on Fashion-MNIST (MLP) and on MNIST (tiny convnet), against MNIST (MLP)" in drawn.caption


def test_a_step_that_helps_in_no_seed_has_no_gain(frame):
    looked = aligned(at_first_place(frame))
    assert gains(looked)["gain"].notna().all()
    first = looked["epoch"].eq(0)
    lost = looked.assign(aligned_decrease=looked["aligned_decrease"].mask(first & looked["seed"].eq(0), 0.0))
    known = gains(lost).set_index(["run", "epoch"])["gain"]
    assert known[("signs", 0)] == pytest.approx(0.5)  # of the other seed
    lost = looked.assign(aligned_decrease=looked["aligned_decrease"].mask(first, 0.0))
    assert gains(lost).set_index("epoch").loc[0, "gain"].isna().all()


def test_the_table_of_directions_says_how_much_of_a_bias_is_known(frame):
    table = figures.directions_table(frame).set_index("Source")
    assert list(table) == ["Cosine, start", "1 pass", "Bias", "Noise", "Step's gain", "Gain ÷ arithm.", "n"]
    assert table.loc["signs"].tolist() == ["0.6", "0.6", "0.2", "2", "0.5", "0.5", 2]
    assert table.loc["forward gradient", "Gain ÷ arithm."] == "0.04"
    assert figures._bias(pd.Series([-1.0, 1.0])) == "< 1.4"  # two standard errors of 1, and the root
    assert figures._bias(pd.Series([0.0, 0.0])) == "0"  # of the exact gradient


def test_a_direction_counts_only_where_it_was_measured_as_it_trains(frame):
    runs = {"backpropagation", "signs", "forward gradient"}
    assert set(aligned(at_first_place(frame))["run"]) == runs
    larger = frame.assign(batch_size=frame["batch_size"].where(frame["run"] != "signs", 512))
    assert set(aligned(at_first_place(larger))["run"]) == runs - {"signs"}  # looked at with batches of 128
    sizes = [np.array([128.0, 512.0, 128.0]) if group == ALIGNED else None for group in larger["group"]]
    measured = aligned(at_first_place(larger.assign(aligned_batch_size=sizes)))
    assert set(measured["run"]) == runs
    assert measured.set_index("run")["batch_size"]["signs"].unique() == [512]
    shared = frame.assign(
        estimator=frame["estimator"].replace("SyntheticGradients()", "SignGradient(Backpropagation())")
    )
    assert set(aligned(at_first_place(shared))["run"]) == runs  # and not cDNI with batch norm, on another network


def test_the_angles_of_the_layers_are_drawn_layer_by_layer(frame):
    drawn = figures.angles(frame)
    [axes] = drawn.axes
    first, last = (line for line in axes.lines if line.get_label() in ("layer 1", "layer 2"))
    assert first.get_ydata() == pytest.approx([89.5, 69.5, 49.5])
    assert set(last.get_ydata()) == {0}
    with pytest.raises(NothingToDraw):
        figures.angles(frame[frame["run"] != "signs, angles"])


def test_sources_of_one_estimator_share_its_directions(frame):
    rows = aligned(at_first_place(frame), [1])
    assert set(rows["run"]) == {"backpropagation", "signs", "forward gradient"}
    assert len(rows) == 6  # two seeds


def test_what_is_spent_until_a_target_lies_between_two_looks():
    looks = pd.DataFrame(
        {"run": "a", "seed": 0, "epoch": [1, 2, 3], "cost": [100.0, 200.0, 300.0], "validation_error": [10.0, 1.0, 2.0]}
    )
    assert spent_until(looks, 10.0)["spent"].item() == pytest.approx(100)
    assert spent_until(looks, np.sqrt(10.0))["spent"].item() == pytest.approx(150)
    assert spent_until(looks, 30.0)["spent"].item() == pytest.approx(50)  # from 90 % by a factor 3 of 9
    assert np.isnan(spent_until(looks, 0.5)["spent"].item())


def test_ratios_are_to_the_quickest_of_a_target_and_seed(frame):
    runs = select(at_first_place(frame), group=EQUAL)
    ratios = ratios_to_best(runs, "cost")
    best = ratios.groupby(["target", "seed"])["ratio"].min()
    np.testing.assert_allclose(best, 1.0)
    reached = ratios.groupby("run")["ratio"].count()
    assert reached["backpropagation"] == 21  # seven targets, three seeds
    assert reached["forward gradient"] < 21


def test_the_front_is_what_no_other_beats():
    points = pd.DataFrame({"x": [1, 2, 2, 3], "y": [5.0, 4.0, 3.0, 3.0]}, index=["a", "b", "c", "d"])
    assert front(points) == ["a", "c"]


def test_a_source_that_diverged_in_every_seed_has_a_row():
    lost = results.combine(
        [_run(name, seed, diverge=1 if name == "signs" else None) for name in PLAN for seed in range(2)]
    )
    figures.ledger(lost).draw_without_rendering()
    figures.payments(lost).draw_without_rendering()
    figures.targets(lost).draw_without_rendering()
    table = figures.table(lost).set_index("Source")
    assert table.loc["signs", "Verdict"] == "diverged"
    assert table.loc["signs", "Error (%)"] == "-"


def test_each_variant_is_drawn_by_itself_and_what_compares_them_together(frame, tmp_path, capsys):
    paths = [tmp_path / "results" / "08_comparison" / f"{name}.parquet" for name in ("mnist_mlp", "fashion_mnist_mlp")]
    for path, dataset in zip(paths, ("mnist", "fashion_mnist"), strict=True):
        results.write(frame[frame["dataset"] == dataset], path, {"parameters": {}})
    call = ["08_comparison", "--results", str(tmp_path / "results"), "--figures", str(tmp_path / "figures")]
    missing = tmp_path / "mnist_convnet.parquet"
    assert main([*call, "--each", "--expected", *map(str, [*paths, missing])]) == 0
    said = capsys.readouterr().out
    assert f"missing: {missing}" in said
    assert "figures/08_ledger_fashion_mnist_mlp.pdf" in said
    assert "left out 08_zeroth_order_fashion_mnist_mlp" in said
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"08_ledger_mnist_mlp.png", "08_ledger_table_mnist_mlp.tex", "08_ledger_page_mnist_mlp.html"} < names
    assert "08_ranks.pdf" in names
    for variant, place in {"mnist_mlp": "on MNIST (MLP)", "fashion_mnist_mlp": "on Fashion-MNIST (MLP)"}.items():
        assert place in (tmp_path / "figures" / f"08_ledger_{variant}.txt").read_text(encoding="utf-8")


def test_the_agreement_of_two_data_sets_is_printed_with_the_rows_that_differ(frame, monkeypatch, capsys):
    other = frame["dataset"] == "fashion_mnist"
    lower = frame["run"].eq("signs") & other  # below backpropagation on one data set only
    moved = frame.assign(test_metric=frame["test_metric"].where(~lower, frame["test_metric"] + 0.02))
    parts = {"a": moved[~other], "b": moved[other]}
    monkeypatch.setattr(pages, "stored", lambda _, variant: parts[variant])
    pages.show_agreement("a", "a")
    assert capsys.readouterr().out.endswith("is +1.00 over 5 sources. 4 of 4 verdicts are the same.\n")
    pages.show_agreement("a", "b")
    sentence, _, table = capsys.readouterr().out.partition("the others:")
    assert "+1.00" not in sentence
    assert "signs" in table
    assert "backpropagation" not in table


def test_the_table_compiles_and_fits_a_page(frame, tmp_path):
    require_pdflatex()
    table = figures.table(frame)
    long = pd.concat([table] * 7, ignore_index=True)
    long.attrs = table.attrs
    output = compiled(latex_tables.to_latex(long), tmp_path)
    assert "Overfull" not in output
    assert "(1 page," in output


def test_a_page_is_one_file_with_its_numbers_and_origin(frame, tmp_path):
    path = write_page(figures.page(frame), tmp_path, "page", frame)
    text = path.read_text(encoding="utf-8")
    assert "forward gradient" in text
    assert "<dt>commit</dt>" in text
    assert 'src="http' not in text  # nothing is loaded
    assert write_page(figures.page(frame), tmp_path, "page", frame).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ALL)
def test_results_without_the_baseline_have_nothing_to_draw(name, frame):
    kept = frame[frame["group"].isin([EQUAL, LONGER]) & (frame["run"] != "backpropagation")]
    with pytest.raises(NothingToDraw):
        ALL[name](kept)


@pytest.mark.parametrize("name", ALL)
def test_results_of_trials_alone_have_nothing_to_draw(name, frame):
    with pytest.raises(NothingToDraw):
        ALL[name](pd.DataFrame(frame.assign(group="trial")))
