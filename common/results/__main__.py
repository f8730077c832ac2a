"""Collect and merge results: `python -m common.results collect results/.store --to FILE`, or `merge`."""

import argparse
import sys
from collections.abc import Sequence

from common.results.collection import collect, merge
from common.results.files import load_all
from common.results.summary import last_rows
from common.user_paths import user_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and print what was written; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        before = _runs_there(options.to, options.sources)
        if options.command == "collect":
            frame = collect(options.sources, options.to, experiment=options.experiment)
        else:
            frame = merge(options.sources, options.to)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote {options.to}: {len(last_rows(frame))} runs, {len(frame)} rows{before}")
    return 0


def _runs_there(path: str, sources: Sequence[str]) -> str:
    """Return in words how many runs of a file are replaced; empty if there is none, or if it is among the sources."""
    file = user_path(path)
    if not file.is_file() or any(file.resolve() == user_path(source).resolve() for source in sources):
        return ""
    loaded, _ = load_all([file])
    kept = [len(last_rows(result.frame)) for result in loaded.values()]
    return f"; it replaced {kept[0]} runs that were there" if kept else "; it replaced a file that cannot be read"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m common.results", description="Collect and merge stored results.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("collect", "write records of a store into one result file"),
        ("merge", "join result files, such as those of several people, into one"),
    ):
        command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        command.add_argument("sources", nargs="+", metavar="SOURCE", help="a folder or a file of results")
        command.add_argument("--to", required=True, metavar="FILE", help="the .parquet file to write")
        if name == "collect":
            command.add_argument("--experiment", metavar="NAME", help="only runs of this experiment")
    return parser


if __name__ == "__main__":
    sys.exit(main())
