"""The driver runs under a user's own settings for the terminal, the locale and Python, and says what it cannot have."""

import nbformat
import pytest

AWKWARD = {
    "PYTHONIOENCODING": "ascii",
    "LC_ALL": "C",
    "LANG": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONOPTIMIZE": "2",
    "PYTHONHASHSEED": "7",
    "COLUMNS": "20",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "TZ": "Pacific/Kiritimati",
    "MPLBACKEND": "TkAgg",
    "HOME": "/dev/null/home",
}
MULTILINGUAL = "print('σ → é, 1,5')"


@pytest.fixture
def multilingual(project):
    project.notebook("01_one", MULTILINGUAL)
    project.experiments(quick={"01_one": {"parameters": {}}})
    return project


def test_a_job_ends_well_under_awkward_settings(multilingual, tmp_path):
    code, output = multilingual.run("--preset", "quick", **AWKWARD, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert code == 0, output
    assert r"\u03c3 \u2192 \xe9, 1,5" in output
    assert multilingual.stored() == ["quick/01_one/all.parquet"]
    executed = nbformat.read(multilingual.folder / "logs/quick/01_one/all.ipynb", as_version=4)
    assert any("σ → é" in output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))


def test_a_job_ends_well_where_warnings_are_errors_and_figures_have_no_backend(multilingual):
    code, output = multilingual.run("--preset", "quick", PYTHONWARNINGS="error", MPLBACKEND="no backend")
    assert code == 0, output
    assert multilingual.stored() == ["quick/01_one/all.parquet"]


def test_a_home_that_cannot_be_written_is_told_before_anything_runs(multilingual):
    code, output = multilingual.run("--preset", "quick", HOME="/dev/null/home", XDG_CACHE_HOME="")
    assert code == 2
    assert output.startswith(
        "Error: Snakemake needs a folder that it can write to, and /dev/null/home/.cache/snakemake"
    )
    assert "set XDG_CACHE_HOME, or HOME, to one" in output
    assert output.count("\n") == 1
    assert multilingual.runs() == []
