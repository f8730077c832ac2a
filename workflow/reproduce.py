"""Train stored runs again, at this commit and on this machine: `python -m workflow.reproduce --count 3`.

For each run it prints whether it is identical to the bit, equal as printed, or different. It also prints the commit,
versions, device and threads of both trainings. Runs are drawn at random unless they are named. If a record lacks a
setting, so that its run cannot be made again, the setting is named, and another run is drawn. Stored files are not
changed.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.checks import nearest
from common.numbers import parse_numbers
from common.results.agreement import AS_PRINTED, DIFFERENT, IDENTICAL, Agreement, agreement
from common.results.collection import PAPER
from common.results.result_file import load
from common.results.stored_runs import StoredRun, stored_runs
from workflow.experiments import WorkflowError, option
from workflow.progress import ProgressLines, plain
from workflow.retrain import REFUSED

ROOT = Path(__file__).resolve().parent.parent
_LARGEST_SEED = 2**31
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


class NotRebuiltError(Exception):
    """Error for a stored run that cannot be trained again; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the command line without the program's name; None: that of this process.

    Returns:
        The exit code: 0 if runs were trained and none differs, 1 if one differs, 2 if none was trained or the call is
        wrong.
    """
    try:
        options = _parser().parse_args(arguments)
        runs = chosen(options)
        counts = reproduce(runs, options.count)
    except WorkflowError as error:
        print(f"Error: {error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    if not counts.total():
        return 2
    return int(counts[DIFFERENT] > 0)


def chosen(options: argparse.Namespace) -> list[StoredRun]:
    """List the stored runs that the options allow, in the order of the attempts.

    Raises:
        WorkflowError: there is no such run, or the results do not exist.
    """
    try:
        runs, unreadable = stored_runs(options.results)
    except FileNotFoundError as error:
        raise WorkflowError(error) from None
    for path, reason in unreadable.items():
        print(f"{_shown(Path(path))} cannot be read: {reason}", file=sys.stderr)
    if not runs:
        raise WorkflowError(f"no stored run can be read from {', '.join(map(str, options.results))}")
    allowed = [run for run in runs if _is_allowed(run, options)]
    if not allowed:
        raise WorkflowError(_nothing_allowed(runs, options))
    seed = random.SystemRandom().randrange(_LARGEST_SEED) if options.seed is None else options.seed
    random.Random(seed).shuffle(allowed)
    if len(allowed) > options.count:
        print(f"{options.count} of {len(allowed)} stored runs, drawn with --seed {seed}", flush=True)
    return allowed


def reproduce(runs: Sequence[StoredRun], count: int) -> Counter[str]:
    """Train runs again, one after another, until enough were trained, and print how each agrees.

    Returns:
        The number of runs with each verdict.
    """
    verdicts: Counter[str] = Counter()
    refused: list[str] = []
    for run in runs:
        if verdicts.total() >= count:
            break
        try:
            verdicts[_reproduce(run)] += 1
        except NotRebuiltError as error:
            refused.append(str(error))
            print(f"{run} ({_shown(run.path)})\n  not trained again: {error}", flush=True)
    counted = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in (IDENTICAL, AS_PRINTED, DIFFERENT))
    print(f"{verdicts.total()} trained again: {counted}; {len(refused)} could not be trained again", flush=True)
    return verdicts


def _reproduce(run: StoredRun) -> str:
    """Train one run again, print how it agrees, and return the verdict."""
    from common.experiments.stored_settings import CannotRebuildError, settings_of

    try:
        settings_of(run)  # takes no TensorFlow, so what it refuses costs no time
    except CannotRebuildError as error:
        raise NotRebuiltError(error) from None
    threads = run.value("threads")
    again = retrained(run, int(threads or os.cpu_count() or 1))
    compared = agreement(run.frame, again.frame)
    print(
        "\n".join([f"{run} ({_shown(run.path)})", *(f"  {line}" for line in report(run, again, compared))]), flush=True
    )
    return compared.verdict


def retrained(run: StoredRun, threads: int) -> StoredRun:
    """Train a stored run in a separate process with this number of threads; return the result.

    Raises:
        NotRebuiltError: the run cannot be rebuilt, or the process failed.
    """
    seconds = run.value("seconds")
    then = "" if seconds is None else f"; {seconds:.3g} s then"
    print(f"{run}: training again with {_counted(threads, 'thread')}{then}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder, "again.parquet")
        call = [sys.executable, "-m", "workflow.retrain", str(run.path.resolve()), str(run.number), str(to)]
        variables = {**os.environ, **dict.fromkeys(_THREADS, str(threads)), "PYTHONIOENCODING": "utf-8"}
        child = subprocess.Popen(
            call, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
            errors="replace",
        )  # fmt: skip
        try:
            errors: list[str] = []
            reader = threading.Thread(target=_show_progress, args=(child.stderr, errors))
            reader.start()
            output = child.stdout.read() if child.stdout else ""
            child.wait()
            reader.join()
        finally:
            child.kill()
        if child.returncode == REFUSED:
            raise NotRebuiltError(output.strip().splitlines()[-1])
        if child.returncode:
            ended = f"its process ended with code {child.returncode}"
            raise NotRebuiltError(f"{ended}: {errors[-1]}" if errors else ended)
        return StoredRun(to, 0, load(to).frame)


def report(run: StoredRun, again: StoredRun, compared: Agreement) -> Iterator[str]:
    """Yield lines on how a run agrees, and on the origin of both trainings."""
    reason = f" ({compared.reason})" if compared.reason else ""
    yield f"{compared.verdict}{reason}: {compared.numbers:,} numbers compared"
    if compared.verdict != IDENTICAL:
        parts = [f"{name} {value:.3g} (epoch {epoch})" for name, (value, epoch) in compared.largest.items()]
        yield f"largest differences: {', '.join(parts)}"
    versions = [json.loads(each.value("versions") or "{}") for each in (run, again)]
    other = [name for name in versions[1] if versions[0].get(name) != versions[1][name]]
    for word, trained, known in zip(("then", "now"), (run, again), versions, strict=True):
        named = ", ".join(f"{name} {known.get(name, 'unknown')}" for name in other)
        yield f"{word + ':':<6}{_code(trained)}, {_machine(trained)}; {named or 'the same versions'}"
    if changed := _changed_code(run, again):
        yield changed
    yield from _cautions(run, again)


def _code(run: StoredRun) -> str:
    commit = str(run.value("commit") or "unknown")[:7]
    return f"commit {commit}{', with changes' if run.value('dirty') else ''}"


def _machine(run: StoredRun) -> str:
    threads = run.value("threads")
    counted = _counted(int(threads), "thread") if threads else "threads unknown"
    return f"{run.value('device') or 'unknown device'}, {counted}"


def _changed_code(run: StoredRun, again: StoredRun) -> str:
    codes = [json.loads(each.value("identity") or "{}").get("code") for each in (run, again)]
    if not all(codes):
        return ""
    return f"the code that decides its numbers is {'the same' if codes[0] == codes[1] else 'another'}"


def _cautions(run: StoredRun, again: StoredRun) -> Iterator[str]:
    """Yield the differences between the machines on which the last bits depend."""
    if run.value("note"):
        yield f"of the stored run: {run.value('note')}"
    threads, cores = run.value("threads"), os.cpu_count() or 1
    if threads is None:
        yield "its record does not say its threads, on whose number the last bits depend: all cores were used"
    elif int(threads) > cores:
        yield f"{int(threads)} threads shared {_counted(cores, 'core')}"
    then, now = (str(each.value("device")) for each in (run, again))
    if then == "CPU" and now.startswith("CPU"):
        yield "its record does not say which processor, on whose instructions the last bits depend"
    elif then != now:
        yield "another device: the last bits may differ"


def _is_allowed(run: StoredRun, options: argparse.Namespace) -> bool:
    seconds = run.value("seconds")
    return (
        (options.run is None or run.name == options.run)
        and (options.of_seed is None or run.seed in options.of_seed)
        and (options.digest is None or run.digest.startswith(options.digest))
        and (options.at_most is None or (seconds is not None and seconds <= options.at_most))
    )


def _nothing_allowed(runs: Sequence[StoredRun], options: argparse.Namespace) -> str:
    names = {run.name for run in runs}
    if options.run is not None and options.run not in names:
        return f"no stored run is called {options.run!r}{nearest(options.run, names)}"
    asked = {"run": options.run, "of-seed": options.of_seed, "digest": options.digest, "at-most": options.at_most}
    given = " and ".join(f"--{name}" for name, value in asked.items() if value is not None)
    return f"none of the {len(runs)} stored runs is one that {given} {'allow' if ' and ' in given else 'allows'}"


def _show_progress(stream, errors: list[str]) -> None:
    """Print a line of the progress bar now and then; keep the rest, which explains why a process failed."""
    with ProgressLines("  training", interval=60) as shown:
        for line in stream:
            for part in plain(line).replace("\r", "\n").splitlines():
                if re.search(r"[1-9]\d*%\|.*epoch", part):
                    shown.write(part + "\n")
                elif part.strip():
                    errors.append(part.strip())


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _shown(path: Path) -> str:
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _parser() -> argparse.ArgumentParser:
    def number(text: str, name: str, least: int) -> int:
        if not text.isdecimal() or int(text) < least:
            raise WorkflowError(f"--{name} must be a whole number ≥ {least}, got {text!r}")
        return int(text)

    parser = argparse.ArgumentParser(
        prog="python -m workflow.reproduce", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--results", nargs="+", default=[PAPER], help="result files, stores or folders of them; default: results/paper"
    )
    parser.add_argument("--count", type=lambda text: number(text, "count", 1), default=3, help="how many; default: 3")
    parser.add_argument(
        "--seed", type=lambda text: number(text, "seed", 0), help="of the drawing; default: another one"
    )
    parser.add_argument("--run", help="only runs of this name")
    parser.add_argument(
        "--of-seed", type=option(parse_numbers, "--of-seed"), help="only runs with this seed, or these, e.g. 0-2"
    )
    parser.add_argument("--digest", help="only the record of this digest, or of those that begin so")
    parser.add_argument("--at-most", type=float, metavar="SECONDS", help="only runs that took no more to train")
    return parser


if __name__ == "__main__":
    sys.exit(main())
