"""Variables, arguments, attributes and functions have the name of the thing they are."""

import ast
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VAGUE = {"it", "one", "found", "made", "told", "how", "flat", "draws", "subject", "shares", "trajectory"}
VAGUE |= {"short_runs", "own_optimizers", "resting"}


def _files():
    """The tracked files; without git, such as in an unpacked archive, all in the folders of code."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.py", "*.ipynb"], check=False, cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode == 0:
        return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    folders = ("benchmarks", "ci", "common", "notebooks", "tests", "workflow")
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return sorted(str(path.relative_to(ROOT)) for path in paths if path.suffix in (".py", ".ipynb"))


def _sources(name):
    """Yield (place, code): a module as a whole, a notebook cell by cell."""
    content = (ROOT / name).read_text(encoding="utf-8")
    if not name.endswith(".ipynb"):
        yield name, content
        return
    for number, cell in enumerate(json.loads(content)["cells"]):
        if cell["cell_type"] == "code":
            yield f"{name}, cell {number}", "".join(cell["source"])


def _defined(code):
    """Yield (line, name) of each name that the code defines."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.MatchMapping(rest=str(name)):
                yield node.lineno, name


def _vague(code):
    return [(line, name) for line, name in _defined(code) if name.lower().strip("_") in VAGUE]


def test_there_are_files():
    names = _files()
    assert {"tests/test_names.py", "common/vectors.py", "notebooks/00_one_direction.ipynb"} <= set(names)


@pytest.mark.parametrize(
    "code",
    [
        "found = 1",
        "for it in range(3): pass",
        "x = [one for one in range(3)]",
        "x, (y, *made) = 1, (2, 3)",
        "def f(*, told): pass",
        "lambda **how: 0",
        "def _flat(): pass",
        "class Draws: pass",
        "self.subject = 1",
        "from common import captions as subject",
        "try: pass\nexcept ValueError as found: pass",
        "match x:\n    case [one]: pass",
        "if (found := 1): pass",
        "MADE = 1",
    ],
)
def test_a_vague_name_is_seen_wherever_it_is_defined(code):
    assert len(_vague(code)) == 1


def test_what_only_reads_such_a_name_is_not_its_fault():
    assert _vague("x = module.found + f(how=1)") == []


def test_every_name_is_that_of_the_thing():
    places = [
        f"{place}, line {line}: {name}"
        for file in _files()
        for place, code in _sources(file)
        for line, name in _vague(code)
    ]
    assert not places, (
        "Name each of these after the thing it is, in the field's terms (`estimate`, `eigenvalues`, `options`):\n"
        + "\n".join(places)
    )
