"""A notebook is a script, too: what `jupyter nbconvert --to script` makes of it runs with plain Python."""

import ast
import builtins
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from nbconvert.exporters import ScriptExporter
from notebook_cases import NOTEBOOKS, TINY

from common import results

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
RUN = "00_one_direction"


def _script(notebook):
    return ScriptExporter().from_notebook_node(nbformat.read(notebook, as_version=4))


@pytest.mark.parametrize("notebook", FILES, ids=lambda file: file.stem)
def test_every_name_is_pythons_own_or_the_scripts(notebook):
    source, resources = _script(notebook)
    assert resources["output_extension"] == ".py"  # by the notebook's own language_info; else it is a .txt
    tree = ast.parse(source)
    known = set(dir(builtins))
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                known |= {alias.asname or alias.name.split(".")[0] for alias in names}
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                known.add(name)
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert read <= known, f"only IPython defines {read - known}"
    compile(source, notebook.name, "exec")


def test_a_script_runs_and_writes_its_results(tmp_path):
    values = TINY[RUN] | {"result_file": str(tmp_path / "out.parquet"), "store": str(tmp_path / "store")}
    content = papermill.parameterize.parameterize_notebook(papermill.iorw.load_notebook_node(str(FILES[0])), values)
    nbformat.write(content, tmp_path / "tiny.ipynb")
    call = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "script", str(tmp_path / "tiny.ipynb")]
    subprocess.run(call, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "tiny.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(results.read(tmp_path / "out.parquet")["seed"]) == set(values["seeds"])


def test_a_script_with_a_wrong_parameter_ends_with_its_sentence(tmp_path):
    parameters, check = _first(FILES[0])
    (tmp_path / "wrong.py").write_text(f"{parameters}\nepochz = 3\n{check}", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "wrong.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].startswith(
        "common.experiments.parameters.ParameterError: unknown parameter 'epochz' (= 3); did you mean 'epochs'?"
    )


def _first(notebook):
    """Return the cell of parameters, and the check at the beginning of the next."""
    cells = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    lines = cells[1].splitlines()
    return cells[0], "\n".join(lines[:3])
