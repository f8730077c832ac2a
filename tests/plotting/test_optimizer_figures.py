import math

import numpy as np
import pytest
from shown import assert_within_its_page, lines, texts

from common import results
from common.experiments.optimizers_from_scratch import figures as optimizers
from common.experiments.optimizers_from_scratch import run_selection
from common.plotting import draw as redrawing
from common.plotting.curves import NothingToDraw
from common.tasks.line_loss import LineLoss

EXPERIMENT = "03_optimizers_from_scratch"
COMMON = {"order": 0, "train_examples": 364, "batch_size": 32}
STEP_SIZES = 2 * 4 + 4 + 4 + 1  # two features, four hidden units


def _run(
    method,
    seed,
    *,
    features="raw",
    rate=0.001,
    hidden=(4,),
    cosine=False,
    final=30.0,
    diverge=False,
    **extra,
):
    rng = np.random.default_rng([seed, len(method), int(1e9 * rate)])
    records = []
    for epoch in range(10, 110, 10):
        loss = final + 300 / epoch + rng.normal(0, 0.3)
        record = {"epoch": epoch, "step": 12 * epoch, "train_loss": loss, "validation_loss": loss + 3, "dead_units": 2}
        record["curve_test_loss"] = loss + 1
        if method == "Adam" and not cosine:
            record["step_sizes"] = np.array([10.0 ** -(i % 5) / epoch for i in range(STEP_SIZES)])
        records.append(record | extra)
    records[-1] |= {"test_loss": loss + 1, "test_metric": loss + 1}
    made_of = {"run": f"{method}, {features}, {list(hidden)}, {rate:g}", "group": method, "learning_rate": rate}
    made_of |= {"dataset": f"boston_housing, {features}", "schedule": "CosineDecay" if cosine else "constant"}
    return results.run_frame(
        records, experiment=EXPERIMENT, method="Backpropagation", seed=seed, metric="mean_squared_error",
        status="diverged" if diverge else "finished", diverged_step=1200 if diverge else None,
        **COMMON | made_of | {"Network.hidden": str(list(hidden))},
    )  # fmt: skip


def _trail(method, features):
    records = [{"epoch": i, "step": i, "slope": i / 20, "intercept": i / 5, "train_loss": 1.0} for i in range(1, 41)]
    made_of = {"run": f"line: {method}, {features}", "group": f"line: {method}", "learning_rate": 0.1}
    made_of |= {"dataset": f"boston_housing, {features}, one feature", "schedule": "constant"}
    return results.run_frame(
        records, experiment=EXPERIMENT, method="Backpropagation", seed=0, metric="mean_squared_error",
        status="finished", **COMMON | made_of,
    )  # fmt: skip


TUNED = {"Adam": (0.1, (4,)), "minibatches": (0.01, (4,)), "Muon, hidden layers [64, 64]": (0.03, (64, 64))}


def _tuned(name, seed):
    """A run on all standardised examples, at the second of its three rates."""
    rate, hidden = TUNED[name]
    shown = {"features": "standardised, nothing held out", "hidden": hidden, "cosine": len(hidden) > 1}
    run = _run(name.split(",")[0], seed, rate=rate, final=14 + 3 * len(name) / 10, validation_loss=math.nan, **shown)
    return run.assign(run=f"tuned: {name}", group="tuned", train_examples=404, order=list(TUNED).index(name))


def _trials(name):
    """The trials of three rates on two folds each, of which the second rate has the lowest error."""
    rate, hidden = TUNED[name]
    runs = []
    for factor, error in {0.1: 30.0, 1.0: 20.0, 10.0: 40.0}.items():
        for fold in (1, 2):
            shown = {"features": f"raw, nothing held out, fold {fold} of 2", "hidden": hidden}
            run = _run(name.split(",")[0], 100, rate=rate * factor, validation_metric=error + fold, **shown)
            trial = f"trial: tuned: {name}, rate × {factor:g}, fold {fold}"
            runs.append(run.assign(run=trial, group="trial", trial_of=f"tuned: {name}"))
    return runs


def _frame(seeds=(0, 1, 2), **diverging):
    runs = [trial for name in TUNED for trial in _trials(name)]
    for seed in seeds:
        runs += [_tuned(name, seed) for name in TUNED]
        runs += [_run("gradient descent", seed, rate=rate, final=80) for rate in (1e-3, 1e-6)]
        runs += [_run("clipping", seed, final=45), _run("Adam, clipped", seed)]
        runs += [_run(name, seed, final=29, diverge=diverging.get(name) == seed) for name in ("Adam", "Muon")]
        runs += [_run(name, seed, final=20, features="standardised") for name in ("Adam", "Muon")]
        for hidden, final in {(16,): 18, (64, 64): 12}.items():
            runs.append(_run("Muon", seed, features="standardised", hidden=hidden, cosine=True, rate=0.01, final=final))
        held = _run("clipping", seed, final=44, features="raw, nothing held out", validation_loss=math.nan)
        runs.append(held.assign(train_examples=404))
    runs += [_trail(name, features) for name in ("momentum", "Adam") for features in ("raw", "standardised")]
    frame = results.combine(runs)
    x, y = np.array([[1.0], [2.0], [4.0]]), np.array([[3.0], [4.0], [9.0]])
    line = {"raw": vars(LineLoss.of(x + 9, y)), "standardised": vars(LineLoss.of((x - x.mean()) / x.std(), y))}
    frame.attrs["measurements"] = [{"constant_test_loss": 83.7, "line": line}]
    return frame


@pytest.fixture
def frame():
    return _frame()


def test_the_labels_are_added_once(frame):
    labelled = run_selection.labelled(frame)
    assert run_selection.labelled(labelled) is labelled
    assert labelled.attrs == frame.attrs
    kinds = labelled.drop_duplicates(["part", "method", "features", "hidden", "cosine"])
    line = kinds[(kinds.part == "line") & (kinds.method == "Adam")]
    assert list(line["features"]) == ["raw", "standardised"]
    assert set(line["hidden"]) == {"[]"}
    assert set(labelled["dataset"]) == {"boston_housing"}
    assert set(kinds[kinds.cosine]["hidden"]) == {"[16]", "[64, 64]"}
    assert "raw, nothing held out" in set(kinds["features"])


@pytest.mark.parametrize("name", list(optimizers.FIGURES))
def test_every_figure_shows_itself_within_its_page(frame, name):
    figure = optimizers.FIGURES[name](frame)
    assert "Boston housing" in figure.caption
    assert_within_its_page(figure)


def test_tuned_methods_are_ranked_and_say_how_their_rates_were_chosen(frame):
    figure = optimizers.tuned(frame)
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    rows = results.last_rows(frame[frame["group"] == "tuned"])
    errors = rows.groupby("run")["test_metric"].mean().rename(lambda name: name.removeprefix("tuned: "))
    assert set(names) == set(TUNED)
    assert list(errors[names]) == sorted(errors, reverse=True)
    shared, larger = (line for line in axes.lines if line.get_marker() == "o" and not line.get_alpha())
    assert larger.get_markerfacecolor() == "white"
    assert larger.get_xdata() == pytest.approx([errors["Muon, hidden layers [64, 64]"]])
    assert len(shared.get_xdata()) == 2
    assert "is the best of 3 by 2-fold cross-validation" in figure.caption


def test_the_table_of_tuned_methods_has_rate_range_and_both_errors(frame):
    table = optimizers.tuned_table(frame).set_index("Method")
    row = table.loc["Adam"]
    assert (row["Learning rate"], row["Tried"]) == ("0.1", "0.01 to 1")
    assert row["Cross-validated error"] == "21.50"
    assert row["Seeds"] == 3
    errors = results.last_rows(frame).query("run == 'tuned: Adam'")["test_metric"]
    assert row["Test error"] == f"{errors.mean():.2f} ± {errors.std():.2f}"
    assert table.loc["Muon", "Hidden units"] == "64-64"


def test_without_trials_the_rates_are_the_given_ones(frame):
    untried = frame[frame["group"] != "trial"]
    assert "cross-validation" not in optimizers.tuned(untried).caption
    assert set(optimizers.tuned_table(untried)["Cross-validated error"]) == {"-"}
    with pytest.raises(NothingToDraw, match="no runs with cross-validated learning rates"):
        optimizers.tuned(untried[untried["group"] != "tuned"])


def test_the_three_test_errors_are_told_apart(frame):
    runs = optimizers.run_values(frame)
    run = runs[(runs.method == "clipping") & (runs.features == "raw") & (runs.seed == 0)].iloc[0]
    rows = frame[(frame.group == "clipping") & (frame.dataset == "boston_housing, raw") & (frame.seed == 0)]
    assert run["lowest"] == rows["curve_test_loss"].min()
    assert run["chosen"] == rows.loc[rows["validation_loss"].idxmin(), "curve_test_loss"]
    assert run["last"] == rows["curve_test_loss"].iloc[-1]


def test_where_nothing_was_held_out_nothing_is_chosen(frame):
    runs = optimizers.run_values(frame)
    held = runs[runs.features == "raw, nothing held out"]
    assert held["chosen"].isna().all()
    assert held["lowest"].notna().all()


def test_the_network_is_chosen_by_its_validation_error(frame):
    assert optimizers.chosen_network(frame) == ("Muon", "[64, 64]")
    better = frame["Network.hidden"].eq("[64, 64]")
    worse = frame.assign(validation_loss=frame["validation_loss"].mask(better, 99.0))
    assert optimizers.chosen_network(worse) == ("Muon", "[16]")  # whatever its test error is


def test_the_table_has_the_source_beside_and_counts_what_diverged():
    table = optimizers.table(_frame(Adam=1)).set_index(["Features", "Method", "Hidden units", "Learning rate"])
    assert table.loc[("raw", "clipping", "4", "0.001"), "Source"] == "49.35"
    assert table.loc[("raw", "gradient descent", "4", "1e-06"), "Source"] == "71.76"
    assert table.loc[("standardised", "Adam", "4", "0.001"), "Source"] == "-"
    adam = table.loc[("raw", "Adam", "4", "0.001")]
    assert (adam["Seeds"], adam["Diverged"]) == (2, 1)
    assert "±" in adam["Lowest on the test curve"]


def test_the_source_is_of_boston_housing_alone(frame):
    other = frame.assign(dataset=frame["dataset"].str.replace("boston_housing", "diabetes"))
    other.attrs = frame.attrs
    assert "Source" not in optimizers.table(other)
    assert "source" not in texts(optimizers.scaling(other))
    assert "source" in texts(optimizers.scaling(frame))


def test_what_is_missing_is_named(frame, capsys):
    only = frame[frame.group == "clipping"]
    assert redrawing.drawable(only, optimizers.learning_rates, optimizers.trails, optimizers.step_sizes) == []
    assert capsys.readouterr().out.count("left out") == 3
    with pytest.raises(NothingToDraw, match="no finished network to choose"):
        optimizers.chosen_network(only)


@pytest.mark.filterwarnings("error")
def test_runs_that_all_diverged_are_drawn_without_a_warning():
    frame = results.combine([_run(name, 0, diverge=True) for name in ("gradient descent", "clipping", "Adam")])
    for draw in (optimizers.learning_rates, optimizers.curves, optimizers.scaling):
        draw(frame)._repr_png_()


def test_a_curve_has_the_median_of_a_tenth_of_a_decade_and_ends_with_the_budget():
    frame = results.combine([_run("clipping", 0)])
    (curve,) = (line for name, line in lines(optimizers.curves(frame).axes[0]).items() if name == "clipping")
    assert curve.get_xdata().tolist() == [10, 20, 30, 50, 60, 70, 100]  # 40 is 10^1.602 and in the tenth of 50
    losses = frame.set_index("epoch")["train_loss"]
    assert curve.get_ydata()[3] == pytest.approx(losses[[40, 50]].median())


def test_raw_paths_are_named_at_their_ends(frame):
    raw, standardised = optimizers.trails(frame).axes
    assert {text.get_text() for text in raw.texts} == {"momentum", "Adam"}
    assert not standardised.texts
    assert lines(raw)["Adam"].get_markevery() == [40]


def test_step_sizes_have_a_panel_for_each_kind_of_parameter(frame):
    figure = optimizers.step_sizes(frame)
    assert [axes.get_title() for axes in figure.axes] == [
        "hidden layer, weights",
        "hidden layer, biases",
        "output layer, weights",
        "output layer, bias",
    ]
    first = lines(figure.axes[0])
    sizes = [10.0 ** -(i % 5) / 10 for i in range(8)]
    assert first["raw features"].get_ydata()[0] == pytest.approx(np.median(sizes))
    (low, high) = figure.axes[0].collections[0].get_paths()[0].get_extents().intervaly
    assert (low, high) == pytest.approx((1e-6, 0.1))


def test_seeds_of_a_learning_rate_stand_beside_one_another(frame):
    dots = optimizers.learning_rates(frame).axes[1].lines[0]
    rates = sorted(set(dots.get_xdata()))
    assert len(rates) == 6
    assert rates[1] == pytest.approx(1e-6)
    assert rates[2] / rates[0] == pytest.approx(10**0.28)
