"""Sweeps of notebooks of a few lines: what runs, what is kept, what is said; after kills and on full disks, too.

SWEEP_KILLS=20 repeats the kills at random moments so often; three times without it.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

import psutil
import pyarrow.parquet as pq
import pytest

from workflow.experiments import Job
from workflow.run_sweep import BATCH_SECONDS, batches_of

RATES = [0.5, 1.0, 2.0, 3.0]
BAD = "if rate == 2: raise ValueError('no good')"
# Leaves a mark when it begins, and waits until a file tells it to end.
WAITS = """
import os, time
from pathlib import Path
with open("begun.txt", "a") as file: file.write(f"{rate} {os.getpid()}\\n")
while not Path("end.txt").exists(): time.sleep(0.1)
"""


def wait_for(condition, seconds=300):
    """Return once the condition holds; fail after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.1)


def swept(project, name="mine"):
    """Return the value of `sweep.rate` in each result of a sweep, in order."""
    tables = [
        pq.read_table(project.folder / "results" / path) for path in project.stored() if f"sweeps/{name}/" in path
    ]
    return sorted(table["sweep.rate"][0].as_py() for table in tables)


def run(project, *arguments, file="sweeps/mine.yml", **variables):
    """Run a sweep to its end with two cores; returns exit code and output."""
    return project.run("--sweep", file, "--cores", "2", *arguments, **variables)


def family_of(process):
    """Return a process's children and their children."""
    return psutil.Process(process.pid).children(recursive=True)


def named(processes, words):
    """Return the processes with these words in their command line."""
    chosen = []
    for process in processes:
        try:
            if words in " ".join(process.cmdline()):
                chosen.append(process)
        except psutil.Error:
            continue
    return chosen


def all_ended(processes):
    """Whether none of the processes runs any more."""
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


# --- Batches ---


def jobs(count):
    """Return so many jobs."""
    return [Job("sweeps", "mine", f"{number}", {}) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "lanes", "seconds", "sizes"),
    [
        (10, 2, BATCH_SECONDS * 3, [1] * 10),  # long jobs alone
        (10, 2, 1.0, [5, 5]),  # short jobs: no more batches than run at once
        (1000, 2, BATCH_SECONDS / 100, [100] * 10),
        (7, 2, BATCH_SECONDS / 2.5, [2, 2, 2, 1]),
        (3, 8, 0.0, [1, 1, 1]),
        (1, 2, None, [1]),
        (24, 2, None, [6, 6, 6, 6]),  # not one could be measured
    ],
)
def test_short_jobs_share_a_batch_and_long_ones_do_not(count, lanes, seconds, sizes):
    listed = jobs(count)
    batches = batches_of(listed, lanes, seconds)
    assert [len(batch) for batch in batches] == sizes
    assert sorted((job.name for batch in batches for job in batch), key=int) == [job.name for job in listed]


# --- What runs ---


def test_a_sweep_runs_what_is_missing_and_nothing_else(project):
    project.notebook("01_one", BAD)
    project.sweep(grid={"rate": RATES}, seeds="0-1")
    code, output = run(project)
    assert code == 1, output
    assert swept(project) == [0.5, 0.5, 1.0, 1.0, 3.0, 3.0]
    assert "Sweep mine: 4 points × 2 seeds = 8 jobs of 01_one; 0 stored, 8 to run.\n" in output
    assert "6 of 8 jobs of mine are stored: 0 before, 6 new in " in output
    failures = r"FAILED \w{10}-seed[01] \(rate=2.0\): ValueError: no good\n       log: logs/sweeps/mine/"
    assert len(re.findall(failures, output)) == 2
    assert "Snakemake's own log" not in output
    assert "cells done" not in output  # what a single notebook says is in its log
    assert len(project.runs()) == 8

    # A failed point runs again, and alone; a new one and a new seed, too.
    project.notebook("01_one")
    project.sweep(grid={"rate": [*RATES, 4.0]}, seeds="0-2")
    code, output = run(project)
    assert code == 0, output
    assert "15 of 15 jobs of mine are stored: 6 before, 9 new in " in output
    assert output.endswith(" jobs\n   15\n\nWritten to results/sweeps/mine/: index.html\n")
    assert len(project.runs()) == 17
    assert swept(project) == [rate for rate in (*RATES, 4.0) for _ in range(3)]

    # Points and seeds that are gone are kept, and found again when they come back.
    project.sweep(grid={"rate": [1.0, 2.0]}, seeds="0")
    code, output = run(project)
    assert code == 0, output
    assert "13 results of points or seeds that the file no longer has: moved to results/sweeps/mine/.gone/\n" in output
    assert "2 of 2 jobs of mine are stored: 2 before, 0 new" in output
    assert sum(".gone" not in path for path in project.stored()) == 2
    project.sweep(grid={"rate": RATES}, seeds="0-1")
    code, output = run(project)
    assert code == 0, output
    assert len(project.runs()) == 17

    code, output = run(project, "--force")
    assert code == 0, output
    assert len(project.runs()) == 25
    assert not list((project.folder / "logs" / "sweeps" / "mine").glob("*.error.txt"))


def test_a_dry_run_lists_jobs_and_expected_time_and_writes_nothing(project):
    project.notebook("01_one")
    project.sweep(grid={"rate": [1.0, 2.0]})
    code, output = run(project, "--dry-run")
    assert code == 0, output
    assert len(re.findall(r"  \w{10}-seed0  to run  rate=[12].0\n", output)) == 2
    assert "How long they take is not known: no job of 01_one has been measured here." in output
    assert not (project.folder / "results").exists()
    assert not (project.folder / "logs").exists()

    assert run(project)[0] == 0
    project.sweep(grid={"rate": [1.0, 2.0, 3.0, 4.0]})
    code, output = run(project, "--dry-run")
    assert output.count("  stored  ") == output.count("  to run  ") == 2
    assert re.search(
        r"Expected: about \d+:\d\d with 2 jobs at a time, as 2 jobs of this sweep took \d+:\d\d each", output
    )
    project.sweep("other.yml", grid={"rate": [7.0]})
    code, output = run(project, "--dry-run", file="other.yml")
    assert "as earlier jobs of 01_one, of other settings, took " in output
    project.sweep(grid={"rate": [1.0]})
    assert "Stored, but not of a point or seed in the file: 1 results." in run(project, "--dry-run")[1]
    assert len(project.stored()) == 2


def test_a_stored_result_is_made_again_when_the_notebooks_default_changed_and_relabelled_when_a_name_did(project):
    project.notebook("01_one")
    project.sweep(grid={"rate": [1.0, 2.0]})
    assert run(project)[0] == 0
    project.sweep(grid={"speed": [1.0, 2.0]}, parameters={"rate": "{speed}"})
    code, output = run(project)
    assert code == 0, output
    assert len(project.runs()) == 2
    columns = [pq.read_schema(project.folder / "results" / path).names for path in project.stored()]
    assert all("sweep.speed" in names and "sweep.rate" not in names for names in columns)

    notebook = project.folder / "notebooks" / "01_one.ipynb"
    notebook.write_text(notebook.read_text().replace("seeds = [0, 1]\\nrate = 0.5", "seeds = [0, 1]\\nrate = 0.25"))
    assert run(project)[0] == 0
    assert len(project.runs()) == 2  # every point gives the rate itself


def test_one_kernel_runs_many_jobs_each_as_if_it_were_the_first(project):
    # Names, histories and open figures of the job before are gone; a kernel that has failed or died is not used again.
    project.notebook(
        "01_one",
        "assert len(In) == 5 and not Out and 'mark' not in globals()\nmark = 1",
        "'an output'",
        "import os; open('kernels.txt', 'a').write(f'{rate} {os.getpid()}\\n')",
        "if rate == 2: raise ValueError('no good')\nif rate == 3: os._exit(1)",
    )
    project.sweep(grid={"rate": [1.0, 1.1, 2.0, 1.2, 3.0, 1.3, 1.4]})
    code, output = project.run("--sweep", "sweeps/mine.yml", "--cores", "1")
    assert code == 1
    assert swept(project) == [1.0, 1.1, 1.2, 1.3, 1.4], output
    assert "(rate=2.0): ValueError: no good\n" in output
    assert "(rate=3.0): the notebook's Python process died; most often memory ran out\n" in output
    kernels = [line.split() for line in project.lines("kernels.txt")]
    by_rate = dict(kernels)
    # The first runs alone, to be measured.
    assert [rate for rate, _ in kernels] == ["1.0", "1.1", "2.0", "1.2", "3.0", "1.3", "1.4"]
    assert by_rate["1.1"] == by_rate["2.0"] != by_rate["1.2"]
    assert by_rate["1.2"] == by_rate["3.0"] != by_rate["1.3"]
    assert by_rate["1.3"] == by_rate["1.4"]


def test_a_job_runs_the_code_as_it_is_when_the_job_starts(project):
    project.notebook("01_one", "import os; open('kernels.txt', 'a').write(f'{os.getpid()}\\n')", WAITS)
    project.sweep(grid={"rate": [1.0, 1.1]})
    process = project.start("--sweep", "sweeps/mine.yml", "--cores", "1")
    wait_for(lambda: project.lines("begun.txt"))
    (project.folder / "common" / "atomic.py").open("a").write("changed = True\n")
    (project.folder / "end.txt").touch()
    output = process.communicate(timeout=900)[0]
    assert process.returncode == 0, output
    assert len(set(project.lines("kernels.txt"))) == 2


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            ["--sweep", "sweeps/mind.yml"],
            "the sweep file sweeps/mind.yml does not exist; there is mine.yml; did you mean",
        ),
        (["--sweep", ""], "no sweep file is named; write such as make sweep FILE=sweeps/noise_by_rate.yml"),
        (
            ["--sweep", "sweeps/mine.yml"],
            "sweeps/mine.yml: point 2 of 2 (rate=-1), seed 0: rate: Input should be greater",
        ),
        (["--sweep", "sweeps/mine.yml", "--seeds", "3"], "what a sweep runs stands in its file"),
        (["--sweep", "sweeps/mine.yml", "--cores", "none"], "--cores must be 'all' or a whole number ≥ 1, got 'none'"),
        (["--sweep", "sweeps/mine.yml", "--profile", "slum"], "there is no 'slum' in workflow/profiles"),
        (["--preset", "quick", "--dry-run"], "--dry-run and --yes are for a sweep"),
    ],
)
def test_a_wrong_call_is_told_before_anything_runs(project, call, sentence):
    project.notebook("01_one")
    project.experiments(quick={"01_one": {"parameters": {}}})
    project.sweep(grid={"rate": [1, -1]})
    code, output = project.run(*call)
    assert code == 2
    assert sentence in output
    assert "Traceback" not in output
    assert not (project.folder / "results").exists()


def test_the_file_may_be_anywhere_with_spaces_in_its_path(project, tmp_path):
    project.notebook("01_one")
    elsewhere = tmp_path / "my own sweeps" / "a first try.yml"
    project.sweep(os.path.relpath(elsewhere, project.folder), grid={"rate": [1.0]})
    code, output = run(project, file=str(elsewhere))
    assert code == 0, output
    assert swept(project, "a_first_try") == [1.0]
    description = (project.folder / "results" / "sweeps" / "a_first_try" / "sweep.json").read_text()
    assert json.loads(description)["file"] == "a first try.yml"  # no folder of this machine


# --- Several at once ---


def test_two_runs_of_one_sweep_take_turns(project):
    project.notebook("01_one", WAITS)
    project.sweep(grid={"rate": [1.0, 2.0]})
    first = project.start("--sweep", "sweeps/mine.yml", "--cores", "2")
    wait_for(lambda: len(project.lines("begun.txt")) == 2)
    second = project.start("--sweep", "sweeps/mine.yml", "--cores", "2")
    assert "Another run of the sweep mine is under way; this one goes on when" in second.stdout.readline()
    (project.folder / "end.txt").touch()
    outputs = [process.communicate(timeout=900)[0] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    assert len(project.runs()) == 2
    assert "2 of 2 jobs of mine are stored: 2 before, 0 new" in outputs[1]


def test_two_sweeps_and_a_preset_run_at_once(project):
    project.notebook("01_one", WAITS)
    project.experiments(quick={"01_one": {"parameters": {}}})
    for name in ("mine", "yours"):
        project.sweep(f"sweeps/{name}.yml", grid={"rate": [1.0, 2.0]})
    calls = (["--sweep", "sweeps/mine.yml"], ["--sweep", "sweeps/yours.yml"], ["--preset", "quick"])
    processes = [project.start(*call, "--cores", "2") for call in calls]
    wait_for(lambda: len(project.lines("begun.txt")) == 5)  # none waits for another
    (project.folder / "end.txt").touch()
    outputs = [process.communicate(timeout=900)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert swept(project, "mine") == swept(project, "yours") == [1.0, 2.0]
    assert "quick/01_one/all.parquet" in project.stored()


# --- Ends ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_that_is_stopped_ends_all_it_started_and_says_how_to_go_on(project, number):
    project.notebook("01_one", WAITS)
    path = project.sweep("my sweeps/mine.yml", grid={"rate": [1.0, 2.0, 3.0]})
    process = project.start("--sweep", path, "--cores", "2")
    wait_for(lambda: len(project.lines("begun.txt")) == 2)
    family = family_of(process)
    assert len(named(family, "ipykernel")) == 2
    os.kill(process.pid, number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Stopped. The same command goes on from here: make sweep FILE='my sweeps/mine.yml'.\n" in output
    assert "Traceback" not in output
    wait_for(lambda: all_ended(family), 5)

    (project.folder / "end.txt").touch()
    code, output = run(project, file=path)
    assert code == 0, output
    assert swept(project) == [1.0, 2.0, 3.0]


def test_what_was_forced_and_cut_off_is_still_to_be_run(project):
    project.notebook(
        "01_one", "from pathlib import Path\nif Path('wait.txt').exists():" + WAITS.replace("\n", "\n    ")
    )
    project.sweep(grid={"rate": [1.0, 2.0]})
    assert run(project)[0] == 0
    before = {path: (project.folder / "results" / path).read_bytes() for path in project.stored()}
    (project.folder / "wait.txt").touch()
    process = project.start("--sweep", "sweeps/mine.yml", "--force", "--cores", "1")
    wait_for(lambda: project.lines("begun.txt"))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert {path: (project.folder / "results" / path).read_bytes() for path in project.stored()} == before
    (project.folder / "wait.txt").unlink()
    code, output = run(project)
    assert code == 0, output
    assert "2 of 2 jobs of mine are stored: 0 before, 2 new" in output


def test_a_batch_goes_on_after_its_worker_was_killed(project):
    project.notebook("01_one", WAITS)
    project.sweep(grid={"rate": [1.0, 2.0, 3.0]})
    process = project.start("--sweep", "sweeps/mine.yml", "--cores", "1")
    wait_for(lambda: project.lines("begun.txt"))
    [worker] = named(family_of(process), "workflow.execute --batch")
    worker.kill()
    wait_for(lambda: len(project.lines("begun.txt")) == 2)
    (project.folder / "end.txt").touch()
    output = process.communicate(timeout=900)[0]
    assert process.returncode == 0, output
    assert swept(project) == [1.0, 2.0, 3.0]


def test_a_job_that_kills_its_worker_is_told_and_loses_no_other(project):
    project.notebook("01_one", "import os, signal\nif rate == 2: os.kill(os.getppid(), signal.SIGKILL)")
    project.sweep(grid={"rate": [2.0, 1.0, 3.0, 4.0, 5.0]})
    code, output = run(project)
    assert code == 1
    assert swept(project) == [1.0, 3.0, 4.0, 5.0], output
    assert (
        "(rate=2.0): it was stopped before it could say why; started again, it goes on from what results/.store holds\n"
        in output
    )
    assert "Snakemake's own log: logs/sweeps/mine/snakemake.txt" in output


@pytest.mark.parametrize("attempt", range(int(os.environ.get("SWEEP_KILLS", "3"))))
def test_no_result_is_lost_or_doubled_by_kills_at_random_moments(project, attempt):
    """Kill the driver, a worker, Snakemake, a kernel or all of them, at moments of which every run has others."""
    choice = random.Random(attempt)
    project.notebook("01_one", "import time; time.sleep(0.7)", "if rate == 5: raise ValueError('no good')")
    rates = [0.5 + number for number in range(8)] + [5.0]
    project.sweep(grid={"rate": rates}, seeds="0-1")
    families = []
    for target in choice.sample(["driver", "worker", "both", "engine", "kernel"], 3):
        process = project.start("--sweep", "sweeps/mine.yml", "--cores", "2")
        time.sleep(choice.uniform(1, 12))
        family = family_of(process) if process.poll() is None else []
        families += family
        words = {"engine": "workflow.engine", "kernel": "ipykernel_launcher"}.get(target, "workflow.execute --batch")
        for victim in named(family, words)[:1] if target != "driver" else []:
            victim.kill()
        if target in ("driver", "both"):
            process.kill()
        process.communicate(timeout=900)
    wait_for(lambda: all_ended(families), 30)

    code, output = run(project)
    assert code == 1, output
    assert output.count("FAILED") == output.count("(rate=5.0): ValueError: no good\n") == 2, output
    assert swept(project) == [rate for rate in sorted(set(rates) - {5.0}) for _ in range(2)]
    names = [path.split("/")[-1] for path in project.stored()]
    assert len(names) == len(set(names)) == 16
    run(project)
    # Each ran well once, or more often where it was killed; nothing that is stored ran again.
    assert len([path for path in project.stored() if ".tmp" not in path]) == 16


# --- Where nothing can be written ---


@pytest.fixture
def tiny_disk():
    """Return a function that mounts a disk of a size on a folder; it is skipped where that is not allowed."""
    mounted = []

    def tiny_disk(folder, *options):
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        if (
            os.geteuid()
            or not shutil.which("mount")
            or subprocess.run(command, check=False, capture_output=True).returncode
        ):
            pytest.skip("mounting a small disk is not allowed here")
        mounted.append(folder)

    yield tiny_disk
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.parametrize("place", ["results", "logs"])
def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(project, tiny_disk, place):
    project.notebook("01_one")
    project.sweep(grid={"rate": [1.0]})
    tiny_disk(project.folder / place, "ro", "size=64k")
    code, output = run(project)
    assert code == 2
    assert re.search(rf"Error: {place}/sweeps.* cannot be read or written: Read-only file system\.\n", output), output
    assert output.count("\n") <= 2
    assert "Traceback" not in output


@pytest.mark.parametrize("place", ["results", "logs"])
def test_a_file_in_the_place_of_a_folder_is_told_in_one_sentence(project, place):
    project.notebook("01_one")
    project.experiments(quick={"01_one": {"parameters": {}}})
    project.sweep(grid={"rate": [1.0]})
    (project.folder / place).write_text("")
    for call in (["--sweep", "sweeps/mine.yml"], ["--preset", "quick"]):
        code, output = project.run(*call)
        assert code == 2
        assert re.search(rf"Error: {place}\S* cannot be read or written: (Not a directory|File exists)\.\n", output), (
            output
        )
        assert "Traceback" not in output


@pytest.mark.parametrize("place", ["results/sweeps", "logs/sweeps"])
def test_a_disk_that_fills_up_is_told_and_loses_nothing_that_was_stored(project, tiny_disk, place):
    # The first job fits; the second fills the disk, as another program would.
    fill = "import os, shutil\nif rate == 2:\n    with open('{place}/filler', 'wb') as file:\n"
    fill += "        try: file.write(b'0' * 10**7)\n        except OSError: pass"
    project.notebook("01_one", fill.replace("{place}", place))
    project.sweep(grid={"rate": [1.0, 2.0, 3.0]})
    tiny_disk(project.folder / place, "size=400k")
    code, output = project.run("--sweep", "sweeps/mine.yml", "--cores", "1")
    assert code == 1, output
    assert "No space left on device" in output
    assert "Traceback" not in output
    assert 1.0 in swept(project)

    (project.folder / place / "filler").unlink()
    project.notebook("01_one")
    code, output = run(project)
    assert code == 0, output
    assert swept(project) == [1.0, 2.0, 3.0]
