"""What is checked before a commit passes on what is committed, and needs nothing but the environment."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
REPOSITORIES = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
HOOKS = {hook["id"]: hook for repository in REPOSITORIES for hook in repository["hooks"]}


def test_no_hook_is_downloaded():
    assert {repository["repo"] for repository in REPOSITORIES} == {"local"}
    assert {hook["language"] for hook in HOOKS.values()} == {"system"}


@pytest.mark.parametrize("name", HOOKS)
def test_a_hooks_program_is_in_the_environment(name):
    program = HOOKS[name]["entry"].split()[0]
    assert program.startswith(".venv/bin/"), program
    assert shutil.which(Path(program).name, path=str(Path(sys.executable).parent)), program


def test_spelling():
    files = [name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile") if (ROOT / name).exists()]
    folders = ("benchmarks", "ci", "common", "docs", "notebooks", "sweeps", "tests", "workflow")
    call = [str(Path(sys.executable).with_name("codespell")), *files, *folders]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
