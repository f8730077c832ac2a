"""The profile for Slurm, without a Slurm: what it needs, what is passed on, what is said of jobs that Slurm ended."""

import errno
import fcntl
import importlib.util
import json
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest
import yaml
from filelock import Timeout
from snakemake.cli import get_argument_parser

from workflow import cluster, engine, execute, run, run_sweep
from workflow.experiments import ERROR, NOT_STARTED, RESULT, STOPPED, Job, WorkflowError
from workflow.processes import lock_of
from workflow.sweeps import Point, Sweep

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ("CLUSTER_MEMORY", "CLUSTER_RUNTIME", "CLUSTER_PARTITION", "CLUSTER_GRES")
# What Snakemake's plugin for Slurm 2.8 knows beside Snakemake's own options.
PLUGIN_OPTIONS = {
    "slurm-no-account",
    "slurm-status-command",
    "slurm-init-seconds-before-status-checks",
    "slurm-requeue",
    "slurm-logdir",
}
SAID = """\
Error in rule run_batch:
    message: SLURM-job '{id}' failed, SLURM status is: '{status}'. Detailed failure reason unavailable \
(status command is not 'sacct').For further error details see the cluster/cloud log and the log files.
    jobid: 3
    input: {input}
    output: {output}
    log: {log} (check log file(s) for error details)
    shell:
        exec python -m workflow.execute --batch {input} --threads 1
"""


@pytest.fixture
def profiles(monkeypatch):
    """The real profiles, and none of the variables that they take."""
    monkeypatch.chdir(ROOT)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def prepared(profiles, monkeypatch):  # noqa: ARG001 - its changes come first
    """As if plugin and Slurm were installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    # What `prepare` sets is taken back.
    for name in VARIABLES:
        monkeypatch.setenv(name, "")


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep of two jobs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    points = [Point("0123456789", {"rate": 1}, {"rate": 1})]
    sweep = Sweep("mine", "mine.yml", "01_one", ["rate"], [], [0, 1], points)
    for job in sweep.jobs():
        for pattern in (ERROR, RESULT):
            Path(job.path(pattern)).parent.mkdir(parents=True, exist_ok=True)
    sweep.write()
    return sweep


def said(status, log="logs/slurm/12.log", number="12", source="a.json", output="a.done"):
    """Return the lines that Snakemake writes of a job that Slurm ended."""
    return SAID.format(id=number, status=status, log=log, input=source, output=output).splitlines()


def sentences(lines):
    """Return what is said of the ends of jobs."""
    return [end.sentence() for end in cluster.ends_of(lines)]


# --- The profile ---


@pytest.mark.usefixtures("profiles")
def test_the_profile_has_only_keys_that_snakemake_or_its_plugin_know():
    known = {flag.removeprefix("--") for action in get_argument_parser()._actions for flag in action.option_strings}
    for name in ("local", "slurm"):
        assert set(cluster.read_profile(name)) - known <= PLUGIN_OPTIONS


@pytest.mark.usefixtures("profiles")
def test_the_profile_differs_from_the_local_one_only_where_machines_do():
    local, slurm = cluster.read_profile("local"), cluster.read_profile("slurm")
    assert {name for name in local if local[name] != slurm[name]} == {"latency-wait"}
    assert slurm["latency-wait"] == run_sweep.LATENCY
    assert cluster.is_cluster("slurm")
    assert not cluster.is_cluster("local")


def test_a_profile_that_cannot_be_read_has_no_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("workflow/profiles/odd").mkdir(parents=True)
    for content in ("[1]", "a: b: c"):
        Path("workflow/profiles/odd/config.yaml").write_text(content)
        assert cluster.read_profile("odd") == {}
    assert cluster.read_profile("absent") == {}


@pytest.mark.usefixtures("prepared")
def test_every_variable_of_the_profile_is_filled_in():
    text = yaml.safe_dump(cluster.read_profile("slurm"))
    cluster.prepare("slurm")
    assert "$" in text
    assert "$" not in os.path.expandvars(text)
    assert "mem_mb: 2500" in os.path.expandvars(text)


@pytest.mark.usefixtures("prepared")
def test_a_users_variables_are_kept(monkeypatch):
    wanted = dict(zip(VARIABLES, ("5000", "30", "gpu-a100", "gpu:a100:1"), strict=True))
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    cluster.prepare("slurm")
    assert {name: os.environ[name] for name in VARIABLES} == wanted


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CLUSTER_MEMORY", "4 GB", "CLUSTER_MEMORY must be a whole number ≥ 1, got '4 GB'"),
        ("CLUSTER_MEMORY", "0", "CLUSTER_MEMORY must be a whole number ≥ 1, got '0'"),
        ("CLUSTER_RUNTIME", "1:00", "CLUSTER_RUNTIME must be a whole number ≥ 1, got '1:00'"),
        ("CLUSTER_PARTITION", "a b", "the name of a partition, as sinfo lists them, got 'a b'"),
        ("CLUSTER_GRES", "gpu 1", "a resource and how many, such as gpu:1 or gpu:a100:1, got 'gpu 1'"),
        ("CLUSTER_MEMROY", "1", "the variable CLUSTER_MEMROY is unknown; did you mean 'CLUSTER_MEMORY'?"),
    ],
)
@pytest.mark.usefixtures("prepared")
def test_a_wrong_variable_is_said_in_a_sentence(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    with pytest.raises(WorkflowError) as error:
        cluster.prepare("slurm")
    assert words in str(error.value)
    cluster.prepare("local")  # to which they mean nothing


@pytest.mark.usefixtures("prepared")
def test_what_is_not_installed_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(WorkflowError, match="needs Slurm's sbatch, which is not on this machine"):
        cluster.prepare("slurm")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WorkflowError, match=r'pip install -e "\.\[cluster\]"'):
        cluster.prepare("slurm")


@pytest.mark.usefixtures("profiles")
def test_cores_are_those_of_this_machine_or_jobs_of_a_cluster(monkeypatch):
    monkeypatch.setattr(engine, "has_gpu", lambda: True)
    assert {"--cores=3", "--resources=gpu=1"} <= set(engine.call(["x"], 3, "local"))
    assert "--cores=all" in engine.call(["x"], None, "local")
    on_cluster = engine.call(["x"], 3, "slurm", ["--drop-metadata"])
    assert {"--jobs=3", "--drop-metadata", "--workflow-profile=workflow/profiles/slurm"} <= set(on_cluster)
    for cores in (3, None):
        assert not [option for option in engine.call(["x"], cores, "slurm") if option.startswith(("--cores", "--res"))]
    assert not [option for option in engine.call(["x"], None, "slurm") if option.startswith("--jobs")]


# --- How Slurm ended jobs ---


@pytest.mark.parametrize(
    ("status", "log", "words"),
    [
        ("TIMEOUT", "", "ran out of time: it had 30 minutes; ask for more with CLUSTER_RUNTIME=60"),
        ("OUT_OF_MEMORY", "", "ran out of memory: it had 2,500 MB; ask for more with CLUSTER_MEMORY=5000"),
        ("FAILED", "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=12.0.", "CLUSTER_MEMORY=5000"),
        ("FAILED", "slurmstepd: error: Exceeded job memory limit", "CLUSTER_MEMORY=5000"),
        ("FAILED", "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0.", "CLUSTER_MEMORY=5000"),
        (
            "CANCELLED",
            "slurmstepd: error: *** JOB 12 ON n1 CANCELLED DUE TO TIME LIMIT ***",
            "RUNTIME=60",
        ),
        ("CANCELLED", "", "was cancelled by somebody else"),
        ("FAILED", "Segmentation fault", "ended as FAILED; what it wrote is in"),
        ("NODE_FAIL", "", "was lost with its machine"),
    ],
)
def test_what_a_job_lacked_is_said_with_what_to_ask_for(tmp_path, monkeypatch, status, log, words):
    monkeypatch.setenv("CLUSTER_RUNTIME", "30")
    monkeypatch.setenv("CLUSTER_MEMORY", "2500")
    (tmp_path / "12.log").write_text(log)
    [sentence] = sentences(said(status, tmp_path / "12.log"))
    assert words in sentence
    assert sentence.startswith("its Slurm job 12 ")
    assert sentence.endswith("; the same command goes on from what is kept")


def test_every_end_is_read_with_its_files():
    node = "    message: SLURM-job '7' failed due to a node failure, SLURM status is: 'NODE_FAIL'. Failed nodes will be"
    lines = ["Select jobs to execute...", *said("TIMEOUT", number="5_2"), "", node, *said("x")[2:]]
    ends = list(cluster.ends_of(lines))
    assert [(end.id, end.status, end.files) for end in ends] == [
        ("5_2", "TIMEOUT", ("a.json", "a.done")),
        ("7", "NODE_FAIL", ("a.json", "a.done")),
    ]
    of_notebook = next(cluster.ends_of(said("FAILED", "logs/paper/x/all.ipynb, /tmp/logs/slurm/9.log")))
    assert of_notebook.log == Path("/tmp/logs/slurm/9.log")


def test_why_slurm_did_not_take_jobs_is_said_once():
    message = "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition\nspecified: no'."
    lines = f"Error in rule run_batch:\n    message: {message}\n    sbatch call:\n        sbatch -p no\n".splitlines()
    assert cluster.refusals_of(lines * 3) == [
        "Slurm did not take a job: sbatch: error: invalid partition specified: no"
    ]


def test_the_kernels_death_names_the_memory_in_slurm_jobs_only(monkeypatch):
    monkeypatch.delenv("CLUSTER_MEMORY", raising=False)
    assert execute.sentence(execute.DeadKernelError("x")).endswith("most often memory ran out")
    monkeypatch.setenv("CLUSTER_MEMORY", "2500")
    assert "it had 2,500 MB; ask for more with CLUSTER_MEMORY=5000" in execute.sentence(execute.DeadKernelError("x"))


def test_jobs_of_a_sweep_that_were_cut_off_say_why(sweep):
    cut_off, done = sweep.jobs()
    Path(cut_off.path(ERROR)).write_text(STOPPED + "\n")
    Path("batch.json").write_text(json.dumps({"sweep": "mine", "jobs": [cut_off.name, done.name]}))
    Path("12.log").write_text("Error: results cannot be written.\n")
    tries = [*said("NODE_FAIL", "11.log", "11", "batch.json"), *said("TIMEOUT", "12.log", "12", "batch.json")]
    assert run_sweep._note_ends(sweep, tries) == ["results cannot be written"]
    assert "its Slurm job 12 ran out of time" in Path(cut_off.path(ERROR)).read_text()
    assert not Path(done.path(ERROR)).exists()
    # Its own sentence is never replaced.
    Path(cut_off.path(ERROR)).write_text("ValueError: no\n")
    run_sweep._note_ends(sweep, said("OUT_OF_MEMORY", source="batch.json"))
    assert Path(cut_off.path(ERROR)).read_text() == "ValueError: no\n"


def test_jobs_of_a_preset_that_slurm_ended_say_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = [Job("paper", "01_one", f"seed{seed}", {}) for seed in range(2)]
    assert run._note_ends(jobs, said("OUT_OF_MEMORY", output=jobs[0].path(RESULT))) == []
    assert "ran out of memory" in Path(jobs[0].path(ERROR)).read_text()
    assert not Path(jobs[1].path(ERROR)).exists()


def test_a_job_that_never_began_is_not_said_to_go_on(tmp_path, monkeypatch):
    """Whatever kept Snakemake from starting it keeps it from starting again."""
    monkeypatch.chdir(tmp_path)
    job = Job("paper", "01_one", "seed0", {})
    lines = list(run.summary([job], [job], []))
    assert lines[1] == "FAILED 01_one seed0: it has not been started since a run asked for it"
    Path(job.path(ERROR)).parent.mkdir(parents=True)
    Path(job.path(ERROR)).write_text(NOT_STARTED + "\n")
    assert list(run.summary([job], [job], [])) == lines
    run._note_ends([job], said("OUT_OF_MEMORY", output=job.path(RESULT)))  # Slurm ended it before it said anything
    assert "ran out of memory" in next(line for line in run.summary([job], [job], []) if line.startswith("FAILED"))
    Path(job.path(ERROR)).write_text(STOPPED + "\n")
    assert "goes on from what results/.store holds" in list(run.summary([job], [job], []))[1]
    assert len(STOPPED) != len(NOT_STARTED)  # a sweep tells them apart by their files' sizes


def test_what_a_killed_snakemake_submitted_is_cancelled(tmp_path, monkeypatch):
    scancel = tmp_path / "scancel"
    scancel.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/cancelled\n')
    scancel.chmod(scancel.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    cluster.cancel(["Building DAG", "SLURM run ID: ab-12", "SLURM run ID: ab-12", "SLURM run ID: cd-34"])
    assert (tmp_path / "cancelled").read_text().split() == ["--name=ab-12", "--name=cd-34"]


# --- Files and locks that machines share ---


def test_a_file_system_without_locks_is_said_and_goes_on(tmp_path, monkeypatch, capsys):
    def absent(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", absent)
    with lock_of(tmp_path / "a.lock"), lock_of(tmp_path / "a.lock", wait=False):
        pass
    assert "has no file locks" in capsys.readouterr().out
    # No file that outlives a machine says that somebody is in here.
    monkeypatch.undo()
    with lock_of(tmp_path / "a.lock", wait=False):
        pass


def test_a_held_lock_is_not_waited_for_unless_asked(tmp_path):
    with lock_of(tmp_path / "a.lock"), pytest.raises(Timeout), lock_of(tmp_path / "a.lock", wait=False):
        pass


def test_a_batch_begins_with_the_jobs_that_nobody_is_at(sweep, monkeypatch):
    ran = []
    monkeypatch.setattr(execute, "_make_result", lambda job, **_: ran.append(job.name))
    first, second = sweep.jobs()
    Path("batch.json").write_text(json.dumps({"sweep": "mine", "jobs": [first.name, second.name]}))
    # As of another process.
    held = Path(first.path(execute.LOCK)).open("w")  # noqa: SIM115
    fcntl.flock(held, fcntl.LOCK_EX)
    threading.Timer(1.0, held.close).start()
    execute.execute_batch(Path("batch.json"))
    assert ran == [second.name, first.name]


def test_a_sweep_that_is_seen_late_is_waited_for(sweep, monkeypatch):
    names = [job.name for job in sweep.jobs()]
    Path("batch.json").write_text(json.dumps({"sweep": "mine", "jobs": names}))
    whole = Path("results/sweeps/mine/sweep.json").read_text()
    Path("results/sweeps/mine/sweep.json").write_text(json.dumps(json.loads(whole) | {"seeds": [0]}))
    threading.Timer(0.5, lambda: Path("results/sweeps/mine/sweep.json").write_text(whole)).start()
    assert [job.name for job in execute._jobs_of(Path("batch.json"))] == names
    monkeypatch.setattr(execute, "LATENCY", 0.0)
    Path("batch.json").write_text(json.dumps({"sweep": "mine", "jobs": ["absent"]}))
    with pytest.raises(WorkflowError, match="'absent' is no job of the sweep 'mine'"):
        execute._jobs_of(Path("batch.json"))
