"""Which stored numbers differ between commits, for CHANGELOG.md: `python -m workflow.changed_numbers OLD NEW`.

A record, a run with one seed, is the same where its seed and all its final losses and metrics are, whatever its columns
are called by then: results that were only converted have changed no number.
"""

import argparse
import collections
import io
import subprocess
import sys
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from common.results.frame import run_columns
from common.results.summary import last_rows

FOLDER = "results/paper"
_FINAL = tuple(f"{part}_{name}" for part in ("train", "validation", "test") for name in ("loss", "metric"))
_METRIC = {"accuracy": ("test error (%)", lambda metric: 100 * (1 - metric))}
_NAMES = ("run", "setting")  # of a run; "setting" in records of before runs had names
_MOST = 40  # settings of an experiment that are listed


@dataclass(frozen=True)
class Change:
    """What became of one experiment's records.

    Attributes:
        experiment: the folder's name.
        same: how many records have the numbers that they had.
        gone: records of the old commit that the new one does not have, last rows.
        new: records of the new commit that the old one does not have.
    """

    experiment: str
    same: int
    gone: pd.DataFrame
    new: pd.DataFrame


def change(experiment: str, old: pd.DataFrame, new: pd.DataFrame) -> Change:
    """Compare the last rows of an experiment's records, of two commits."""
    remaining = collections.Counter(_numbers(old))
    added = []
    for numbers in _numbers(new):
        added.append(remaining[numbers] == 0)
        remaining[numbers] -= not added[-1]
    gone = []
    for numbers in _numbers(old):
        gone.append(remaining[numbers] > 0)
        remaining[numbers] -= gone[-1]
    return Change(experiment, len(new) - sum(added), old[gone], new[added])


def lines(changed: Change) -> Iterator[str]:
    """Yield Markdown: how many records are the same, and old and new means over the seeds of settings that are not."""
    counts = f"{changed.same} records the same, {len(changed.gone)} gone, {len(changed.new)} new"
    yield f"- `{changed.experiment}`: {counts}."
    columns = _telling(changed.gone, changed.new)
    old, new = (_means(rows, columns) for rows in (changed.gone, changed.new))
    settings = [*old, *(name for name in new if name not in old)]
    for name in settings[:_MOST]:
        before, after = old.get(name), new.get(name)
        if before is None:
            yield f"  - new: {name}: {after}"
        elif after is None:
            yield f"  - gone: {name}: {before}"
        else:
            yield f"  - {name}: {before} → {after}"
    if len(settings) > _MOST:
        yield f"  - and {len(settings) - _MOST} settings more"


def stored(commit: str, experiment: str) -> pd.DataFrame:
    """Read the last rows of all records of an experiment at a commit; empty where it had none.

    Raises:
        CalledProcessError: git does not know the commit.
    """
    listed = _git("ls-tree", "-r", "--name-only", commit, "--", f"{FOLDER}/{experiment}").decode().splitlines()
    frames = []
    for name in listed:
        if name.endswith(".parquet"):
            frame = pd.read_parquet(io.BytesIO(_git("show", f"{commit}:{name}")))
            frame = frame.drop(columns="order", errors="ignore")  # a place in a plan
            frames.append(last_rows(frame))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["seed", "epoch", *_FINAL])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the lines of every experiment whose numbers differ.

    Args:
        arguments: the command line without the program's name; None: that of this process.

    Returns:
        The exit code: 0, or 1 where git does not know a commit.
    """
    parser = argparse.ArgumentParser(
        prog="python -m workflow.changed_numbers", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("old", metavar="OLD", help="a commit, such as HEAD~1")
    parser.add_argument("new", metavar="NEW", nargs="?", default="HEAD", help="a commit (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        listed = [_git("ls-tree", "-r", "--name-only", commit, "--", FOLDER) for commit in (options.old, options.new)]
        names = {PurePosixPath(name).parts[2] for name in b"".join(listed).decode().splitlines()}
        for name in sorted(names):
            changed = change(name, stored(options.old, name), stored(options.new, name))
            if len(changed.gone) or len(changed.new):
                print(*lines(changed), sep="\n")
    except subprocess.CalledProcessError as error:
        print(f"git cannot tell: {error.stderr.decode().strip()}", file=sys.stderr)
        return 1
    return 0


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], check=True, capture_output=True).stdout


def _numbers(rows: pd.DataFrame) -> list[tuple[Hashable, ...]]:
    final = rows[["seed", *_FINAL]].astype(float)
    return list(final.where(final.notna(), other=float("-inf")).itertuples(index=False, name=None))


def _telling(*frames: pd.DataFrame) -> list[str]:
    """Name the columns that tell settings apart: that of their name, or what all frames have and what varies."""
    filled = [frame for frame in frames if len(frame)]
    for name in _NAMES:
        if all(name in frame for frame in filled):
            places = [place for place in ("dataset", "network") if any(frame[place].nunique() > 1 for frame in filled)]
            return [name, *places]
    known = [name for name in run_columns(filled[0]) if name != "seed" and all(name in frame for frame in filled)]
    return [name for name in known if any(frame[name].nunique(dropna=False) > 1 for frame in filled)]


def _means(rows: pd.DataFrame, columns: Sequence[str]) -> dict[str, str]:
    means: dict[str, str] = {}
    if rows.empty:
        return means
    for values, own in rows.groupby(list(columns), dropna=False, sort=False) if columns else [((), rows)]:
        pairs = [(name, value) for name, value in zip(columns, values, strict=True) if pd.notna(value)]
        named = [str(value) if name in _NAMES else f"{name} {value}" for name, value in pairs]
        title, convert = _METRIC.get(own["metric"].iloc[0], (f"test {own['metric'].iloc[0]}", lambda metric: metric))
        metric = own["test_metric"].astype(float)
        diverged = (own["status"] == "diverged").all()
        shown = "diverged" if diverged else "not tested" if metric.isna().all() else f"{convert(metric.mean()):.4g}"
        means[f"{', '.join(named) or 'all'}, {title}"] = f"{shown} (n = {own['seed'].nunique()})"
    return means


if __name__ == "__main__":
    sys.exit(main())
