"""What `ci/browser` concludes from what a browser tells it."""

import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WIDGET, FIGURE = ("application/vnd.jupyter.widget-view+json",), ("image/png",)
SEEN = {"screen": 800, "title": 60, "question": 100, "plan": 2300, "figure": 2200, "broken": 0, "figures": 2, "bars": 1}


@pytest.fixture(scope="module")
def script():
    """The program as a module, without the file that an import leaves beside it."""
    module = types.ModuleType("ci_browser", "Doc.")
    module.__file__ = str(ROOT / "ci" / "browser")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(ROOT / "ci"))  # as for a program of this folder
        exec(compile((ROOT / "ci" / "browser").read_text(encoding="utf-8"), "ci/browser", "exec"), module.__dict__)
    return module


def _cell(*formats, text="", count=1, error=None):
    output = {"kind": "error" if error else "display_data", "error": error, "sentence": "no", "text": text}
    return {"code": True, "source": "x = 1", "count": count, "outputs": [{**output, "formats": list(formats)}]}


def test_a_notebook_that_ran_well(script):
    assert script.outputs_wrong([_cell(*WIDGET), _cell(*FIGURE)]) == []


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        (_cell(error="ValueError"), "ValueError: no"),
        (_cell(count=None), "a cell did not run: 'x = 1'"),
        (_cell(text="  7%|7   | 1/14"), "progress is a text: '  7%|7   | 1/14'"),
    ],
)
def test_what_is_wrong_with_an_output(script, cell, complaint):
    assert script.outputs_wrong([_cell(*WIDGET), _cell(*FIGURE), cell]) == [complaint]


def test_figures_and_progress_are_missed(script):
    assert script.outputs_wrong([_cell()]) == ["there is no figure", "progress is no widget"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, None),
        ({"figure": 2480}, "the figure ends on screen 3.10, not within 3"),
        ({"plan": None}, "there is no plan"),
        ({"broken": 1}, "1 of 2 figures are broken"),
        ({"bars": 0}, "no bar of progress is seen"),
    ],
)
def test_what_is_wrong_with_the_first_screens(script, change, complaint):
    assert script.layout_wrong(SEEN | change) == [complaint] * bool(complaint)


def test_letters_of_a_figure(script):
    # Of README, at 150 pixels per inch or more: letters of six points have at least 12 pixels.
    assert script.pixels_of_letters(ROOT / "figures" / "paper" / "08_ledger_mnist_mlp.png") >= 12


def test_a_wrong_part_is_refused(script, capsys):
    with pytest.raises(SystemExit):
        script.parsed(["labb"])
    assert "part must be one of lab, page, site, readme, got 'labb'" in capsys.readouterr().err
