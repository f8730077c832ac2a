"""What README and docs/ tell a newcomer to type and to open exists, and README's Python runs."""

import re
import shlex
from pathlib import Path

import pytest

from common import experiments
from common.estimators.checks import check_estimator

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    if line.strip()
]


def test_there_are_commands():
    assert {"make figures", "make test"} <= set(COMMANDS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_targets_exist(command):
    target, *variables = command.split()[1:]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*## ", makefile, flags=re.MULTILINE)
    for variable in variables:
        name = variable.split("=")[0]
        assert re.search(rf"\$\({name}\)|\$\(call (given|option),{name}\b", makefile), name


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("papermill ")])
def test_papermill_commands_name_parameters_that_exist(command):
    words = shlex.split(command)
    notebook = ROOT / words[1]
    assert notebook.is_file()
    fields = experiments.NOTEBOOKS[notebook.stem].model_fields
    named = [words[i + 1] for i, word in enumerate(words) if word == "-p"]
    named += [words[i + 1].split(":")[0] for i, word in enumerate(words) if word == "-y"]
    assert named
    assert set(named) <= set(fields)


def test_plot_commands_name_experiments_that_exist():
    named = re.findall(r"python -m common\.experiments (\w+)", TEXT)
    assert named
    assert set(named) <= set(experiments.NOTEBOOKS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(path):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    for link in links:
        assert "://" in link or (path.parent / link).exists(), link


def test_readme_is_short_and_its_python_runs(tmp_path, monkeypatch):
    assert len(README.splitlines()) <= 130
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        exec(compile(block, "README.md", "exec"), names)
    assert list(names["frame"]["run"].unique()) == ["exact", "noisy"]
    check_estimator(lambda: names["Clipped"](0.5))


def test_the_python_of_how_to_run_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/run.md").read_text("utf-8"), flags=re.DOTALL):
        exec(compile(block, "run.md", "exec"), names)
    assert list(names["frame"]["run"].unique()) == ["exact", "noisy"]
    assert [text.get_text() for text in names["figure"].axes[0].get_legend().get_texts()] == ["exact", "noisy"]
    names["figure"].savefig(tmp_path / "compared.png")
