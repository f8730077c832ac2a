"""What `make` says and which Python it takes, without installing anything."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = (
    "figures",
    "check",
    "test",
    "lab",
    "paper",
    "sweep",
    "reproduce",
    "site",
    "benchmark",
    "lock",
    "clean",
    "help",
)


@pytest.fixture
def make(tmp_path):
    """Call make in a folder with only the Makefile, and an installation that prints which Python it got."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "install.py").write_text("import sys; sys.exit(f'installing with {sys.executable}')")
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()

    def make(*arguments, path=os.environ["PATH"], **others):
        variables = {"PATH": path, "HOME": str(tmp_path)} | others
        command = [shutil.which("make"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)

    return make


def script(folder, name, content):
    """Write an executable shell script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{content}\n")
    (folder / name).chmod(0o755)


def test_help_is_the_default_and_lists_every_command(make):
    done = make()
    assert done.returncode == 0
    assert all(f"make {target} " in done.stdout for target in TARGETS)


def test_clean_keeps_the_papers_results_and_the_store(make, tmp_path):
    for folder in ("results/quick", "results/paper", "results/.store"):
        (tmp_path / folder).mkdir(parents=True)
    assert make("clean").returncode == 0
    left = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "results").rglob("*"))
    assert left == ["results/.store", "results/paper"]


def test_a_sweeps_file_may_have_spaces_in_its_path(make):
    done = make("--dry-run", "sweep", "FILE=my sweeps/a b.yml", "CORES=all", "DRY=1", "YES=1", "PROFILE=slurm")
    [command] = [line for line in done.stdout.splitlines() if "workflow.run" in line]
    options = "-m workflow.run --cores all --profile slurm --dry-run --yes --sweep"
    assert shlex.split(command)[2:] == [*options.split(), "my sweeps/a b.yml"]


@pytest.mark.usefixtures("make")
@pytest.mark.parametrize("target", ["figures", "paper", "sweep", "reproduce", "thorough", "lab", "site"])
def test_a_request_to_end_reaches_what_make_runs(tmp_path, target):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".installed").touch()
    code = """
import pathlib, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
pathlib.Path("begun").touch()
signal.sigwait([signal.SIGTERM])
pathlib.Path("ended").touch()
"""
    (tmp_path / "run.py").write_text(code)
    script(tmp_path / ".venv" / "bin", "python", f"exec {shlex.quote(sys.executable)} run.py")
    process = subprocess.Popen([shutil.which("make"), target], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    process.wait(timeout=60)
    assert (tmp_path / "ended").exists()


def test_a_store_of_its_own_is_removed_at_the_end_and_by_a_request_to_end(tmp_path):
    code = f"""
import os, pathlib, time
pathlib.Path({str(tmp_path / "note")!r}).write_text(os.environ["RUN_STORE"] + " " + str(os.getpid()))
time.sleep(0 if os.environ.get("SHORT") else 60)
"""
    call = [sys.executable, "-m", "workflow.with_store", "-c", code]
    note = tmp_path / "note"
    assert subprocess.run(call, cwd=ROOT, env={**os.environ, "SHORT": "1"}, check=False).returncode == 0
    store, _ = note.read_text().split()
    assert not Path(store).exists()
    note.unlink()
    process = subprocess.Popen(call, cwd=ROOT)
    while not (note.exists() and note.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    store, child = note.read_text().split()
    assert Path(store).is_dir()
    process.terminate()
    assert process.wait(timeout=60) == 130
    assert not Path(store).exists()
    assert not Path("/proc", child).exists() or sys.platform != "linux"


def test_variables_of_the_environment_are_no_options(make):
    others = {"NAME": "DESKTOP", "SEEDS": "3", "PROFILE": "default", "FORCE": "1", "OPTIONS": "--mine", "FILE": "a.yml"}
    for target in ("reproduce", "figures", "sweep", "lab"):
        done = make("--dry-run", target, **others)
        assert not [
            value for value in ("DESKTOP", '"3"', "default ", "--force", "--mine", "a.yml") if value in done.stdout
        ]
    assert '--run "momentum"' in make("--dry-run", "reproduce", "NAME=momentum", **others).stdout


def test_the_first_python_that_runs_is_taken(make, tmp_path):
    programs = tmp_path / "programs"
    script(programs, "python3.13", "echo 'shim: no such version' >&2; exit 127")
    script(programs, "python3.12", f'exec "{sys.executable}" "$@"')
    for tool in ("sed", "sh"):
        (programs / tool).symlink_to(shutil.which(tool))
    done = make("figures", path=str(programs))
    assert done.returncode != 0
    assert done.stderr.startswith("installing with ")
    assert "shim" not in done.stdout + done.stderr


def test_no_usable_python_is_told_in_one_sentence(make, tmp_path):
    script(tmp_path / "programs", "python3.9", "exit 1")
    done = make("figures", f"PYTHON={tmp_path / 'programs' / 'python3.9'}")
    assert done.returncode != 0
    assert done.stderr.startswith("Error: no usable Python 3.11, 3.12 or 3.13 (tried: ")
    assert "make figures PYTHON=" in done.stderr


def _lab(make, tmp_path, user, code):
    """Call `make lab` as a user with that number, with a JupyterLab that ends with an exit code."""
    environment = tmp_path / ".venv" / "bin"
    environment.mkdir(parents=True)
    case = f'case "$*" in *user_folders*) exit 0;; esac; echo "started: $*"; exit {code}'
    script(environment, "python", case)
    (tmp_path / ".venv" / ".installed").touch()
    script(tmp_path / "programs", "id", f"echo {user}")
    return make("lab", "OPTIONS=--no-browser", path=f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(("user", "code", "says"), [(0, 1, True), (1000, 1, False), (0, 0, False), (0, 130, False)])
def test_lab_says_what_to_do_as_root_where_it_does_not_start(make, tmp_path, user, code, says):
    done = _lab(make, tmp_path, user, code)
    assert (done.returncode == 0) == (code == 0)
    sentences = [line for line in done.stderr.splitlines() if line.startswith("Error: JupyterLab")]
    assert len(sentences) == says
    if says:
        assert sentences[0].endswith("in a container that is yours alone, make lab OPTIONS=--allow-root.")
    started = f"started: -m jupyterlab --LabApp.default_url=/lab/tree/notebooks --ServerApp.root_dir={tmp_path}"
    assert f"{started} --no-browser" in done.stdout


def test_packages_of_the_same_names_elsewhere_and_a_safe_path_lead_nowhere(make, tmp_path):
    """What `make` starts finds this folder's modules first."""
    other = tmp_path / "other"
    for folder, words in ((other, "another"), (tmp_path, "this")):
        (folder / "common").mkdir(parents=True)
        (folder / "common" / "__init__.py").write_text(f"where = {words!r}")
    environment = tmp_path / ".venv" / "bin"
    environment.mkdir(parents=True)
    code = "import common; print(common.where)"
    script(environment, "python", f'PYTHONSAFEPATH=1 exec "{sys.executable}" -c "{code}"')
    (tmp_path / ".venv" / ".installed").touch()
    done = make("figures", PYTHONPATH=str(other))
    assert done.stdout.strip() == "this", done.stderr
