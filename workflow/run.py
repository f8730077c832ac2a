"""Runs a preset's notebooks and draws their figures: `python -m workflow.run --preset quick`.

What is up to date is not run again. A failed notebook does not stop the others; it is listed at the end with its error
and its log. A run that was killed goes on where it stopped when it is started again.
"""

import argparse
import ast
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from common.numbers import parse_cores, parse_numbers
from common.stored_parameters import FILES, stored_parameters
from workflow.experiments import (
    ERROR,
    EXECUTED,
    FIGURES_DRAWN,
    FIGURES_LOG,
    NOTEBOOK,
    PRESETS,
    RESULT,
    STOPPED,
    Job,
    WorkflowError,
    option,
    select,
)

ROOT = Path(__file__).resolve().parent.parent
SNAKEFILE = "workflow/Snakefile"
SNAKEMAKE_LOG = Path("logs/snakemake.txt")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Args:
        arguments: the command line without the program's name; None: that of this process.

    Returns:
        The exit code: 0 all is there, 1 something failed, 2 the call or experiments.yml is wrong.
    """
    os.chdir(ROOT)
    try:
        options = _parser().parse_args(arguments)
        jobs = select(options.preset, options.only, options.seeds, options.variants)
        with one_run_at_a_time():
            return run(jobs, options)
    except WorkflowError as error:
        print(f"Error: {error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130


def run(jobs: list[Job], options: argparse.Namespace) -> int:
    """Run the jobs, draw the figures of what is there, and sum up; returns the exit code."""
    print(f"Preset {options.preset}: {', '.join(map(str, jobs))}", flush=True)
    SNAKEMAKE_LOG.parent.mkdir(exist_ok=True)
    SNAKEMAKE_LOG.write_text("", encoding="utf-8")
    results = [job.path(RESULT) for job in jobs]
    again = [job for job in jobs if options.force or did_not_end(job) or has_other_parameters(job)]
    for job in again:
        # Kept until the job has ended: after a kill these jobs are known, though their earlier results are there.
        Path(job.path(ERROR)).parent.mkdir(parents=True, exist_ok=True)
        Path(job.path(ERROR)).write_text(STOPPED + "\n", encoding="utf-8")
    sound = snakemake(results, options, ["--forcerun", *(job.path(RESULT) for job in again)] if again else [])
    failed = [job for job in jobs if did_not_end(job) or not Path(job.path(RESULT)).exists()]
    undrawn = draw_figures(jobs, options)
    for line in summary(jobs, failed, undrawn):
        print(line, flush=True)
    if not sound:
        print(f"Snakemake's own log: {SNAKEMAKE_LOG}", flush=True)
    return int(not sound or bool(failed or undrawn))


def draw_figures(jobs: list[Job], options: argparse.Namespace) -> list[Job]:
    """Draw the figures of every experiment with a result; returns a job of each that could not be drawn."""
    first = {job.experiment: job for job in jobs if Path(job.path(RESULT)).exists()}
    targets = [job.path(FIGURES_DRAWN) for job in first.values()]
    # The other rule is not allowed, so that results are taken as they are.
    if targets:
        snakemake(targets, options, ["--allowed-rules=draw_figures"])
    return [job for job in first.values() if not Path(job.path(FIGURES_DRAWN)).exists()]


def snakemake(targets: list[str], options: argparse.Namespace, extra: list[str]) -> bool:
    """Let Snakemake make the targets in this process, so that whoever kills it kills the sweep.

    Returns:
        Whether all targets were made.
    """
    from snakemake.cli import main as snakemake_main  # takes a second; wrong names are told before

    cores = options.cores or "all"
    profile = f"--workflow-profile=workflow/profiles/{options.profile}"
    # --profile none: the user's general Snakemake profile is for other projects.
    call = [f"--snakefile={SNAKEFILE}", f"--cores={cores}", "--profile=none", profile, *extra]
    if Path("/dev/nvidia0").exists():
        call.append("--resources=gpu=1")
    # What Snakemake says goes to a file: the jobs, which write to this terminal, say all that a reader needs.
    with SNAKEMAKE_LOG.open("a", encoding="utf-8") as log, redirect_stderr(log):
        try:
            snakemake_main([*call, "--", *targets])
        except SystemExit as end:
            return end.code == 0
    return True


def did_not_end(job: Job) -> bool:
    """Whether the job failed, was killed or has not started since a run asked for it."""
    return Path(job.path(ERROR)).exists()


def has_other_parameters(job: Job) -> bool:
    """Whether a stored result was made with other parameters than the job's and, for the rest, the notebook's defaults.

    Snakemake remembers parameters only in the working copy where it ran; the result file carries them anywhere.
    """
    path = Path(job.path(RESULT))
    if not path.exists():
        return False
    stored = stored_parameters(path)
    if stored is None:  # made again
        return True
    wanted = notebook_defaults(job) | dict(job.parameters)
    if job.preset == "paper":
        # A parameter that the notebook gained later does not make hours of training outdated.
        wanted = {name: value for name, value in wanted.items() if name in stored or name in job.parameters}
    return any(name not in stored or not _same(stored[name], value) for name, value in wanted.items())


def _same(stored: Any, value: Any) -> bool:
    """Whether a stored parameter, which was checked, is this one, which was not.

    The check makes a list of a single value where a list is meant, and of "all" the list of what there was at the time:
    as with a new parameter, that there is more by now does not make hours of training outdated.
    """
    return stored in (value, [value]) or (value == "all" and isinstance(stored, list))


def notebook_defaults(job: Job) -> dict[str, Any]:
    """Read what the notebook's cell "parameters" sets, except files and folders, which change no number.

    Papermill's own reading takes seconds to import. A notebook that cannot be read tells so itself when it runs.
    """
    try:
        cells = json.loads(Path(job.path(NOTEBOOK)).read_text(encoding="utf-8"))["cells"]
        tagged = [cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
        statements = ast.parse("".join(tagged[0]) if tagged else "").body
    except (OSError, ValueError, KeyError, SyntaxError):
        return {}
    values: dict[str, Any] = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in FILES:
                with suppress(ValueError):  # an expression: only the run itself knows its value
                    values[name] = ast.literal_eval(value)
    return values


@contextmanager
def one_run_at_a_time() -> Iterator[None]:
    """Wait for another run in this working copy; the lock is held by the process and dies with it."""
    path = Path("results/.lock")
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("Another run is under way in this folder; this one goes on when it has ended.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def summary(jobs: list[Job], failed: list[Job], undrawn: list[Job]) -> Iterator[str]:
    """Say what is there and, for each failure, its error and where its log is."""
    preset = jobs[0].preset
    yield f"{len(jobs) - len(failed)} of {len(jobs)} results are in results/{preset}/, figures in figures/{preset}/."
    for job in failed:
        yield f"FAILED {job}: {error_of(job)}"
        if Path(job.path(RESULT)).exists():
            yield f"       the earlier result is kept: {job.path(RESULT)}"
        yield f"       log: {job.path(EXECUTED)}"
    for job in undrawn:
        lines = _text(job.path(FIGURES_LOG)).splitlines()
        yield f"NO FIGURES of {job.experiment}: {lines[-1] if lines else 'the drawing ended without a message'}"
        yield f"       log: {job.path(FIGURES_LOG)}"


def error_of(job: Job) -> str:
    """Return the sentence that a failed job left."""
    return _text(job.path(ERROR)).strip() or STOPPED


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _names(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflow.run", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--only", type=_names, default=[], help="notebooks, e.g. 01_baseline_sgd; default: all")
    parser.add_argument(
        "--seeds", type=option(parse_numbers, "--seeds"), default=[], help="seeds, e.g. 0-4 or 0,2; default: all"
    )
    parser.add_argument("--variants", type=_names, default=[], help="variants, e.g. mnist_mlp; default: all")
    parser.add_argument(
        "--cores", type=option(parse_cores, "--cores"), help="cores to use, a number or all; default: all"
    )
    parser.add_argument("--force", action="store_true", help="run again what is up to date")
    parser.add_argument("--profile", default="local", help="a folder of workflow/profiles")
    return parser


if __name__ == "__main__":
    sys.exit(main())
