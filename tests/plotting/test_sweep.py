import json
import math
import re
import shlex

import pandas as pd
import pytest
from fake_sweep_runs import (
    DIRECTION,
    NOTEBOOK,
    as_frame,
    fake_run,
    fake_sweep,
    final_errors,
    grid,
    origins,
    parameters_at,
    write_sweep,
)
from scipy import stats

from common import results
from common.experiments.parameters import validate
from common.plotting.page import write_page
from common.plotting.sweep import printed_table, sweep_figure, sweep_names, sweep_page, sweep_table, write_summary
from common.plotting.sweep_points import filled_columns, swept_rows

SIGMAS = [0.01, 0.1, 1.0, 2.0]
RATES = ["SGD(0.003)", "SGD(0.01)", "SGD(0.1)"]


# --- Names and table ---


def test_names_are_those_of_the_columns():
    assert sweep_names(fake_sweep(grid(sigma=[1.0], optimizer=RATES))) == ["sigma", "optimizer"]
    assert sweep_names(pd.DataFrame(columns=["seed"])) == []


def test_a_row_has_mean_t_interval_and_counts():
    frame = fake_sweep(grid(sigma=SIGMAS), range(5), diverge=lambda point, seed: point["sigma"] == 2.0 and seed < 2)
    table = sweep_table(frame).set_index(["run", "sweep.sigma"])
    accuracies = 100 - final_errors(frame, DIRECTION, sigma=0.1)
    row = table.loc[(DIRECTION, 0.1)]
    expected = stats.t.interval(0.95, 4, accuracies.mean(), stats.sem(accuracies))
    assert row[["mean", "low", "high"]].tolist() == pytest.approx([accuracies.mean(), *expected])
    assert row[["metric", "n", "diverged"]].tolist() == ["accuracy", 5, 0]
    assert table.loc[(DIRECTION, 2.0)][["n", "diverged"]].tolist() == [3, 2]
    assert table.loc[(DIRECTION, 0.1), "validation"] < table.loc[(DIRECTION, 0.1), "mean"]


def test_one_seed_has_no_interval_and_a_diverged_point_no_mean():
    frame = fake_sweep(grid(sigma=[0.1, 1.0]), [0], diverge=lambda point, seed: point["sigma"] == 1.0)
    table = sweep_table(frame).query("run == @DIRECTION")
    assert table[["low", "high"]].isna().all(axis=None)
    assert table["mean"].isna().tolist() == [False, True]
    printed = printed_table(frame).query("run == @DIRECTION")
    assert printed["test accuracy (%)"].tolist()[1] == "diverged"
    assert printed["95 % interval"].tolist() == ["-", "-"]


def test_a_run_that_is_the_same_at_all_points_counts_once():
    table = sweep_table(fake_sweep(grid(sigma=SIGMAS, optimizer=RATES), baseline_depends_on=()))
    baseline = table[table["run"] == "backpropagation"]
    assert baseline[["sweep.sigma", "sweep.optimizer"]].isna().to_numpy().tolist() == [[True, True]]
    assert baseline["n"].tolist() == [3]
    assert len(table) == 1 + 4 * 3


def test_a_run_that_depends_on_one_of_two_things_is_there_for_each_of_its_values():
    table = sweep_table(fake_sweep(grid(sigma=SIGMAS, optimizer=RATES), baseline_depends_on=("optimizer",)))
    baseline = table[table["run"] == "backpropagation"]
    assert baseline["sweep.optimizer"].tolist() == RATES
    assert baseline["sweep.sigma"].isna().all()
    assert set(baseline["n"]) == {3}


def test_points_of_a_random_search_are_all_kept_though_each_thing_alone_tells_them_apart():
    points = [{"sigma": 0.1 + number, "batch_size": 8 + number} for number in range(6)]
    table = sweep_table(fake_sweep(points, baseline_depends_on=("batch_size",)))
    assert len(table) == 12
    assert table[["sweep.sigma", "sweep.batch_size"]].notna().all(axis=None)


@pytest.mark.parametrize("digest", [pd.NA, ""])
def test_runs_without_a_digest_are_kept_for_each_point(digest):
    frame = fake_sweep(grid(sigma=SIGMAS))
    table = sweep_table(frame.assign(digest=pd.array([digest] * len(frame), dtype="str")))
    assert len(table) == 8


def test_order_is_that_of_the_numbers_in_texts_and_of_the_plan():
    frame = fake_sweep(grid(hidden=["[128]", "[32]", "[64, 64]"]), baseline_depends_on=("hidden",))
    table = sweep_table(frame)
    assert table["sweep.hidden"].tolist() == ["[32]"] * 2 + ["[64, 64]"] * 2 + ["[128]"] * 2
    assert table["run"].tolist() == ["backpropagation", DIRECTION] * 3


def test_a_missing_value_is_a_value_of_its_own():
    table = sweep_table(fake_sweep(grid(validation=[None, 100]), baseline_depends_on=("validation",)))
    assert table["sweep.validation"].tolist() == ["100", "100", "none", "none"]


def test_truth_values_are_texts():
    assert sweep_table(fake_sweep(grid(clip=[True, False])))["sweep.clip"].dropna().tolist() == ["False", "True"]


def test_several_records_of_a_seed_at_a_point_are_refused_with_what_they_differ_in():
    twice = [row for momentum in (0.0, 0.9) for row in fake_run({"sigma": 0.1}, 3, momentum=momentum)]
    with pytest.raises(ValueError, match=r"seed 3 at sigma = 0\.1, run = this direction, which differ in momentum"):
        sweep_table(as_frame(twice))


def test_trials_are_in_no_mean():
    trial = [row | {"group": "trial"} for row in fake_run({"sigma": 0.1}, 0, "tried", depends_on=())]
    frame = as_frame(fake_run({"sigma": 0.1}, 0) + trial)
    assert sweep_table(frame)["run"].tolist() == [DIRECTION]
    assert set(sweep_page(frame).table["run"]) == {DIRECTION, "tried"}


def test_mean_squared_errors_are_not_per_cent():
    frame = fake_sweep(grid(sigma=[0.1])).assign(metric="mean_squared_error")
    assert sweep_table(frame)["mean"].between(0, 1).all()
    assert "test mean squared error" in printed_table(frame)


def test_a_swept_name_may_be_that_of_another_column():
    frame = fake_sweep(grid(n=[1, 2], curve=["a", "b"]))
    assert {"sweep.n", "n", "curve"} < set(printed_table(frame))
    assert {"n", "sweep.curve", "curve"} < set(sweep_page(frame).table)


# --- Texts into which others are filled ---


def _with_estimator(points):
    return [
        point | {"estimator": f"NoisyGradient(Backpropagation(), ConstantNoise({point['sigma']}))"} for point in points
    ]


def test_a_text_that_repeats_what_else_was_swept_is_no_axis_of_its_own():
    frame = fake_sweep(_with_estimator(grid(sigma=SIGMAS, optimizer=RATES)), baseline_depends_on=("optimizer",))
    assert filled_columns(swept_rows(frame)) == ["sweep.estimator"]
    assert "over sigma, a line for each optimizer" in sweep_figure(frame).caption
    assert "sweep.estimator" in sweep_table(frame)
    assert "estimator" not in printed_table(frame)
    assert "sweep.estimator" in sweep_page(frame).details


def test_a_text_that_says_more_than_what_is_filled_in_stays():
    points = [point | {"name": f"{kind}({point['sigma']})"} for point in grid(sigma=[0.1, 1.0]) for kind in "ab"]
    assert filled_columns(swept_rows(fake_sweep(points))) == []


# --- Page ---


def test_the_page_has_each_record_once_and_numbers_as_numbers():
    frame = fake_sweep(grid(sigma=SIGMAS, optimizer=RATES))
    page = sweep_page(frame, "Noise")
    assert len(page.table) == 4 * 3 * 3 + 3
    assert list(page.table) == [
        *("sigma", "optimizer", "run", "seed", "status", "test (%)", "validation (%)", "train (%)"),
        *("curve", "seconds", "cost", "commit"),
    ]
    assert page.missing == {"sigma": "any", "optimizer": "any"}
    assert page.table["sigma"].dtype == float
    assert set(page.table["optimizer"]) == {"any", *RATES}
    assert len(page.details) == len(page.table)
    assert "39 records" in page.words


def test_curves_share_one_scale_and_leave_gaps():
    frame = fake_sweep(grid(sigma=[0.1, 1.0]), seeds=[0], epochs=4, baseline_depends_on=None)
    lost = (frame["sweep.sigma"] == 0.1) & (frame["epoch"] == 2)
    page = sweep_page(frame.assign(validation_metric=frame["validation_metric"].mask(lost)))
    first, second = ([curve[i : i + 2] for i in range(0, 8, 2)] for curve in page.table["curve"])
    assert first[1] == "--"
    assert first[0] == "00"
    assert second[-1] == "99"
    assert re.search(r"Curves: validation accuracy, all from \d+(\.\d+)? % \(bottom\) to", page.words)


def test_long_curves_are_thinned_to_their_ends():
    page = sweep_page(fake_sweep(grid(sigma=[0.1]), seeds=[0], epochs=300, baseline_depends_on=None))
    (curve,) = page.table["curve"]
    assert len(curve) == 2 * 40
    assert (curve[:2], curve[-2:]) == ("00", "99")


def test_details_tell_where_a_record_comes_from():
    details = sweep_page(fake_sweep(grid(sigma=[0.1]), seeds=[1])).details.iloc[-1]
    assert details["commit"] == "0123456789abcdef"
    assert details["versions"] == "python 3.11.2, tensorflow 2.21.0, numpy 2.4.1"
    assert (details["device"], details["threads"], details["dirty"]) == ("CPU", "2", "False")
    assert details["begun"] == "2026-01-01T00:00:01+00:00"
    assert details["estimator"] == "NoisyGradient(Backpropagation(), ConstantNoise(0.1))"


def _parsed(command):
    """What papermill makes of a command's -p and -y."""
    import yaml
    from papermill.cli import NoDatesSafeLoader, _resolve_type

    program, notebook, _, *rest = shlex.split(command)
    assert (program, notebook) == ("papermill", f"notebooks/{NOTEBOOK}.ipynb")
    given = {}
    while rest:
        option = rest.pop(0)
        if option == "-y":
            given |= yaml.load(rest.pop(0), Loader=NoDatesSafeLoader)
        else:
            assert option == "-p"
            given |= {rest.pop(0): _resolve_type(rest.pop(0))}
    return given


def test_each_record_has_the_command_that_repeats_it():
    from common.notebook_parameters import notebook_defaults
    from common.results.command import NOTEBOOKS

    points = grid(sigma=[0.1, 1.0], optimizer=["SGD(0.003)", "SGD(LinearDecay(0.1), name='it''s')"], epochs=[3])
    page = sweep_page(fake_sweep(points, seeds=[0, 7]))
    for row, details in zip(page.table.to_dict("records"), page.details.to_dict("records"), strict=True):
        given = notebook_defaults(NOTEBOOKS / f"{NOTEBOOK}.ipynb") | _parsed(details["command"])
        checked = validate(NOTEBOOK, given)
        assert checked.seeds == [row["seed"]]
        if row["run"] == DIRECTION:
            expected = parameters_at({name: row[name] for name in ("sigma", "optimizer")} | {"epochs": 3}, row["seed"])
            assert checked.model_dump(exclude={"result_file"}) == {
                name: value for name, value in expected.items() if name != "result_file"
            }


def test_a_record_that_several_calls_may_have_made_has_no_command():
    points = grid(sigma=[0.1, 1.0])
    frame = fake_sweep(points, seeds=[0])
    # Files that do not tell what was swept: the noise is only within the estimator.
    frame.attrs["provenance"] = [{"parameters": origin["parameters"]} for origin in origins(points, [0])]
    assert sweep_page(frame).details["command"].str.startswith("unknown: ").all()


def test_results_without_parameters_have_no_command():
    frame = fake_sweep(grid(sigma=[0.1]))
    frame.attrs = {}
    assert sweep_page(frame).details["command"].str.startswith("unknown: ").all()


def test_swept_lists_and_truth_values_find_their_command():
    points = grid(hidden=["[64, 32]", "[16]"], clip=[True, False])
    frame = fake_sweep(points, seeds=[0])
    for origin in frame.attrs["provenance"]:
        hidden = json.loads(origin["sweep"]["hidden"])
        origin["sweep"]["hidden"] = origin["parameters"]["hidden"] = hidden
    commands = sweep_page(frame).details["command"]
    assert sum(_parsed(command)["hidden"] == [64, 32] for command in commands) >= 2


def test_nothing_that_a_user_wrote_ends_an_element(tmp_path):
    evil = "</script><script>alert(1)</script><b>&amp;"
    frame = fake_sweep(grid(**{"optimizer": [evil], "<i>n": [1, 2]})).assign(note=evil)
    text = write_page(sweep_page(frame, evil), tmp_path, "index", frame).read_text(encoding="utf-8")
    assert evil not in text
    assert "alert(1)</script" not in text
    assert "<i>n" not in text


def test_the_page_loads_nothing_and_is_the_same_again(tmp_path):
    frame = fake_sweep(grid(sigma=SIGMAS))
    first, second = (write_page(sweep_page(frame), tmp_path / name, "index", frame).read_bytes() for name in "ab")
    assert first == second
    assert b'src="http' not in first
    assert b"from 'http" not in first


# --- All of it ---


def test_a_summary_is_written_from_a_sweeps_folder(tmp_path, capsys):
    write_sweep(tmp_path / "noise", _with_estimator(grid(sigma=[0.1, 1.0], optimizer=RATES[:2])))
    paths = write_summary(tmp_path / "noise", tmp_path / "out")
    names = ["figure.pdf", "figure.png", "figure.txt", "table.tex", "index.html", "table.csv"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert table.shape[0] == 5
    assert sweep_names(table) == ["sigma", "optimizer", "estimator"]
    assert "SGD(0.003) & this direction" in (tmp_path / "out" / "table.tex").read_text()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<title>Sweep noise</title>" in page
    assert "ConstantNoise(1.0))' -p optimizer 'SGD(0.01)' -y '{seeds: [1]}'" in page
    assert "unknown: the stored parameters" not in page
    assert capsys.readouterr() == ("", "")


def test_the_same_results_give_the_same_bytes(tmp_path):
    write_sweep(tmp_path / "noise", grid(sigma=[0.1, 1.0]))
    first, second = ({p.name: p.read_bytes() for p in write_summary(tmp_path / "noise", tmp_path / o)} for o in "ab")
    assert first == second


def test_a_figure_without_anything_to_draw_is_left_out_with_what_was_drawn_before(tmp_path):
    write_sweep(tmp_path / "noise", grid(sigma=[0.1, 1.0]))
    write_summary(tmp_path / "noise", tmp_path / "out")
    for path in (tmp_path / "noise").rglob("*.parquet"):
        file = results.read(path)
        results.write(file.assign(test_metric=math.nan), path, {"parameters": {}})
    assert [path.name for path in write_summary(tmp_path / "noise", tmp_path / "out")] == [
        *("table.tex", "index.html", "table.csv")
    ]
    assert not (tmp_path / "out" / "figure.png").exists()
