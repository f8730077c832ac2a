"""Run a preset's notebooks and draw their figures, or run a sweep: `python -m workflow.run --preset quick`.

Results that are up to date are not made again. A failed notebook does not stop the others; it is listed at the end with
its error and its log. A killed run continues where it stopped when it is started again.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.atomic import try_folder
from common.numbers import parse_cores, parse_numbers
from workflow import cluster, engine, uncommitted, user_folders
from workflow.experiments import (
    ERROR,
    EXECUTED,
    FIGURES_DRAWN,
    FIGURES_LOG,
    NOT_STARTED,
    PRESETS,
    RESULT,
    Job,
    WorkflowError,
    option,
    select,
    unknown,
)
from workflow.processes import end_group, end_on_terminate, one_at_a_time
from workflow.stored import did_not_end, error_of, failure_of, has_other_parameters, text_of

ROOT = Path(__file__).resolve().parent.parent
SNAKEMAKE_LOG = "logs/{preset}/snakemake.txt"
# Of a sweep's table; a longer one hides what was said before.
_PRINTED_ROWS = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the command line without the program's name; None: that of this process.

    Returns:
        The exit code: 0 everything is there, 1 something failed, 2 the call, experiments.yml or a sweep's file is
            wrong.
    """
    options = None
    try:
        options = _options(arguments)
        return _sweep(options) if options.sweep is not None else _preset(options)
    except WorkflowError as error:
        print(f"Error: {error}.", file=sys.stderr)
        return 2
    except OSError as error:
        # A full disk, a folder that may not be written: the place and the reason are all that there is to say.
        place, reason = error.filename or "a file", error.strerror or error
        print(f"Error: {place} cannot be read or written: {reason}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nStopped. The same command goes on from here{_command(options)}.", file=sys.stderr)
        return 130


def _preset(options: argparse.Namespace) -> int:
    os.chdir(ROOT)
    user_folders.require("Snakemake")
    jobs = select(options.preset, options.only, options.seeds, options.variants)
    end_on_terminate()
    cluster.prepare(options.profile)
    lock = Path(f"results/.{options.preset}.lock")
    with one_at_a_time(lock, "Another run is under way in this folder; this one goes on when it has ended."):
        return run(jobs, options)


def _sweep(options: argparse.Namespace) -> int:
    from workflow import run_sweep, sweeps

    if not options.sweep:
        raise WorkflowError("no sweep file is named; write such as make sweep FILE=sweeps/noise_by_rate.yml")
    path = Path(os.path.abspath(options.sweep))  # the folder of the call is left now
    os.chdir(ROOT)
    sweep = sweeps.load(Path(os.path.relpath(path)) if path.is_relative_to(ROOT) else path, many=options.yes)
    if differing := uncommitted.sentence([sweep.notebook]):
        print(differing, flush=True)
    plan = run_sweep.Plan(sweep, options.cores, options.profile, force=options.force)
    if options.dry_run:
        print(*run_sweep.listing(plan), sep="\n")
        return 0
    user_folders.require("Snakemake")
    cluster.prepare(options.profile)
    code = run_sweep.run(plan)
    return summarize_sweep(sweep.name) or code


def summarize_sweep(name: str) -> int:
    """Write a sweep's table, figure and page of results beside its results, and print the table.

    Returns:
        The exit code: 1 if there are results that cannot be summarised, else 0.
    """
    from common.plotting.sweep import printed_table, write_summary  # matplotlib, which other calls never need
    from common.results import read

    folder = Path("results/sweeps", name)
    if not any(folder.glob("*.parquet")):
        return 0
    try:
        table = printed_table(read(folder))
        paths = write_summary(folder, folder)
    except (OSError, ValueError) as error:
        print(f"The results in {folder}/ cannot be summed up: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print("", table.head(_PRINTED_ROWS).to_string(index=False), "", sep="\n")
    if len(table) > _PRINTED_ROWS:
        print(f"... and {len(table) - _PRINTED_ROWS:,} more rows: {folder}/table.csv")
    print(f"Written to {folder}/: {', '.join(path.name for path in paths)}", flush=True)
    return 0


def _command(options: argparse.Namespace | None) -> str:
    return f": make sweep FILE={shlex.quote(str(options.sweep))}" if options and options.sweep else ""


def run(jobs: list[Job], options: argparse.Namespace) -> int:
    """Run the jobs, draw the figures of existing results, print a summary, and return the exit code."""
    print(f"Preset {options.preset}: {', '.join(map(str, jobs))}", flush=True)
    if differing := uncommitted.sentence(job.notebook for job in jobs):
        print(differing, flush=True)
    _try_folder(Path("figures", options.preset))
    log = Path(SNAKEMAKE_LOG.format(preset=options.preset))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", encoding="utf-8")
    results = [job.path(RESULT) for job in jobs]
    again = [job for job in jobs if options.force or did_not_end(job) or has_other_parameters(job)]
    for job in again:
        # Kept until the job has ended: after a kill these jobs are known, though their earlier results are there.
        Path(job.path(ERROR)).parent.mkdir(parents=True, exist_ok=True)
        Path(job.path(ERROR)).write_text(NOT_STARTED + "\n", encoding="utf-8")
    sound = snakemake(results, options, ["--forcerun", *(job.path(RESULT) for job in again)] if again else [])
    failed = [job for job in jobs if did_not_end(job) or not Path(job.path(RESULT)).exists()]
    refusals = _note_ends(failed, text_of(str(log)).splitlines()) if cluster.is_cluster(options.profile) else []
    undrawn = draw_figures(jobs, options)
    for line in (*(f"Error: {refusal}." for refusal in refusals), *summary(jobs, failed, undrawn)):
        print(line, flush=True)
    if not sound:
        print(f"Snakemake's own log: {log}", flush=True)
    return int(not sound or bool(failed or undrawn))


def _note_ends(failed: list[Job], lines: list[str]) -> list[str]:
    """Store the reasons of jobs that Slurm ended; return the reasons why it did not take jobs."""
    for end in reversed(list(cluster.ends_of(lines))):  # the last try tells
        for job in failed:
            if job.path(RESULT) in end.files and not failure_of(job):
                Path(job.path(ERROR)).parent.mkdir(parents=True, exist_ok=True)
                Path(job.path(ERROR)).write_text(end.sentence() + "\n", encoding="utf-8")
    return cluster.refusals_of(lines)


def _try_folder(path: Path) -> None:
    """Create a folder and write there, before any job starts.

    Raises:
        WorkflowError: nothing can be written there.
    """
    try:
        try_folder(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise WorkflowError(f"{path} must be a folder where files can be written ({reason})") from None


def draw_figures(jobs: list[Job], options: argparse.Namespace) -> list[Job]:
    """Draw the figures of every experiment with a result; return one job of each that could not be drawn."""
    first = {job.experiment: job for job in jobs if Path(job.path(RESULT)).exists()}
    for job in first.values():
        Path(job.path(FIGURES_LOG)).unlink(missing_ok=True)  # what an earlier drawing said is no reason of this one
    targets = [job.path(FIGURES_DRAWN) for job in first.values()]
    # The other rule is not allowed, so that results are taken as they are.
    if targets:
        if cluster.is_cluster(options.profile):
            # Here: it takes seconds. One at a time, for a login node is everybody's.
            options = argparse.Namespace(**{**vars(options), "profile": "local", "cores": 1})
        snakemake(targets, options, ["--allowed-rules=draw_figures"])
    return [job for job in first.values() if not Path(job.path(FIGURES_DRAWN)).exists()]


def snakemake(targets: list[str], options: argparse.Namespace, extra: list[str]) -> bool:
    """Let Snakemake make the targets; it and its jobs end with this process.

    Returns:
        Whether all targets were made.
    """
    # What Snakemake says goes to a file: the jobs, which write to this terminal, say all that a reader needs.
    path = Path(SNAKEMAKE_LOG.format(preset=options.preset))
    call = engine.call(targets, options.cores, options.profile, extra)
    on_cluster = cluster.is_cluster(options.profile)
    if on_cluster:
        print(f"The jobs run on the cluster; squeue --me lists them. Snakemake's own log: {path}", flush=True)
    with path.open("a", encoding="utf-8") as log:
        process = engine.start(call, log if on_cluster else None, log)
        try:
            process.wait()
        finally:
            if process.poll() is None:
                end_group(process, *([cluster.PATIENCE] if on_cluster else []))
            if on_cluster and process.returncode:
                cluster.cancel(text_of(str(path)).splitlines())
    return process.returncode == 0


def summary(jobs: list[Job], failed: list[Job], undrawn: list[Job]) -> Iterator[str]:
    """Yield lines on the existing results and, for each failure, its error and the path of its log."""
    preset = jobs[0].preset
    yield f"{len(jobs) - len(failed)} of {len(jobs)} results are in results/{preset}/, figures in figures/{preset}/."
    for job in failed:
        yield f"FAILED {job}: {error_of(job)}"
        if Path(job.path(RESULT)).exists():
            yield f"       the earlier result is kept: {job.path(RESULT)}"
        yield f"       log: {job.path(EXECUTED)}"
    for job in undrawn:
        lines = text_of(job.path(FIGURES_LOG)).splitlines()
        yield f"NO FIGURES of {job.experiment}: {lines[-1] if lines else 'the drawing ended without a message'}"
        yield f"       log: {job.path(FIGURES_LOG)}"


def _names(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _profile(text: str) -> str:
    known = sorted(path.parent.name for path in (ROOT / "workflow" / "profiles").glob("*/config*.yaml"))
    if text not in known:
        raise argparse.ArgumentTypeError(unknown(f"there is no {text!r} in workflow/profiles", text, known))
    return text


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workflow.run", description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--preset", choices=PRESETS)
    what.add_argument("--sweep", metavar="FILE", help="a user's own file, such as sweeps/noise_by_rate.yml")
    parser.add_argument("--only", type=_names, default=[], help="notebooks, e.g. 01_baseline_sgd; default: all")
    parser.add_argument(
        "--seeds", type=option(parse_numbers, "--seeds"), default=[], help="seeds, e.g. 0-4 or 0,2; default: all"
    )
    parser.add_argument("--variants", type=_names, default=[], help="variants, e.g. mnist_mlp; default: all")
    parser.add_argument(
        "--cores", type=option(parse_cores, "--cores"), help="cores to use, a number or all; default: all"
    )
    parser.add_argument("--force", action="store_true", help="run again what is up to date")
    parser.add_argument("--profile", type=_profile, default="local", help="a folder of workflow/profiles")
    parser.add_argument("--dry-run", action="store_true", help="only list a sweep's jobs, and how long they may take")
    parser.add_argument("--yes", action="store_true", help="more than 10,000 jobs of a sweep are meant")
    options = parser.parse_args(arguments)
    if options.sweep is not None and (options.only or options.seeds or options.variants):
        parser.error("--only, --seeds and --variants choose jobs of a preset; what a sweep runs stands in its file")
    if options.preset and (options.dry_run or options.yes):
        parser.error("--dry-run and --yes are for a sweep")
    return options


if __name__ == "__main__":
    sys.exit(main())
