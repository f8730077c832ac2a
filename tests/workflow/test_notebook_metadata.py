"""What an editor adds to a notebook is taken out before it is committed, and nothing else."""

import copy
import json
from pathlib import Path

import nbformat
import pytest

from workflow.notebook_metadata import METADATA, main, without_metadata

NOTEBOOKS = sorted(Path(__file__).resolve().parents[2].joinpath("notebooks").glob("*.ipynb"))


@pytest.fixture
def notebook(tmp_path):
    """A committed notebook, as an editor would save it."""
    content = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    edited = copy.deepcopy(content)
    edited["metadata"]["language_info"]["version"] = "3.99"
    edited["metadata"]["widgets"] = {"state": {}}
    for cell in edited["cells"]:
        cell["metadata"]["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
        cell["metadata"].setdefault("tags", [])
    path = tmp_path / "edited.ipynb"
    path.write_text(json.dumps(edited), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_notebooks_have_no_other_metadata(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    assert without_metadata(content) == content, f"run: python -m workflow.notebook_metadata notebooks/{path.name}"


def test_what_an_editor_added_is_taken_out_and_the_file_is_as_jupyter_writes_it(notebook, tmp_path, capsys):
    assert main([str(notebook)]) == 1
    assert "edited.ipynb: what an editor had added is taken out" in capsys.readouterr().out
    committed = nbformat.read(NOTEBOOKS[0], as_version=nbformat.NO_CONVERT)
    assert nbformat.read(notebook, as_version=nbformat.NO_CONVERT) == committed
    nbformat.write(committed, tmp_path / "written.ipynb")
    assert notebook.read_bytes() == (tmp_path / "written.ipynb").read_bytes()
    assert main([str(notebook)]) == 0


def test_tags_stay():
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"], "collapsed": True}, "source": "a = 1"}
    plain = without_metadata({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    assert plain["cells"][0]["metadata"] == {"tags": ["parameters"]}
    assert plain["metadata"] == METADATA


def test_a_file_that_is_no_notebook_is_named(tmp_path, capsys):
    (tmp_path / "torn.ipynb").write_text("{")
    assert main([str(tmp_path / "torn.ipynb"), str(NOTEBOOKS[0])]) == 1
    assert "torn.ipynb cannot be read as a notebook" in capsys.readouterr().err
