"""`make figures` tells which notebooks' code is not what is committed: JupyterLab saves by itself."""

import json
import os
import subprocess

import nbformat
import pytest

from workflow import uncommitted

NAMES = [f"0{number}_one" for number in range(7)]


def _write(name, source, output="1"):
    cell = nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", text=output)])
    cell.pop("id", None)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], nbformat_minor=4), f"notebooks/{name}.ipynb")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with committed notebooks, as the current folder."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        _write(name, "epochs = 3")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True, capture_output=True, env=environment)
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a hook
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_nothing_is_said_where_all_is_as_committed():
    assert uncommitted.sentence(NAMES) == ""


def test_outputs_and_what_editors_write_beside_the_code_do_not_count(checkout):
    _write(NAMES[0], "epochs = 3", output="another")
    path = checkout / "notebooks" / f"{NAMES[1]}.ipynb"
    content = json.loads(path.read_text())
    content["metadata"]["language_info"] = {"version": "3.99"}
    path.write_text(json.dumps(content, indent=4))
    assert uncommitted.sentence(NAMES) == ""


@pytest.mark.usefixtures("checkout")
def test_edited_notebooks_are_named_in_one_line():
    _write(NAMES[1], "epochs = 4")
    assert uncommitted.sentence(NAMES) == (
        "The code of a notebook differs from what is committed: 01_one (to see how: git diff notebooks; to undo it: "
        "git restore notebooks/01_one.ipynb)."
    )
    for name in NAMES:
        _write(name, "epochs = 5")
    sentence = uncommitted.sentence([*NAMES, *NAMES])
    assert sentence.startswith("The code of 7 notebooks differs from what is committed: 00_one, ")
    assert "04_one and 2 more (" in sentence
    assert "\n" not in sentence


def test_a_file_that_is_no_notebook_any_more_differs(checkout):
    (checkout / "notebooks" / f"{NAMES[0]}.ipynb").write_text("<<<<<<< mine")
    assert uncommitted.changed_notebooks(NAMES[:1]) == NAMES[:1]


def test_without_git_or_a_commit_nothing_is_said(checkout, monkeypatch):
    _write("09_new", "x = 1")
    assert uncommitted.sentence(["09_new"]) == ""
    _write(NAMES[0], "epochs = 4")
    monkeypatch.setenv("PATH", str(checkout))
    assert uncommitted.sentence(NAMES) == ""
