"""Executes one job with papermill: `python -m workflow.execute paper 01_baseline_sgd seed0`.

The notebook's last cell writes the result file, and that file alone says that the job succeeded. The executed notebook
is kept in logs/, after a failure too, and a sentence about the failure beside it.
"""

import argparse
import os
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from workflow.experiments import (
    ERROR,
    EXECUTED,
    NOTEBOOK,
    RESULT,
    STOPPED,
    STORE,
    Job,
    WorkflowError,
    find,
)
from workflow.processes import stop_with_parent
from workflow.progress import ProgressLines, plain

# jsonschema imports this to check web addresses, which no notebook's schema asks for; it takes three seconds to load.
sys.modules.setdefault("rfc3987_syntax", None)

import papermill  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from papermill.exceptions import PapermillExecutionError  # noqa: E402

KERNEL = "python3"  # the kernel that ipykernel installs into every environment
SECONDS = "logs/{preset}/{experiment}/.{name}.seconds"
KERNEL_LOG = "logs/{preset}/{experiment}/{name}.kernel.txt"
_BAR = "{n_fmt} of {total_fmt} cells done, {elapsed} gone, {remaining} left if all cells are alike"


def execute(job: Job) -> None:
    """Execute a job's notebook; its progress goes to the standard output.

    Args:
        job: what to run.

    Raises:
        WorkflowError: the notebook failed; the sentence says how.
    """
    for pattern in (RESULT, EXECUTED):
        Path(job.path(pattern)).parent.mkdir(parents=True, exist_ok=True)
    # An earlier run of this job may still be dying (see stop_with_parent): never write beside it.
    with FileLock(job.path("logs/{preset}/{experiment}/.{name}.lock")):
        error_file = Path(job.path(ERROR))
        error_file.write_text(STOPPED + "\n", encoding="utf-8")  # what is true if this process is killed
        try:
            _execute(job)
        except Exception as error:
            error_file.write_text(sentence(error) + "\n", encoding="utf-8")
            raise WorkflowError(f"{job} failed: {sentence(error)}") from error
        error_file.unlink(missing_ok=True)


def _execute(job: Job) -> None:
    print(f"{job}: started{_last_duration(job)}", flush=True)
    started = time.monotonic()
    result = Path(job.path(RESULT))
    written = result.stat().st_mtime_ns if result.exists() else None
    with (
        standard_error_to(Path(job.path(KERNEL_LOG))),
        ProgressLines(str(job)) as bar,
        ProgressLines(str(job), interval=2.0) as output,
    ):
        papermill.execute_notebook(
            job.path(NOTEBOOK),
            job.path(EXECUTED),
            {**job.parameters, "result_file": str(result), "store": STORE},
            kernel_name=KERNEL,
            language="python",
            progress_bar={"file": bar, "bar_format": _BAR, "mininterval": 0},
            stdout_file=output,
            stderr_file=output,
            # The result is on disk by now. An orderly end takes up to five seconds and tells of an interrupt that
            # nobody made; errors in the notebook are stored in it, so the kernel's own log adds nothing.
            shutdown_kernel="immediate",
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
    if not result.exists() or result.stat().st_mtime_ns == written:
        raise WorkflowError(f"the notebook ended without writing its result file {result}")
    seconds = time.monotonic() - started
    Path(job.path(SECONDS)).write_text(f"{seconds:.1f}\n", encoding="utf-8")
    print(f"{job}: finished in {_clock(seconds)}", flush=True)


@contextmanager
def standard_error_to(path: Path) -> Iterator[None]:
    """Send what processes started meanwhile write to their standard error to a file.

    The notebook's process writes there what it also stores in the notebook, and its last words before a crash.
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
    """Say in one line what ended a notebook."""
    if isinstance(error, PapermillExecutionError):
        text = f"{error.ename}: {error.evalue}"
    elif isinstance(error, DeadKernelError):
        text = "the notebook's Python process died; most often memory ran out"
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
    """Take the kernel of this environment, though the user may have one of the same name elsewhere."""
    os.environ.pop("JUPYTER_PATH", None)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"


def _last_duration(job: Job) -> str:
    try:
        seconds = float(Path(job.path(SECONDS)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return f", took {_clock(seconds)} the last time"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def main() -> int:
    """Execute the job that the command line names; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m workflow.execute", description=__doc__.splitlines()[0])
    for name in ("preset", "experiment", "name"):
        parser.add_argument(name)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    arguments = parser.parse_args()
    stop_with_parent()
    prefer_own_kernel()
    use_threads(arguments.threads)
    try:
        execute(find(arguments.preset, arguments.experiment, arguments.name))
    except WorkflowError as error:
        print(f"Error: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
