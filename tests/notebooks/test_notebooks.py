"""Every notebook runs with tiny parameters and refuses wrong ones at once; `test_notebook_limits.py` has its form."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
from notebook_cases import NOTEBOOKS, TINY

from common import experiments, results
from common.experiments import parameters as checking

FILES = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
LENGTHS = {"08_comparison": "passes"}  # how long runs are, where it is not in epochs
# What diverges, where it is not a learning rate. Large enough for products of a few weights to overflow.
OVERFLOWING = {
    "00_one_direction": {"optimizer": "SGD(1e30)"},
    "08_comparison": {"sources": ["backpropagation", "NoisyGradient(Backpropagation(), ConstantNoise(1e38))"]},
}
WRONG = [("dataset", "minst", "'dataset' must be"), ("seeds", -1, "'seeds' must be greater than or equal to 0, got -1")]


def test_every_notebook_has_its_case_and_its_parameters():
    names = {file.stem for file in FILES}
    assert names == set(TINY) == set(experiments.NOTEBOOKS)


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def notebook(request):
    return request.param


def _code(notebook):
    return [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]


def _papermill(notebook, folder, *options, **values):
    """Run the plain command of the README, from another folder."""
    command = [sys.executable, "-m", "papermill", str(notebook), str(folder / "out.ipynb"), "-k", "python3", *options]
    for name, value in values.items():
        command += ["-p", name, str(value)]
    environment = os.environ | {"JUPYTER_PREFER_ENV_PATH": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=3000, check=False
    )


def test_runs_and_writes_its_results(notebook, tmp_path):
    values = TINY[notebook.stem] | {
        "result_file": str(tmp_path / "out.parquet"),
        "weights_file": str(tmp_path / "w.keras"),
    }
    values |= {"store": str(tmp_path / "store"), "tensorboard_dir": str(tmp_path / "tensorboard")}
    papermill.execute_notebook(
        notebook, tmp_path / "out.ipynb", values, cwd=NOTEBOOKS, kernel_name="python3", progress_bar=False
    )
    frame = results.read(tmp_path / "out.parquet")
    assert set(frame["experiment"]) == {notebook.stem}
    assert set(frame.loc[frame["group"] != "trial", "seed"]) == set(values["seeds"])
    assert (frame["status"] == "finished").all()
    last = results.last_rows(frame)
    last = last[last["cost"].notna()]  # rows without a cost are no runs: what was counted or looked at beside them
    assert last["test_metric"].between(0, last["metric"].map({"accuracy": 1, "mean_squared_error": np.inf})).all()
    stored = frame.attrs["provenance"][0]
    name = LENGTHS.get(notebook.stem, "epochs")
    assert stored["parameters"][name] == values[name]
    assert (tmp_path / "w.keras").is_file()
    assert list((tmp_path / "tensorboard").rglob("events.out.*"))


def test_parts_that_may_be_left_out_are_named_and_the_results_are_written(tmp_path):
    left_out = {"long_seeds": [], "alignment_seeds": [], "zeroth_hidden": [], "timed_rounds": 0}
    values = TINY["08_comparison"] | left_out | {"result_file": str(tmp_path / "out.parquet"), "store": str(tmp_path)}
    executed = papermill.execute_notebook(
        NOTEBOOKS / "08_comparison.ipynb", tmp_path / "out.ipynb", values, kernel_name="python3", progress_bar=False
    )
    said = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))
    assert "left out zeroth_order" in said
    assert "left out directions_table" in said
    assert not results.read(tmp_path / "out.parquet").empty


def test_a_diverged_run_is_a_result(notebook, tmp_path):
    overflowing = OVERFLOWING.get(notebook.stem, {"learning_rate": 1e30})
    values = TINY[notebook.stem] | overflowing | {"result_file": str(tmp_path / "out.parquet")}
    values |= {"weights_file": str(tmp_path / "w.keras"), "store": str(tmp_path / "store")}
    papermill.execute_notebook(
        notebook, tmp_path / "out.ipynb", values, cwd=tmp_path, kernel_name="python3", progress_bar=False
    )
    frame = results.read(tmp_path / "out.parquet")
    assert "diverged" in set(frame["status"])
    assert frame.loc[frame["status"] == "diverged", "diverged_step"].notna().all()


def test_papermill_may_inject_paths_and_seeds_may_be_a_range(tmp_path):
    notebook = NOTEBOOKS / "00_one_direction.ipynb"
    values = TINY[notebook.stem] | {"seeds": "3-4", "result_file": tmp_path / "out.parquet"}
    done = _papermill(notebook, tmp_path, "--inject-paths", **values, store=tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert set(results.read(tmp_path / "out.parquet")["seed"]) == {3, 4}


@pytest.mark.parametrize(("name", "value", "words"), [*WRONG, ("seedz", 1, "unknown parameter 'seedz' (= 1); did you")])
def test_a_wrong_parameter_ends_papermill_with_a_sentence(tmp_path, name, value, words):
    """One notebook stands for all: the next test has the others' checks."""
    done = _papermill(NOTEBOOKS / "01_baseline_sgd.ipynb", tmp_path, **{name: value})
    assert done.returncode != 0
    assert words in done.stderr
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    errors = [out for cell in executed.cells for out in cell.get("outputs", []) if out.output_type == "error"]
    assert [error.ename for error in errors] == ["ParameterError"]
    assert len(errors[0].traceback) == 1  # the sentence alone


def test_the_first_thing_that_a_notebook_does_is_to_check_its_parameters(notebook):
    parameters, first = (cell.source for cell in _code(notebook)[:2])
    assert first.startswith(f'from common.experiments import check\n\np = check("{notebook.stem}", globals())')
    length = LENGTHS.get(notebook.stem, "epochs")
    wrong = [*WRONG, (length, -1, f"'{length}' must be greater than or equal to 1, got -1")]
    wrong += [(f"{length}z", 1, f"unknown parameter '{length}z' (= 1); did you mean '{length}'?")]
    for name, value, words in wrong:
        injected, namespace = f"# Parameters\n{name} = {value!r}\n", {}
        for source in (parameters, injected):
            exec(source, namespace)
        with pytest.raises(checking.ParameterError) as error:
            experiments.check(notebook.stem, namespace, [parameters, injected])
        assert words in str(error.value)


def test_no_cell_changes_a_parameter(notebook):
    """Else the check, run again in the same session, would see something that nobody set."""
    first, *others = [cell.source for cell in _code(notebook)]
    names = set(checking._parameter_names([first]))
    for source in others:
        stored = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        assert not names & stored


def test_every_parameter_has_a_comment_and_is_known(notebook):
    tagged = [cell for cell in _code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    first, *lines = tagged[0].source.splitlines()
    assert first.startswith(checking.PARAMETER_CELL_MARK)
    lines = [line for line in lines if not re.match(r"# \S", line)]  # the names of groups of parameters
    for line in lines:
        assert re.match(r"\w+ = .+  # \S", line), line
    assert checking._parameter_names([tagged[0].source]) == [line.split(" = ")[0] for line in lines]
    namespace = {}
    exec(tagged[0].source, namespace)
    experiments.check(notebook.stem, namespace, [tagged[0].source])


def test_stored_outputs_are_complete_and_tell_nothing_of_a_machine(notebook):
    for cell in _code(notebook):
        assert cell.execution_count, f"not run: {cell.source[:80]}"
        for output in cell.outputs:
            assert output.output_type != "error"
    text = Path(notebook).read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
