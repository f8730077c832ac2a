"""What a job does around papermill: checkpoints of the same code only, one sentence per failure."""

import dataclasses
from pathlib import Path

import pytest
from papermill.exceptions import PapermillExecutionError

from workflow.execute import fresh_checkpoints, sentence
from workflow.experiments import Job


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job in a folder with a notebook, some code and some plotting."""
    monkeypatch.chdir(tmp_path)
    for name in ("notebooks/01_one.ipynb", "common/data.py", "common/plotting/style.py"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("1")
    return Job("paper", "01_one", "seed1", {"rate": 0.1})


def test_checkpoints_stay_while_code_and_parameters_do(job):
    folder = fresh_checkpoints(job)
    folder.mkdir(parents=True)
    Path("common/plotting/style.py").write_text("2")  # changes no number
    assert fresh_checkpoints(job) == folder
    assert folder.exists()


@pytest.mark.parametrize("changed", ["notebooks/01_one.ipynb", "common/data.py"])
@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_checkpoints_of_other_code_are_told_and_only_quick_ones_removed(job, changed, preset, capsys):
    job = dataclasses.replace(job, preset=preset)
    folder, neighbour = fresh_checkpoints(job), Path(f"results/.checkpoints/{preset}/01_one/seed10-abc")
    folder.mkdir(parents=True)
    neighbour.mkdir()
    assert capsys.readouterr().out == ""
    Path(changed).write_text("2")
    assert fresh_checkpoints(job) != folder
    assert folder.exists() == (preset == "paper")
    assert neighbour.exists()
    fate = {"quick": "removed\n", "paper": "kept: they serve again if"}[preset]
    told = f"checkpoints in {folder} were made by other code or parameters, so they are {fate}"
    assert told in capsys.readouterr().out


def test_checkpoints_of_other_parameters_are_not_used(job):
    fresh_checkpoints(job).mkdir(parents=True)
    assert not fresh_checkpoints(dataclasses.replace(job, parameters={"rate": 0.2})).exists()


def test_an_error_becomes_one_line_without_colours():
    error = PapermillExecutionError(1, 1, "", "ValueError", "\x1b[31mtwo\n lines\x1b[0m", ["..."])
    assert sentence(error) == "ValueError: two lines"
