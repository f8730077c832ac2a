"""Execute one job with papermill: `python -m workflow.execute paper 01_baseline_sgd seed0`, or a batch of a sweep.

The notebook's last cell writes the result file, and only that file shows that the job succeeded. The executed notebook
is kept in logs/, even after a failure, with a sentence about the failure.
"""

import argparse
import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import Timeout

from workflow import sweeps
from workflow.cluster import asking_for_memory
from workflow.experiments import (
    ERROR,
    EXECUTED,
    LATENCY,
    NOTEBOOK,
    RESULT,
    SECONDS,
    STOPPED,
    STORE,
    Job,
    WorkflowError,
    find,
)
from workflow.labels import write_labelled
from workflow.processes import end_on_terminate, heed_interrupts, lock_of, stop_with_parent
from workflow.progress import ProgressLines, clock, plain
from workflow.stored import failure_of, is_stored, was_cut_off

# jsonschema imports this to check web addresses, which no notebook's schema asks for; it takes three seconds to load.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: an import of it fails, says Python

import papermill  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from papermill.exceptions import PapermillExecutionError  # noqa: E402

from workflow.kernels import ENGINE, KERNEL, QUIET, KeptKernel  # noqa: E402

LOCK = "logs/{preset}/{experiment}/.{name}.lock"
# Where a sweep's notebook writes; what reads results passes over it.
UNLABELLED = "results/{preset}/{experiment}/.{name}.tmp.parquet"
KERNEL_LOG = "logs/{preset}/{experiment}/{name}.kernel.txt"
_BAR = "{n_fmt} of {total_fmt} cells done, {elapsed} gone, {remaining} left if all cells are alike"


def execute(job: Job) -> None:
    """Execute a job's notebook, with its progress on the standard output.

    Args:
        job: the job to run.

    Raises:
        WorkflowError: the notebook failed; the message says how.
    """
    _make_folders(job)
    # An earlier run of this job may still be dying (see stop_with_parent): never write beside it.
    with lock_of(Path(job.path(LOCK))), _failure_noted(job):
        print(f"{job}: started{_last_duration(job)}", flush=True)
        with (
            standard_error_to(Path(job.path(KERNEL_LOG))),
            ProgressLines(str(job)) as bar,
            ProgressLines(str(job), interval=2.0) as output,
        ):
            seconds = _make_result(
                job,
                progress_bar={"file": bar, "bar_format": _BAR, "mininterval": 0},
                stdout_file=output,
                stderr_file=output,
                # The result is on disk by now. An orderly end takes up to five seconds and tells of an interrupt that
                # nobody made.
                shutdown_kernel="immediate",
                extra_arguments=list(QUIET),
            )
        print(f"{job}: finished in {clock(seconds)}", flush=True)


def execute_batch(path: Path) -> None:
    """Execute the jobs of a sweep that a file lists, one after another in one kernel; logs/ has their output.

    A failed job stops no other job, and neither does a kernel that dies. After a kill, the same call continues.
    Finished jobs do not run again. Interrupted jobs come last, since they may have been the cause.

    Args:
        path: a JSON file with the name of the `sweep` and its `jobs`.

    Raises:
        OSError: results or logs cannot be written.
    """
    jobs = sorted(_jobs_of(path), key=was_cut_off)
    with standard_error_to(path.with_suffix(".kernel.txt")), KeptKernel() as kernel:
        # First what nobody is at: a killed driver leaves jobs on a cluster that go on, maybe with some of these.
        busy = [job for job in jobs if not _executed(job, kernel, wait=False)]
        for job in busy:
            _executed(job, kernel, wait=True)


def _jobs_of(path: Path) -> list[Job]:
    """Read the jobs of a batch; on another machine than the driver's, sweep.json may become visible late."""
    batch = json.loads(path.read_text(encoding="utf-8"))
    end = time.monotonic() + LATENCY
    while True:
        known = {job.name: job for job in sweeps.read(batch["sweep"]).jobs()}
        missing = [name for name in batch["jobs"] if name not in known]
        if not missing:
            return [known[name] for name in batch["jobs"]]
        if time.monotonic() > end:
            raise WorkflowError(f"{missing[0]!r} is no job of the sweep {batch['sweep']!r}; was it changed meanwhile?")
        time.sleep(1.0)


def _executed(job: Job, kernel: KeptKernel, wait: bool) -> bool:
    """Execute a job of a batch unless it has ended; return whether this was possible without waiting for another."""
    # Whatever has failed since the run began has its sentence already.
    if is_stored(job) or failure_of(job):
        return True
    _make_folders(job)
    try:
        with lock_of(Path(job.path(LOCK)), wait=wait), suppress(WorkflowError):
            if not is_stored(job):  # made meanwhile by a process that was thought dead
                with _failure_noted(job):
                    _make_result(job, engine_name=ENGINE, kernel=kernel, progress_bar=False)
    except Timeout:
        return False
    return True


def _make_folders(job: Job) -> None:
    for pattern in (RESULT, EXECUTED):
        Path(job.path(pattern)).parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _failure_noted(job: Job) -> Iterator[None]:
    """Store a sentence about an error; until then, store the one that holds if this process is killed."""
    error_file = Path(job.path(ERROR))
    error_file.write_text(STOPPED + "\n", encoding="utf-8")
    try:
        yield
    except Exception as error:
        error_file.write_text(sentence(error) + "\n", encoding="utf-8")
        raise WorkflowError(f"{job} failed: {sentence(error)}") from error
    error_file.unlink(missing_ok=True)


def _make_result(job: Job, **options: Any) -> float:
    """Run the notebook with papermill's options; return the seconds that it took."""
    started = time.monotonic()
    result = Path(job.path(UNLABELLED if job.columns else RESULT))
    if job.columns:
        result.unlink(missing_ok=True)
    before = result.stat().st_mtime_ns if result.exists() else None
    papermill.execute_notebook(
        job.path(NOTEBOOK),
        job.path(EXECUTED),
        {**job.parameters, "result_file": str(result), "store": STORE},
        kernel_name=KERNEL,
        language="python",
        **options,
    )
    if not result.exists() or result.stat().st_mtime_ns == before:
        raise WorkflowError(f"the notebook ended without writing its result file {result}")
    if job.columns:
        write_labelled(result, job)
        result.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    Path(job.path(SECONDS)).write_text(f"{seconds:.1f}\n", encoding="utf-8")
    return seconds


@contextmanager
def standard_error_to(path: Path) -> Iterator[None]:
    """Redirect the standard error of processes started in this block to a file.

    The notebook's process writes there what it also stores in the notebook, and its last messages before a crash.
    """
    terminal = os.dup(2)
    try:
        with path.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def sentence(error: Exception) -> str:
    """Return in one line what ended a notebook."""
    if isinstance(error, PapermillExecutionError):
        text = f"{error.ename}: {error.evalue}"
    elif isinstance(error, DeadKernelError):
        text = "the notebook's Python process died; most often memory ran out" + asking_for_memory()
    elif isinstance(error, WorkflowError):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return textwrap.shorten(plain(text), 600, placeholder=" …")


def use_threads(count: int) -> None:
    """Limit the threads of TensorFlow and of the numerical libraries in the notebook's process."""
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[variable] = str(count)


def prefer_own_kernel() -> None:
    """Select the kernel of this environment, even if the user has another one of the same name."""
    os.environ.pop("JUPYTER_PATH", None)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"


def _last_duration(job: Job) -> str:
    try:
        seconds = float(Path(job.path(SECONDS)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return f", took {clock(seconds)} the last time"


def main() -> int:
    """Execute the jobs that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m workflow.execute", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("job", nargs="*", help="preset, experiment and name of a job")
    parser.add_argument("--batch", type=Path, help="a file that lists jobs of a sweep")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    arguments = parser.parse_args()
    if len(arguments.job) != (0 if arguments.batch else 3):
        parser.error("give the preset, the experiment and the name of a job, or --batch and a file")
    stop_with_parent()
    heed_interrupts()
    end_on_terminate()
    prefer_own_kernel()
    use_threads(arguments.threads)
    try:
        if arguments.batch:
            execute_batch(arguments.batch)
        else:
            execute(_find(*arguments.job))
    except (WorkflowError, OSError) as error:
        print(f"Error: {sentence(error)}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _find(preset: str, experiment: str, name: str) -> Job:
    return sweeps.find(experiment, name) if preset == sweeps.PRESET else find(preset, experiment, name)


if __name__ == "__main__":
    sys.exit(main())
