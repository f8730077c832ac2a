import math
from inspect import signature

import pytest
from fake_baseline_runs import origin
from fake_weights_runs import DRAWN, EVALUATIONS, EXPERIMENT, GROUPS, LONGER, PLAN, POPULATIONS, WEIGHTS, fake_seed
from shown import assert_within_its_page, lines

from common import estimators, results
from common.experiments.evolution_on_weights import figures as evolution_on_weights
from common.plotting import draw as redrawing
from common.plotting import style
from common.plotting.curves import NothingToDraw
from common.tasks import networks as models
from common.tasks import task as tasks

FIGURES = evolution_on_weights.FIGURES


@pytest.fixture(scope="module")
def seeds():
    """The frames of two complete seeds."""
    return [fake_seed(0), fake_seed(1)]


@pytest.fixture
def frame(seeds):
    return results.combine(seeds)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_within_its_page_and_says_its_subject(frame, name):
    frame.attrs["missing"] = ["seed2.parquet"]
    figure = FIGURES[name](frame)
    assert figure.get_figwidth() in (style.SINGLE_COLUMN, style.DOUBLE_COLUMN)
    assert "MNIST (tiny convnet" in figure.caption
    assert "INCOMPLETE: 1 of 1 result files missing" in figure.caption
    assert_within_its_page(figure)


def test_stored_results_are_redrawn_as_files(seeds, tmp_path):
    results.write(seeds[0], tmp_path / "results" / EXPERIMENT / "seed0.parquet", origin(0))
    folders = tmp_path / "results", tmp_path / "figures"
    redrawing.redraw(EXPERIMENT, *folders, drawings=redrawing.Drawings(FIGURES, evolution_on_weights.TABLES))
    wrote = {f"{name}{ending}" for name in FIGURES for ending in (".pdf", ".png", ".txt")}
    wrote |= {f"{name}.tex" for name in evolution_on_weights.TABLES}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == wrote


def test_cosine_beside_what_is_expected(frame):
    drawn = lines(evolution_on_weights.cosine(frame).axes[0])
    assert set(drawn) == {"full rank", "rank 1", "√(n/(n + D))"}
    assert drawn["rank 1"].get_xdata() == pytest.approx(POPULATIONS)
    assert drawn["rank 1"].get_ydata()[0] == pytest.approx(1.01 * math.sqrt(16 / (16 + WEIGHTS)))
    assert drawn["√(n/(n + D))"].get_ydata()[0] == pytest.approx(math.sqrt(16 / (16 + WEIGHTS)))


def test_accuracy_against_arithmetic(frame):
    figure = evolution_on_weights.accuracy(frame)
    (axes,) = figure.axes
    assert list(lines(axes)) == [name for name in PLAN if name != DRAWN]  # which is among the parts
    ended = results.last_rows(frame).groupby("run")["cost"].mean()
    for name in lines(axes):
        assert lines(axes)[name].get_xdata()[-1] == pytest.approx(ended[name] / 1e6)
    assert axes.get_xlabel() == "Cost (million gradients of one example), log scale"
    assert "MNIST (tiny convnet, MLP)" in figure.caption


def test_the_parts_have_a_row_each_with_every_seed_and_the_mean(frame):
    figure = evolution_on_weights.parts(frame)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [name for name in PLAN if name not in GROUPS]
    seeds, mean = axes.lines[:2]
    assert len(seeds.get_xdata()) == 2
    assert mean.get_xdata() == pytest.approx(seeds.get_xdata().mean())
    assert "600,000 gradients of one example" in figure.caption


def test_trials_are_not_drawn(frame):
    trial = frame[frame["run"] == LONGER].assign(run="trial: a layer at a time, rate × 2", group="trial", order=9)
    both = results.combine([frame, trial])
    assert list(lines(evolution_on_weights.accuracy(both).axes[0])) == list(
        lines(evolution_on_weights.accuracy(frame).axes[0])
    )
    assert list(evolution_on_weights.table(both)["Setting"]) == list(PLAN)


def test_evaluations_are_those_of_the_batches(frame):
    rows = results.last_rows(evolution_on_weights._runs(frame))
    assert rows.groupby("run")["evaluations"].mean().to_dict() == pytest.approx(
        {name: 600 * EVALUATIONS[name] for name in PLAN}, nan_ok=True
    )


@pytest.mark.parametrize(
    ("estimator", "batch"),
    [
        (estimators.LayerwiseEvolution([1, 2], 0.1, chunk=5), 20),
        (estimators.LayerwiseEvolution([1, 2], 0.1, keep=0.3), 20),
        (estimators.ParameterEvolution(8, 0.1), 16),
        (estimators.ParameterEvolution(8, 0.1, own_data=False), 16),
        (estimators.ParameterEvolution(8, 0.1, shaping="none", keep=0.5), 16),
    ],
    ids=repr,
)
def test_evaluations_are_those_that_the_estimator_counts(estimator, batch):
    estimator.build(tasks.classification(models.build("mlp", (6,), 4, seed=0, hidden=(5,))))
    counted = evolution_on_weights._evaluations(repr(estimator), batch)
    assert counted == estimator.evaluations_per_step(batch)


def test_what_texts_leave_out_is_the_estimator_s_default():
    for make, known in {
        estimators.LayerwiseEvolution: evolution_on_weights._LAYERWISE,
        estimators.ParameterEvolution: evolution_on_weights._AT_ONCE,
    }.items():
        assert known == {name: signature(make).parameters[name].default for name in known}


def test_table_has_every_run_in_the_order_of_the_plan(frame):
    table = evolution_on_weights.table(frame)
    assert list(table["Setting"]) == list(PLAN)
    assert list(table["Weights"]) == [*[WEIGHTS] * 4, 101_770]
    assert table["Evaluations (million)"].iloc[3] == "-"  # of backpropagation
    assert table["Evaluations (million)"].iloc[4] == "19.7 ± 0.0"
    assert table["Cost (million gradients of one example)"].iloc[0] == "0.6 ± 0.0"
    assert table["Seconds"].iloc[1] == "180 ± 0"


def test_diverged_runs_are_counted_and_in_no_mean(seeds):
    frame = results.combine([seeds[0], fake_seed(1, diverge=(LONGER,))])
    assert "1 diverged run (cross) is in no mean" in evolution_on_weights.accuracy(frame).caption
    assert evolution_on_weights.table(frame)["Diverged"].sum() == 1


@pytest.mark.parametrize("name", FIGURES)
def test_what_the_results_lack_is_left_out_and_named(seeds, name):
    other = seeds[0].drop(columns="aligned_estimators").assign(estimator="Backpropagation()")
    with pytest.raises(NothingToDraw, match="the results hold no"):
        FIGURES[name](other)


@pytest.mark.parametrize("name", FIGURES)
def test_mixed_data_sets_are_refused(seeds, name):
    mixed = results.combine([seeds[0], seeds[1].assign(dataset="digits")])
    with pytest.raises(ValueError, match=r"several values of dataset \(mnist, digits\)"):
        FIGURES[name](mixed)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_which_every_run_diverged_are_drawn(frame, name):
    measures = [column for column in frame if column.endswith("_metric")]
    lost = frame.assign(status="diverged", diverged_step=1, **dict.fromkeys(measures, math.nan))
    FIGURES[name](lost)._repr_png_()
