"""A notebook as `test_run_all.py` and `test_jupyterlab.py` run it: its first two cells are the real ones."""

import ast

import nbformat
from notebook_cases import NOTEBOOKS

NAME = "01_baseline_sgd"


def first_cells():
    """The parameters cell, and the second one up to the check: without TensorFlow."""
    cells = nbformat.read(NOTEBOOKS / f"{NAME}.ipynb", as_version=4).cells
    parameters, second = [cell.source for cell in cells if cell.cell_type == "code"][:2]
    check = [node for node in ast.parse(second).body if "check(" in ast.unparse(node)][-1]
    return parameters, "\n".join(second.splitlines()[: check.end_lineno])


def with_epochs(source, epochs):
    lines = [f"epochs = {epochs}" if line.startswith("epochs = ") else line for line in source.splitlines()]
    return "\n".join(lines)


def later_cells(file, count=6):
    """Cells that write down which parameters they see; every other one asks for none."""
    asked = ["p.epochs", "'none'"]
    return [f"with open({str(file)!r}, 'a') as file:\n    print({asked[n % 2]}, file=file)" for n in range(count)]
