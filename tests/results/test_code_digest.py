import subprocess
import sys
from pathlib import Path

import pytest

from common import results
from common.results.code_digest import Sources

ROOT = Path(results.__file__).parents[2]
FILES = {
    "common/__init__.py": '"""Package."""\nimport os\n\nos.environ.setdefault("A", "3")\n',
    "common/checks.py": "def require(condition):\n    assert condition\n",
    "common/data/__init__.py": '"""Data."""\nfrom common.data.load import load\nfrom common.data.extra import more\n'
    '\n__all__ = ["load", "more"]\n',
    "common/data/load.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from common.typed import T\n\n\n"
    'def load(name: str) -> "T":\n    """Load it."""\n    return name  # as it is\n',
    "common/data/extra.py": "def more():\n    return 2\n",
    "common/typed.py": "T = int\n",
    "common/tasks/__init__.py": "from .networks import make\n\nREGISTRY = {}\n",
    "common/tasks/networks.py": "from .. import checks\n\n\ndef make():\n    return checks\n",
    "common/plotting/__init__.py": "",
    "common/plotting/style.py": "COLOUR = 1\n",
    "common/results/__init__.py": "from common.results.summary import mean\n",
    "common/results/summary.py": "def mean():\n    return 1\n",
    "common/experiments/__init__.py": "",
    "common/experiments/one/__init__.py": "",
    "common/experiments/one/figures.py": "from common.data.extra import more\n",
    "common/training/__init__.py": "from common.training.loop import train\n",
    "common/training/loop.py": "from common import plotting, results\nfrom common.data import load\n"
    "from common.experiments.one import figures\nfrom common.plotting.style import COLOUR\n\n\n"
    "def train(x: int) -> int:\n    from common.tasks import make\n\n    return make(load(x))\n",
}  # fmt: skip


@pytest.fixture
def changed(tmp_path):
    """A function that writes the package with some files changed, and returns the digest of the loop."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def digest(changes=None, modules=("common.training.loop",)):
        for name, text in (FILES | (changes or {})).items():
            (tmp_path / name).write_text(text)
        return Sources(tmp_path).digest(modules)

    return digest


def replaced(name, old, new):
    assert old in FILES[name]
    return {name: FILES[name].replace(old, new)}


def test_closure_looks_through_exports_and_into_functions(changed, tmp_path):
    changed()
    assert Sources(tmp_path).closure(["common.training.loop"]) == {
        "common.training.loop", "common.data.load", "common.tasks", "common.tasks.networks", "common.checks",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        replaced("common/training/loop.py", "make(load(x))", "make(load(x + 1))"),
        replaced("common/data/load.py", "return name", "return name.lower()"),
        replaced("common/tasks/networks.py", "return checks", "return None"),  # imported inside a function
        replaced("common/checks.py", "assert condition", "assert condition is True"),  # by a relative import
        replaced("common/tasks/__init__.py", "{}", "{1: 2}"),  # an __init__ that does more than export
    ],
    ids=lambda change: next(iter(change)),
)
def test_code_changes_the_digest(changed, change):
    assert changed(change) != changed()


@pytest.mark.parametrize(
    "change",
    [
        replaced("common/data/load.py", "Load it.", "Load another data set."),
        replaced("common/data/load.py", '    """Load it."""\n', ""),
        replaced("common/data/load.py", "  # as it is", "\n"),
        replaced("common/data/load.py", "name: str", "name: object"),
        replaced("common/data/load.py", "(name: str)", "(\n    name: str,\n)"),
        replaced("common/data/load.py", "import T\n", "import T, U\n"),
        replaced("common/data/extra.py", "2", "3"),  # exported beside what is imported
        {"common/data/__init__.py": FILES["common/data/__init__.py"] + "from common.typed import T\n"},
        replaced("common/plotting/style.py", "1", "2"),
        replaced("common/results/summary.py", "1", "2"),
        replaced("common/experiments/one/figures.py", "more", "more as most"),
        replaced("common/typed.py", "int", "float"),
        {"common/new.py": "x = 1\n"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_text_drawing_and_what_is_not_imported_do_not_change_it(changed, change):
    assert changed(change) == changed()


def test_annotations_that_dispatch_count(changed):
    source = "import functools\n\n\n@functools.singledispatch\ndef text(value):\n    return 1\n\n\n"
    source += "@text.register\ndef _(value: int):\n    return 2\n"
    other = source.replace("value: int", "value: str")
    modules = ["common.checks"]
    assert changed({"common/checks.py": source}, modules) != changed({"common/checks.py": other}, modules)


def test_order_of_the_modules_does_not_count(changed):
    modules = ["common.data.load", "common.checks"]
    assert changed(modules=modules) == changed(modules=modules[::-1]) != changed(modules=modules[:1])


def test_unknown_module_is_named_with_the_nearest(changed):
    with pytest.raises(
        ValueError, match=r"'common\.training\.lop' does not exist; did you mean 'common\.training\.loop'"
    ):
        changed(modules=["common.training.lop"])


def test_module_outside_of_the_package_counts_with_what_it_imports(changed, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "my_method.py").write_text("from common.checks import require\nimport numpy\n")
    before = changed(modules=["my_method"])
    assert changed(replaced("common/checks.py", "assert", "return"), ["my_method"]) != before
    (tmp_path / "elsewhere" / "my_method.py").write_text("from common.checks import require\nimport numpy as np\n")
    assert changed(modules=["my_method"]) != before


def test_installed_packages_do_not_count(changed):
    assert changed(modules=["common.checks", "numpy.linalg", "json"]) == changed(modules=["common.checks"])


def test_code_without_a_file_is_refused(changed, monkeypatch):
    monkeypatch.setattr("sys.modules", sys.modules | {"notebook_cell": type(sys)("notebook_cell")})
    with pytest.raises(ValueError, match="'notebook_cell' has no source file"):
        changed(modules=["notebook_cell"])


def test_whole_package_has_a_digest_without_tensorflow():
    code = (
        "import sys\nfrom common.results.code_digest import Sources, _ROOT\nsources = Sources(_ROOT)\n"
        "modules = sources.closure(['common.training.loop', 'common.estimators.noise.noisy_gradient'])\n"
        "assert 'common.data.load' in modules, modules\n"
        "assert not any(name.startswith(('common.plotting', 'common.results')) for name in modules), modules\n"
        "assert len(sources.digest(modules)) == 64\nassert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
