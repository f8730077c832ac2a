import shlex

import pytest

from common.notebook_parameters import notebook_defaults
from common.results.command import NOTEBOOKS, papermill_command

NOTEBOOK = "00_one_direction"
VALUES = {
    "flag": True,
    "nothing": None,
    "whole": -3,
    "small": 1e-05,
    "large": 1e22,
    "text": 'SGD(0.1, name="it\'s $HOME `x`\\n")',
    "lines": "a\nb: [c]",
    "like a number": "1e3",
    "like a truth": "True",
    "like nothing": "None",
    "date": "2026-01-01",
    "empty": "",
    "dash": "-p",
    "greek": "σ = 1",
    "list": [1, 0.5, 1e-05, "yes", "1e3", None, True],
    "nested": {"a": [[1], []]},
}


@pytest.fixture
def called(monkeypatch):
    """Give a command line to papermill; return what it would execute."""
    cli = pytest.importorskip("papermill.cli")
    calls = []
    monkeypatch.setattr(cli, "execute_notebook", lambda **options: calls.append(options))
    monkeypatch.setattr(cli, "INPUT_PIPED", False)
    monkeypatch.setattr(cli, "OUTPUT_PIPED", False)

    def parse(command):
        program, *arguments = shlex.split(command)
        assert program == "papermill"
        cli.papermill.main(arguments, standalone_mode=False)
        return calls.pop()

    return parse


def test_papermill_gets_every_value_back(called):
    call = called(papermill_command("none", VALUES))
    assert call["parameters"] == VALUES
    assert [type(value) for value in call["parameters"].values()] == [type(VALUES[name]) for name in call["parameters"]]
    assert (call["input_path"], call["output_path"]) == ("notebooks/none.ipynb", "out.ipynb")


def test_what_the_notebook_sets_itself_is_left_out_as_are_files(called):
    defaults = notebook_defaults(NOTEBOOKS / f"{NOTEBOOK}.ipynb")
    assert defaults["hidden"] == [32]
    changed = defaults | {"epochs": 3, "hidden": [64], "store": "elsewhere", "result_file": "a.parquet"}
    assert called(papermill_command(NOTEBOOK, changed))["parameters"] == {"epochs": 3, "hidden": [64]}
    assert papermill_command(NOTEBOOK, defaults).split() == ["papermill", f"notebooks/{NOTEBOOK}.ipynb", "out.ipynb"]


@pytest.mark.parametrize(
    ("default", "value", "same"),
    [(0.05, 0.05, True), (1, 1.0, True), (1, True, False), (0, False, False), (3, [3], True), ([3], 3, False)],
)
def test_a_checked_value_may_be_the_default_in_another_type(monkeypatch, default, value, same):
    monkeypatch.setattr("common.results.command.notebook_defaults", lambda notebook: {"x": default})
    assert ("x" not in papermill_command("none", {"x": value})) == same


def test_a_notebook_that_cannot_be_read_sets_nothing():
    assert notebook_defaults("99_none.ipynb") == {}
