"""Every notebook stays short and reads as a plan: how many cells and lines, and nothing that belongs into common/."""

import ast
import json

import pytest
from notebook_cases import NOTEBOOKS

CELLS = 15
LINES = 120  # of code in the whole notebook, its parameters included
LINES_PER_CELL = 25  # except the parameters: papermill replaces one cell, one line per parameter
KEPT_OUT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Match)


@pytest.fixture(params=sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda file: file.stem)
def cells(request):
    return json.loads(request.param.read_text(encoding="utf-8"))["cells"]


def _code(cells):
    return [cell for cell in cells if cell["cell_type"] == "code"]


def _lines(cell):
    """Count the lines that are neither blank nor a comment."""
    lines = [line.strip() for line in "".join(cell["source"]).splitlines()]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_few_cells(cells):
    assert len(cells) <= CELLS


def test_few_lines_of_code(cells):
    assert sum(map(_lines, _code(cells))) <= LINES


def test_no_long_cell(cells):
    for cell in _code(cells):
        if "parameters" not in cell["metadata"].get("tags", []):
            assert _lines(cell) <= LINES_PER_CELL, "".join(cell["source"])


def test_nothing_is_defined_and_no_flag_is_matched(cells):
    for cell in _code(cells):
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            assert not isinstance(node, KEPT_OUT), ast.unparse(node)
