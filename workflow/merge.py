"""Merge folders of results, such as those of several machines: `python -m workflow.merge A B --into C`.

Result files and stores keep their names below the target. Common runs appear once, and nothing is overwritten.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from common.results.folders import Merged, merge_folders
from common.results.result_file import reasons

LOCK = ".merge.lock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and print what was done.

    Args:
        arguments: the command line without the program's name; None: that of this process.

    Returns:
        The exit code: 0 everything is merged, 1 something could not be read and the rest is merged, 2 nothing is
            written.
    """
    parser = argparse.ArgumentParser(prog="python -m workflow.merge", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", metavar="FOLDER", type=Path, help="a folder of results, or a store")
    parser.add_argument("--into", required=True, metavar="FOLDER", type=Path, help="the folder that gets all")
    options = parser.parse_args(arguments)
    try:
        options.into.mkdir(parents=True, exist_ok=True)
        with FileLock(options.into / LOCK):  # of this process, so it ends with it
            merged = merge_folders(options.folders, options.into)
    except (OSError, ValueError) as error:
        print(f"Error: {reasons(error)}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130
    report(merged, options.into)
    return int(bool(merged.unreadable))


def report(merged: Merged, into: Path) -> None:
    """Print what was written, what was already there, and what could not be read."""
    for sentence in merged.other_times:
        print(sentence)
    for path, reason in merged.unreadable.items():
        print(f"{path} is left out: {reason}", file=sys.stderr)
    files, runs = len(merged.written), merged.runs
    print(
        f"{into}: {runs} run{'s' * (runs != 1)} added in {files} file{'s' * (files != 1)}, "
        f"{merged.present} there already"
    )


if __name__ == "__main__":
    sys.exit(main())
