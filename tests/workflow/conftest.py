"""A small project of its own: the real workflow/, notebooks of a few lines, and a drawing that writes a text file."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

# The last cell of a notebook: a result with its parameters in the provenance, as common.results writes it.
SAVE = """
import json, os
import pyarrow as pa, pyarrow.parquet as pq
notes = {"provenance": json.dumps({"parameters": {"seeds": seeds, "rate": rate}})}
table = pa.table({"threads": [os.environ["TF_NUM_INTRAOP_THREADS"]]}).replace_schema_metadata(notes)
pq.write_table(table, result_file + ".tmp")
os.replace(result_file + ".tmp", result_file)
"""
DRAW = """
import pathlib, sys
name, results, figures = sys.argv[1], sys.argv[3], pathlib.Path(sys.argv[5])
end = sys.argv.index("--expected")
options, expected = sys.argv[6:end], sys.argv[end + 1 :]
missing = [path for path in expected if not pathlib.Path(path).exists()]
figures.mkdir(parents=True, exist_ok=True)
(figures / f"{name}.txt").write_text(" ".join([*options, f"missing: {missing}"]))
with open("drawn.txt", "a") as file: file.write(name + "\\n")
"""


# As common.experiments.parameters: what the notebooks' parameters may be, and a check of them.
PARAMETERS = """
from pathlib import Path
from pydantic import BaseModel, ConfigDict, Field, ValidationError
class ParameterError(ValueError): pass
class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seeds: list[int]
    rate: float = Field(gt=0)
    result_file: str = ""
    store: str = ""
NOTEBOOKS = {path.stem: Parameters for path in Path("notebooks").glob("*.ipynb")}
def validate(notebook, values):
    try: return NOTEBOOKS[notebook](**values)
    except ValidationError as error: raise ParameterError(f"rate: {error.errors()[0]['msg']}") from None
"""


# As common.plotting.sweep: what a sweep ends with.
SWEEP = """
import pandas as pd
def printed_table(files): return pd.DataFrame({"jobs": [len(files)]})
def write_summary(results, out):
    (out / "index.html").write_text("a page")
    return [out / "index.html"]
"""


class Project:
    """A copy of the workflow in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
        for name, content in {
            "common/__init__.py": (ROOT / "common" / "__init__.py").read_text(),
            "common/results/__init__.py": "def read(folder): return sorted(folder.glob('*.parquet'))",
            "common/plotting/__init__.py": "",
            "common/plotting/sweep.py": SWEEP,
            "common/experiments/__init__.py": "",
            "common/experiments/__main__.py": DRAW,
            "common/experiments/parameters.py": PARAMETERS,
            "common/atomic.py": (ROOT / "common" / "atomic.py").read_text(),
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        for module in ("numbers.py", "notebook_parameters.py", "user_settings.py"):
            shutil.copy(ROOT / "common" / module, folder / "common")

    def notebook(self, name: str, *cells: str) -> None:
        """Write a notebook: parameters, a mark that it ran, the given cells, the save."""
        mark = f"with open('runs.txt', 'a') as file: file.write(f'{name} {{seeds}}\\n')"
        parameters = nbformat.v4.new_code_cell(
            "seeds = [0, 1]\nrate = 0.5\nresult_file = 'x.parquet'\nstore = ''",
            metadata={"tags": ["parameters"]},
        )
        rest = [nbformat.v4.new_code_cell(source) for source in (mark, *cells, SAVE)]
        path = self.folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=[parameters, *rest]), path)

    def experiments(self, **presets: dict) -> None:
        """Write experiments.yml."""
        (self.folder / "workflow" / "experiments.yml").write_text(yaml.safe_dump(presets))

    def sweep(self, path: str = "sweeps/mine.yml", **content: object) -> str:
        """Write a sweep's file; returns its path within the project."""
        content = {"notebook": "01_one", "seeds": 0} | content
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        """Start the driver."""
        return subprocess.Popen(
            [sys.executable, "-m", "workflow.run", *arguments],
            cwd=self.folder,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A shell that starts pytest in the background has it ignore Ctrl-C, and children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it takes no lock
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run the driver to its end; returns exit code and output."""
        process = self.start(*arguments, **variables)
        output, _ = process.communicate(timeout=900)
        return process.returncode, output

    def runs(self) -> list[str]:
        """List the notebooks that ran, in order, each with its seeds."""
        return self.lines("runs.txt")

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file of the project; none when it does not exist."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def stored(self) -> list[str]:
        """List the result files."""
        results = self.folder / "results"
        return sorted(str(path.relative_to(results)) for path in results.rglob("*.parquet"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project in a folder with a space in its name, which shells get wrong easily."""
    return Project(tmp_path / "a project")
