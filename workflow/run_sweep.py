"""Run a sweep: find the missing jobs, divide them into batches, let Snakemake run these, and watch them.

Only files show the state of a job: its result, its error file and its seconds. It may therefore run on any machine of a
shared file system. Snakemake sees batches, which are made from the missing jobs at every call. Its memory of earlier
calls therefore has no effect.
"""

import json
import math
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.atomic import replacing
from workflow import cluster, engine
from workflow.experiments import ERROR, EXECUTED, LATENCY, NOT_STARTED, PRESETS, RESULT, STOPPED, Job, WorkflowError
from workflow.labels import has_labels, write_labelled
from workflow.processes import end_group, end_on_terminate, one_at_a_time
from workflow.progress import StatusLine, clock
from workflow.stored import defaults_of, error_of, failure_of, has_other_parameters, is_stored, notes_of, was_cut_off
from workflow.sweeps import GONE, LOGS, RESULTS, Sweep, read

LOCK = "results/sweeps/.{name}.lock"
BATCHES = "logs/sweeps/{name}/batches"
SNAKEMAKE_LOG = "logs/sweeps/{name}/snakemake.txt"
# The jobs of a batch share one start of Python and TensorFlow, which takes 10 to 30 s. With so many seconds of jobs it
# hardly counts, and neither does a batch that is lost with its machine or ends after all others.
BATCH_SECONDS = 300.0
# How many jobs a batch has where not even the first of them told how long they take.
_UNMEASURED = 10
# How many jobs run alone at first, to be measured, where nothing is known.
_PILOTS = 4
# Durations that are read to tell the mean; failures that are told with their sentence.
_SAMPLE = 200
_MOST_SENTENCES = 20
_POLL = 0.5
# How often Snakemake itself is started again when it was killed.
_STARTS = 3
_HOUR = 3600.0


@dataclass(frozen=True)
class Plan:
    """The settings of one call for a sweep.

    Attributes:
        sweep: its points and seeds.
        cores: number of cores to use; None: all. On a cluster, the number of jobs at once; None: as in its profile.
        profile: a folder of workflow/profiles.
        force: whether stored jobs run again.
    """

    sweep: Sweep
    cores: int | None = None
    profile: str = "local"
    force: bool = False

    @property
    def lanes(self) -> int:
        """Number of batches that run side by side, as far as it is known beforehand."""
        if cluster.is_cluster(self.profile):
            with suppress(ValueError, TypeError, KeyError):
                return self.cores or max(1, int(cluster.read_profile(self.profile)["jobs"]))
        # On a GPU jobs take turns.
        return 1 if engine.has_gpu() else self.cores or _usable_cores()

    def is_missing(self, job: Job) -> bool:
        """Return whether the job must run: it is forced, not stored, or stored with other parameters."""
        if self.force or not is_stored(job):
            return True
        # As given, and then as the notebook reads it: hidden: "32, 64" is stored as a list.
        return has_other_parameters(job) and has_other_parameters(replace(job, parameters=_as_checked(job)))


def _as_checked(job: Job) -> dict[str, Any]:
    from common.experiments.parameters import validate

    checked = validate(job.notebook, {**defaults_of(job), **job.parameters}).model_dump()
    return {name: checked[name] for name in job.parameters}


def run(plan: Plan) -> int:
    """Run the missing jobs, print a summary, and return the exit code.

    Raises:
        OSError: results or logs cannot be written.
        KeyboardInterrupt: Ctrl-C or a request to end; every started process has ended.
    """
    sweep = plan.sweep
    end_on_terminate()
    waits = f"Another run of the sweep {sweep.name} is under way; this one goes on when it has ended."
    with one_at_a_time(sweep.path(LOCK), waits):
        jobs = sweep.jobs()
        for line in _prepare(sweep, jobs):
            print(line, flush=True)
        missing = [job for job in jobs if plan.is_missing(job)]
        print(_headline(sweep, len(jobs), len(missing)), flush=True)
        _ask_for(missing)
        started = time.monotonic()
        complaints = _run_all(plan, jobs, missing) if missing else []
        failed = [job for job in jobs if not is_stored(job)]
        for line in _summary(sweep, jobs, missing, failed, time.monotonic() - started, complaints):
            print(line, flush=True)
    return int(bool(failed))


def listing(plan: Plan) -> Iterator[str]:
    """Yield lines on a run's jobs, which are stored, and how long the others may take; write nothing."""
    sweep = plan.sweep
    jobs = sweep.jobs()
    gone = _names(sweep.path(GONE))
    missing = {
        job.name
        for job in jobs
        if plan.is_missing(job) and (plan.force or job.name not in gone or Path(job.path(ERROR)).exists())
    }
    yield _headline(sweep, len(jobs), len(missing))
    for job in jobs:
        yield f"  {job.name}  {'to run' if job.name in missing else 'stored'}  {_described(sweep, job)}"
    if strays := _names(sweep.path(RESULTS)) - {job.name for job in jobs}:
        yield f"Stored, but not of a point or seed in the file: {len(strays)} results."
    if missing:
        yield _expected(plan, len(missing))


def _headline(sweep: Sweep, jobs: int, missing: int) -> str:
    counted = f"{_many(len(sweep.points), 'point')} × {_many(len(sweep.seeds), 'seed')} = {_many(jobs, 'job')}"
    return f"Sweep {sweep.name}: {counted} of {sweep.notebook}; {jobs - missing} stored, {missing} to run."


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' * (count != 1)}"


def _described(sweep: Sweep, job: Job) -> str:
    """Return the words for the job's point, without values that are filled in from other names."""
    return ", ".join(f"{name}={value}" for name, value in job.columns.items() if name not in sweep.filled)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- Before the jobs ---


def _prepare(sweep: Sweep, jobs: Sequence[Job]) -> Iterator[str]:
    """Create the folders, separate existing results into the file's and others, and write sweep.json."""
    results, logs, gone = (sweep.path(pattern) for pattern in (RESULTS, LOGS, GONE))
    for folder in (results, logs, sweep.path(BATCHES)):
        folder.mkdir(parents=True, exist_ok=True)
    _remove_torn_files(results)
    wanted = {job.name: job for job in jobs}
    for name in _names(gone) & set(wanted) - _names(results):
        os.replace(gone / f"{name}.parquet", results / f"{name}.parquet")
    strays = sorted(_names(results) - set(wanted))
    for name in strays:
        gone.mkdir(exist_ok=True)
        os.replace(results / f"{name}.parquet", gone / f"{name}.parquet")
    for name in _names(results):
        # Stored under other swept names, or when a value was not swept; a file that cannot be read is made again.
        if notes_of(results / f"{name}.parquet") and not has_labels(wanted[name]):
            _relabel(wanted[name])
    sweep.write()
    if strays:
        yield f"{_many(len(strays), 'result')} of points or seeds that the file no longer has: moved to {gone}/"


def _relabel(job: Job) -> None:
    try:
        write_labelled(Path(job.path(RESULT)), job)
    except (OSError, ValueError) as error:  # pyarrow's are of these kinds
        if getattr(error, "errno", None):
            raise
        Path(job.path(ERROR)).write_text(NOT_STARTED + "\n", encoding="utf-8")


def _remove_torn_files(folder: Path) -> None:
    """Remove old incomplete files of killed jobs; newer ones may belong to a job that is still ending."""
    for path in folder.glob(".*.tmp*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _HOUR:
                path.unlink()


def _ask_for(missing: Sequence[Job]) -> None:
    """Record which jobs must run again, so that this is known after a kill, despite an earlier result."""
    for job in missing:
        error_file = Path(job.path(ERROR))
        if error_file.exists() or Path(job.path(RESULT)).exists():
            error_file.write_text(NOT_STARTED + "\n", encoding="utf-8")


def _names(folder: Path) -> set[str]:
    """Return the names of the results in a folder: their files without extension."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return {entry.name[:-8] for entry in entries if entry.name.endswith(".parquet") and entry.name[0] != "."}
    return set()


# --- How long jobs take ---


def _expected(plan: Plan, missing: int) -> str:
    measured = _measured(plan.sweep)
    if measured is None:
        return f"How long they take is not known: no job of {plan.sweep.notebook} has been measured here."
    seconds, source = measured
    lanes = min(plan.lanes, missing)
    return f"Expected: about {clock(missing * seconds / lanes)} with {_many(lanes, 'job')} at a time, as {source}."


def _measured(sweep: Sweep) -> tuple[float, str] | None:
    """Return the seconds that a job takes, and the jobs for which they are known; None if there are none."""
    if own := _durations(sweep.path(LOGS)):
        return _mean(own), f"{_many(len(own), 'job')} of this sweep took {clock(_mean(own))} each"
    folders = [Path("logs", preset, sweep.notebook) for preset in PRESETS]
    for path in Path(RESULTS.format(name="")).glob("*/sweep.json"):
        with suppress(WorkflowError):
            other = read(path.parent.name)
            folders += [other.path(LOGS)] if other.notebook == sweep.notebook else []
    if others := [seconds for folder in folders for seconds in _durations(folder)]:
        return _mean(others), f"earlier jobs of {sweep.notebook}, of other settings, took {clock(_mean(others))} each"
    return None


def _durations(folder: Path) -> list[float]:
    seconds = []
    for path in folder.glob(".*.seconds"):
        with suppress(OSError, ValueError):
            seconds.append(float(path.read_text(encoding="utf-8")))
        if len(seconds) == _SAMPLE:
            break
    return seconds


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# --- Batches ---


def batches_of(jobs: Sequence[Job], lanes: int, seconds: float | None) -> list[list[Job]]:
    """Divide jobs into batches: many short jobs or one long job each, so that all lanes are busy until the end.

    Args:
        jobs: at least one.
        lanes: number of batches that run at once.
        seconds: duration of a job; None: not known.

    Returns:
        Batches that differ in size by at most one. Neighbours are in different batches, since they take equally long.
    """
    most = _UNMEASURED if seconds is None else max(1, int(BATCH_SECONDS / max(seconds, 0.1)))
    rounds = math.ceil(len(jobs) / most / lanes)
    count = min(rounds * lanes, len(jobs))
    return [list(jobs[first::count]) for first in range(count)]


def _run_all(plan: Plan, jobs: Sequence[Job], missing: Sequence[Job]) -> list[str]:
    """Run the jobs; return the reasons why whole batches did not run, one sentence each."""
    waiting, lanes = list(missing), plan.lanes
    watch = _Watch(plan, jobs)
    complaints: list[str] = []
    if len(waiting) > 2 * lanes and not _durations(plan.sweep.path(LOGS)):
        pilots = waiting[: min(lanes, _PILOTS)]
        complaints = _run_batches(plan, [[job] for job in pilots], watch)
        waiting = [job for job in waiting if job not in pilots or watch.was_killed]
    starts = 0
    while waiting and not complaints and starts < _STARTS:
        starts += 1
        waiting = [job for job in waiting if not is_stored(job) and not failure_of(job)]
        durations = _durations(plan.sweep.path(LOGS))
        complaints = _run_batches(plan, batches_of(waiting, lanes, _mean(durations) if durations else None), watch)
        waiting = waiting if watch.was_killed else []
    watch.end()
    return complaints


def _run_batches(plan: Plan, batches: Sequence[Sequence[Job]], watch: "_Watch") -> list[str]:
    folder = plan.sweep.path(BATCHES)
    for old in folder.iterdir():
        with suppress(OSError):
            old.unlink()
    # Of its own at each call: no file of an earlier one can be taken for one of this.
    stamp = f"{time.time_ns():x}"
    for number, batch in enumerate(batches):
        content = {"sweep": plan.sweep.name, "jobs": [job.name for job in batch]}
        with replacing(folder / f"{stamp}-{number}.json") as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
    arguments = engine.call([str(folder / f"{stamp}.done")], plan.cores, plan.profile, ["--drop-metadata"])
    process = engine.start(arguments, subprocess.PIPE, subprocess.STDOUT)
    on_cluster = cluster.is_cluster(plan.profile)
    try:
        complaints = watch.until_end(process)
    finally:
        if process.poll() is None:
            end_group(process, cluster.PATIENCE) if on_cluster else end_group(process)
        if on_cluster and process.returncode:
            cluster.cancel(watch.lines)
    if plan.profile != "local":
        _wait_for_files([job for batch in batches for job in batch])
    if on_cluster:
        complaints = [*_note_ends(plan.sweep, watch.lines), *complaints]
    return list(dict.fromkeys(complaints))


def _note_ends(sweep: Sweep, lines: Sequence[str]) -> list[str]:
    """Store the reasons of jobs that Slurm ended; return the reasons why whole batches did not run."""
    jobs = {job.name: job for job in sweep.jobs()}
    complaints = cluster.refusals_of(lines)
    for end in reversed(list(cluster.ends_of(lines))):  # the last try tells
        if complaint := end.complaint():
            complaints.append(complaint)
        for path in end.files:
            if not path.endswith(".json"):
                continue
            for name in json.loads(Path(path).read_text(encoding="utf-8"))["jobs"]:
                if name in jobs and was_cut_off(jobs[name]):
                    Path(jobs[name].path(ERROR)).write_text(end.sentence() + "\n", encoding="utf-8")
    return complaints


def _wait_for_files(jobs: Sequence[Job]) -> None:
    """Wait until the ends of jobs on other machines become visible, which never happens for killed jobs."""
    end = time.monotonic() + LATENCY
    while time.monotonic() < end and any(not is_stored(job) and not failure_of(job) for job in jobs):
        time.sleep(1.0)


class _Watch:
    """Display of a sweep's progress while Snakemake runs; it also collects the errors of whole batches."""

    def __init__(self, plan: Plan, jobs: Sequence[Job]):
        self.was_killed = False
        self.lines: list[str] = []
        self._sweep, self._lanes = plan.sweep, plan.lanes
        self._names = {job.name for job in jobs}
        self._line = StatusLine()
        self._begun, self._ended_before = time.monotonic(), sum(self._counts()[::2])
        self._ended, self._gone = 0, 0.0
        self._log = plan.sweep.path(SNAKEMAKE_LOG)
        self._log.write_text("", encoding="utf-8")

    def until_end(self, process: subprocess.Popen) -> list[str]:
        """Show the state until the process has ended; return the reasons why batches did not run."""
        lines = self.lines = []
        listener = threading.Thread(target=self._listen, args=(process, lines), daemon=True)
        listener.start()
        due = 0.0
        while process.poll() is None:
            if time.monotonic() >= due:
                begun = time.monotonic()
                self._line.show(self._state())
                # Thousands of files on a shared disk are not listed every second.
                due = time.monotonic() + max(1.0, 20 * (time.monotonic() - begun))
            time.sleep(_POLL)
        listener.join(timeout=5)
        self.was_killed = process.returncode < 0
        if process.returncode <= 0:
            return []  # what went wrong meanwhile was put right by another try
        complaints = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        if not complaints and not any(line.startswith("Select jobs") for line in lines):
            complaints = [line for line in lines if line.strip()][-1:]  # Snakemake did not even begin
        return list(dict.fromkeys(complaints))

    def end(self) -> None:
        """End the line of the state."""
        self._line.show(self._state())
        self._line.end()

    def _listen(self, process: subprocess.Popen, lines: list[str]) -> None:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            with suppress(OSError), self._log.open("a", encoding="utf-8") as log:
                log.write(line)

    def _counts(self) -> tuple[int, int, int]:
        """Count the finished, running and failed jobs."""
        errors: dict[str, int] = {}
        with os.scandir(self._sweep.path(LOGS)) as entries:
            for entry in entries:
                if entry.name.endswith(".error.txt"):
                    with suppress(OSError):
                        errors[entry.name[:-10]] = entry.stat().st_size
        done = len((_names(self._sweep.path(RESULTS)) & self._names) - set(errors))
        sizes = [size for name, size in errors.items() if name in self._names]
        running, waiting = (len(text) + 1 for text in (STOPPED, NOT_STARTED))
        return done, sizes.count(running), sum(size not in (running, waiting, 0) for size in sizes)

    def _state(self) -> str:
        done, running, failed = self._counts()
        left = len(self._names) - done - running - failed
        state = f"{self._sweep.name}: {done} done, {running} running, {failed} failed, {left} left"
        if not left + running:
            return state
        ended = done + failed - self._ended_before
        if ended != self._ended:
            # Only an end tells how fast it goes; between two of them the time that is told would grow.
            self._ended, self._gone = ended, time.monotonic() - self._begun
        if ended > 0:
            return f"{state}; about {clock((left + running / 2) * self._gone / ended)} to go"
        measured = _measured(self._sweep)
        return f"{state}; about {clock(left * measured[0] / self._lanes)} to go" if measured else state


# --- After the jobs ---


def _summary(
    sweep: Sweep,
    jobs: Sequence[Job],
    missing: Sequence[Job],
    failed: Sequence[Job],
    seconds: float,
    complaints: Sequence[str],
) -> Iterator[str]:
    stored, added = len(jobs) - len(failed), len(missing) - len(failed)
    what = f"{stored:,} of {_many(len(jobs), 'job')} of {sweep.name} are stored"
    yield f"{what}: {stored - added:,} before, {added:,} new in {clock(seconds)}; {len(failed):,} failed or not run."
    yield from (f"Error: {complaint}" for complaint in complaints[:_MOST_SENTENCES])
    for job in failed[:_MOST_SENTENCES]:
        why = error_of(job) if Path(job.path(ERROR)).exists() else "it was not started"
        yield f"FAILED {job.name} ({_described(sweep, job)}): {why}"
        if Path(job.path(RESULT)).exists():
            yield f"       the earlier result is kept: {job.path(RESULT)}"
        if Path(job.path(EXECUTED)).exists():
            yield f"       log: {job.path(EXECUTED)}"
    if len(failed) > _MOST_SENTENCES:
        yield f"       and {len(failed) - _MOST_SENTENCES:,} more; their sentences: {sweep.path(LOGS)}/*.error.txt"
    if complaints or any(not failure_of(job) for job in failed):
        yield f"Snakemake's own log: {sweep.path(SNAKEMAKE_LOG)}"
