"""The whole workflow on notebooks of a few lines: what runs, what does not, what is said; after a kill, too."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest

from workflow.experiments import RESULT, Job
from workflow.run import has_other_parameters

BAD = "raise ValueError('\\x1b[31mno good\\x1b[0m')"
# Waits in its first run, leaves a checkpoint meanwhile; the second run says whether it found it.
SLOW = """
import os, time
from pathlib import Path
folder = Path(store)
if folder.exists():
    Path("resumed.txt").write_text("yes")
else:
    folder.mkdir(parents=True)
    Path("kernel.txt").write_text(str(os.getpid()))
    time.sleep(600)
"""


def edit(path):
    """Change a file's content; a newer date alone is no change to Snakemake, which compares small files."""
    path.write_text(path.read_text() + "\n")


def wait_for(condition, seconds=200):
    """Return once the condition holds; fail after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.1)


def foreign_kernel(folder):
    """Make a home folder whose kernel python3 does not run; returns the variables that point to it."""
    kernel = folder / ".local" / "share" / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    specification = {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "old", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(specification))
    return {"HOME": str(folder), "JUPYTER_PREFER_ENV_PATH": "0", "JUPYTER_PATH": str(kernel.parents[1])}


def test_quick_runs_what_changed_and_nothing_else(project, tmp_path):
    project.notebook("01_one")
    project.experiments(quick={"01_one": {"parameters": {}}})
    code, output = project.run("--preset", "quick", "--cores", "2", **foreign_kernel(tmp_path / "home"))
    assert code == 0, output
    assert "01_one: 4 of 4 cells done" in output
    assert project.runs() == ["01_one [0, 1]"]
    assert project.lines("drawn.txt") == ["01_one"]

    code, output = project.run("--preset", "quick", "--cores", "2")
    assert code == 0, output
    assert len(project.runs()) == len(project.lines("drawn.txt")) == 1

    edit(project.folder / "common" / "experiments" / "__main__.py")
    assert project.run("--preset", "quick", "--cores", "2")[0] == 0
    assert (len(project.runs()), len(project.lines("drawn.txt"))) == (1, 2)

    edit(project.folder / "common" / "results" / "__init__.py")
    assert project.run("--preset", "quick", "--cores", "2")[0] == 0
    assert (len(project.runs()), len(project.lines("drawn.txt"))) == (2, 3)


def test_a_failure_stops_no_other_notebook_and_is_told(project):
    project.notebook("01_bad", BAD)
    project.notebook("02_forgetful", "import os; result_file = os.devnull", "raise SystemExit")
    project.notebook("03_dead", "import os; os._exit(1)")
    project.notebook("04_good")
    names = ("01_bad", "02_forgetful", "03_dead", "04_good")
    project.experiments(quick={name: {"parameters": {}} for name in names})
    code, output = project.run("--preset", "quick")
    assert code == 1
    assert project.stored() == ["quick/04_good/all.parquet"]
    assert "1 of 4 results" in output
    assert "FAILED 01_bad: ValueError: no good\n" in output  # without the colour codes
    assert "log: logs/quick/01_bad/all.ipynb" in output
    assert "no good" in (project.folder / "logs" / "quick" / "01_bad" / "all.ipynb").read_text()
    assert "FAILED 02_forgetful: the notebook ended without writing its result file" in output
    assert "FAILED 03_dead: the notebook's Python process died" in output


def test_paper_runs_seeds_apart_and_only_for_a_reason(project):
    def experiments(rate):
        project.experiments(paper={"01_one": {"parameters": {"rate": rate}, "seeds": [0, 1]}})

    project.notebook("01_one")
    experiments(0.1)
    code, output = project.run("--preset", "paper", "--only", "01_one", "--seeds", "1")
    assert code == 0, output
    assert project.stored() == ["paper/01_one/seed1.parquet"]
    # Figures of an incomplete set are drawn, and told what is missing.
    assert project.lines("figures/paper/01_one.txt") == ["missing: ['results/paper/01_one/seed0.parquet']"]

    # As in a fresh clone: times are arbitrary, Snakemake remembers nothing. Only what is missing runs.
    shutil.rmtree(project.folder / ".snakemake")
    edit(project.folder / "notebooks" / "01_one.ipynb")
    edit(project.folder / "common" / "results" / "__init__.py")
    assert project.run("--preset", "paper")[0] == 0
    assert project.runs() == ["01_one [1]", "01_one [0]"]
    assert project.lines("figures/paper/01_one.txt") == ["missing: []"]

    shutil.rmtree(project.folder / ".snakemake")
    experiments(0.2)  # the result files tell that they were made with 0.1
    assert project.run("--preset", "paper", "--seeds", "0")[0] == 0
    assert project.runs()[2:] == ["01_one [0]"]

    assert project.run("--preset", "paper", "--seeds", "0", "--force")[0] == 0
    assert project.runs()[3:] == ["01_one [0]"]


def test_variants_run_apart_and_are_drawn_apart(project):
    def experiments(rate):
        variants = {
            "slow": {"rate": rate, "seeds": [0, 1, 2]},
            "fast": {"rate": 0.9, "seeds": [3]},
            "bad": {"rate": -1},
        }
        project.experiments(paper={"01_one": {"parameters": {"rate": 0.1}, "variants": variants}})

    project.notebook("01_one", "assert rate > 0")
    experiments(0.2)
    code, output = project.run("--preset", "paper", "--variants", "slow")
    assert code == 0, output
    assert "01_one slow: finished" in output
    assert project.stored() == ["paper/01_one/slow.parquet"]
    assert project.runs() == ["01_one [0, 1, 2]"]
    missing = [f"results/paper/01_one/{name}.parquet" for name in ("bad", "fast")]
    assert project.lines("figures/paper/01_one.txt") == [f"--each missing: {missing}"]

    experiments(0.3)  # of the variant that is stored; the other runs for the first time
    code, output = project.run("--preset", "paper")
    assert code == 1
    assert "2 of 3 results" in output
    assert "FAILED 01_one bad: AssertionError" in output
    assert sorted(project.runs()[1:]) == ["01_one [0, 1, 2]", "01_one [0, 1]", "01_one [3]"]
    assert project.run("--preset", "paper", "--variants", "slow fast")[0] == 0
    assert len(project.runs()) == 4


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_and_leaves_nothing_running(project, end):
    project.notebook("01_slow", SLOW)
    project.experiments(quick={"01_slow": {"parameters": {}}})
    first = project.start("--preset", "quick")
    wait_for(lambda: project.lines("kernel.txt"))
    family = psutil.Process(first.pid).children(recursive=True)
    assert int(project.lines("kernel.txt")[0]) in [process.pid for process in family]
    os.kill(first.pid, end)
    said = first.communicate(timeout=900)[0]
    assert project.stored() == []
    if end == signal.SIGTERM:
        assert first.returncode == 130
        assert said.endswith("Stopped. The same command goes on from here.\n")
        assert not any(process.is_running() for process in family), "it ends after its jobs"

    code, output = project.run("--preset", "quick")
    assert code == 0, output
    assert project.stored() == ["quick/01_slow/all.parquet"]
    assert project.lines("resumed.txt") == ["yes"]
    wait_for(lambda: not any(process.is_running() for process in family))


# Ends well, until a file tells it to fail or to wait.
AGAIN = """
import os, time
from pathlib import Path
if Path("fail.txt").exists(): raise ValueError("not again")
if Path("wait.txt").exists():
    Path("kernel.txt").write_text(str(os.getpid()))
    time.sleep(600)
"""


@pytest.mark.parametrize("end", ["failure", signal.SIGINT, signal.SIGKILL])
def test_a_stored_result_outlives_a_rerun_that_does_not_end(project, end):
    project.notebook("01_one", AGAIN)
    project.experiments(paper={"01_one": {"parameters": {}, "seeds": [0]}})
    assert project.run("--preset", "paper")[0] == 0
    path = project.folder / "results" / "paper" / "01_one" / "seed0.parquet"
    stored = path.read_bytes()

    obstacle = project.folder / ("fail.txt" if end == "failure" else "wait.txt")
    obstacle.touch()
    rerun = project.start("--preset", "paper", "--force")
    if end != "failure":
        wait_for(lambda: project.lines("kernel.txt"))
        assert path.read_bytes() == stored
        # Ctrl-C goes to all that run in the terminal.
        (os.killpg if end == signal.SIGINT else os.kill)(rerun.pid, end)
    output = rerun.communicate(timeout=900)[0]
    assert path.read_bytes() == stored
    if end == "failure":
        assert "FAILED 01_one seed0: ValueError: not again\n" in output
        assert "the earlier result is kept: results/paper/01_one/seed0.parquet" in output

    obstacle.unlink()
    code, output = project.run("--preset", "paper")  # goes on without being forced again
    assert code == 0, output
    assert len(project.runs()) == 3
    assert project.run("--preset", "paper")[0] == 0
    assert len(project.runs()) == 3


def store(job, parameters):
    """Write a result file of these parameters."""
    path = Path(job.path(RESULT))
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = {"provenance": json.dumps({"parameters": parameters})}
    pyarrow.parquet.write_table(pyarrow.table({}).replace_schema_metadata(notes), path)


@pytest.mark.parametrize(
    ("preset", "given", "stored", "outdated"),
    [
        ("paper", {"rate": 1}, {"seeds": [0, 1], "rate": 1.0, "result_file": "elsewhere.parquet"}, False),
        ("paper", {"rate": 1}, {"seeds": [0, 1], "rate": 2.0}, True),
        ("paper", {}, {"seeds": [0, 1], "rate": 1.0}, True),  # the entry was deleted; the default is 0.5
        ("paper", {"seeds": [3]}, {"seeds": [3], "rate": 0.5}, False),
        ("paper", {"seeds": 3}, {"seeds": [3], "rate": 0.5}, False),
        ("paper", {}, {"seeds": [0, 1]}, False),  # the notebook gained `rate` later
        ("paper", {"rate": 0.5}, {"seeds": [0, 1]}, True),
        ("paper", {"rate": "all"}, {"seeds": [0, 1], "rate": ["slow", "fast"]}, False),  # all that there was then
        ("paper", {"rate": "all"}, {"seeds": [0, 1], "rate": "slow"}, True),
        ("quick", {}, {"seeds": [0, 1]}, True),
        ("quick", {}, {"seeds": [0, 1], "rate": 0.5, "store": "elsewhere"}, False),
        ("quick", {}, {"seeds": [0], "rate": 0.5}, True),  # written to the same file by hand
    ],
)
def test_a_result_of_other_parameters_is_outdated(project, monkeypatch, preset, given, stored, outdated):
    project.notebook("01_one")
    monkeypatch.chdir(project.folder)
    job = Job(preset, "01_one", "all", given)
    assert not has_other_parameters(job), "without a result"
    store(job, stored)
    assert has_other_parameters(job) == outdated


# Runs until a file tells it to end, at most 200 seconds.
UNTIL_TOLD = """
import time
from pathlib import Path
Path("started.txt").write_text("yes")
for _ in range(2000):
    if Path("end.txt").exists(): break
    time.sleep(0.1)
"""


def test_two_runs_at_once_take_turns(project):
    project.notebook("01_one", UNTIL_TOLD)
    project.experiments(quick={"01_one": {"parameters": {}}})
    first = project.start("--preset", "quick")
    wait_for(lambda: project.lines("started.txt"))
    second = project.start("--preset", "quick")
    assert any("Another run is under way" in line for line in second.stdout)
    (project.folder / "end.txt").touch()
    outputs = [process.communicate(timeout=900)[0] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    assert "Another run is under way" not in outputs[0]
    assert project.runs() == ["01_one [0, 1]"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (["--only", "01_on"], "'01_on' is no notebook of the preset 'quick'; there is 01_one; did you mean '01_one'?"),
        (["--seeds", "3"], "the preset 'quick' has no job per seed for 01_one, so no seeds can be chosen"),
        (["--variants", "mlp"], "the preset 'quick' has no variants of 01_one, so none can be chosen"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(project, call, sentence):
    project.notebook("01_one")
    project.experiments(quick={"01_one": {"parameters": {}}})
    assert project.run("--preset", "quick", *call) == (2, f"Error: {sentence}.\n")
