"""Redraw an experiment: `python -m common.experiments 01_baseline_sgd --results DIRECTORY --figures DIRECTORY`."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from common.checks import nearest
from common.experiments.parameters import NOTEBOOKS
from common.plotting.draw import Drawings, redraw


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and print which figures were written; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.experiment not in NOTEBOOKS:
        hint = nearest(options.experiment, NOTEBOOKS) or "."
        return _fail(f"unknown experiment {options.experiment!r}{hint} There is {', '.join(NOTEBOOKS)}.")
    try:
        drawn = importlib.import_module(f"common.experiments.{folder_of(options.experiment)}.figures")
        folders = (options.results, options.figures, options.expected)
        optional = {"pages": getattr(drawn, "PAGES", {}), "together": getattr(drawn, "TOGETHER", {})}
        redraw(
            options.experiment, *folders, drawings=Drawings(drawn.FIGURES, drawn.TABLES, **optional), each=options.each
        )
    except (OSError, ValueError) as error:
        return _fail(str(error))
    return 0


def folder_of(notebook: str) -> str:
    """Return the folder of a notebook's parameters and figures: its name without the number."""
    return notebook.split("_", 1)[1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m common.experiments", description="Redraw figures from stored results."
    )
    parser.add_argument("experiment", help=f"one of {', '.join(NOTEBOOKS)}")
    parser.add_argument("--results", default="results/quick", help="folder of a preset's results (%(default)s)")
    parser.add_argument("--figures", default="figures/quick", help="folder to write to (%(default)s)")
    parser.add_argument(
        "--expected", nargs="*", default=[], metavar="FILE", help="result files that make up the figures"
    )
    parser.add_argument(
        "--each", action="store_true", help="draw each result file by itself, into files that end in its name"
    )
    return parser


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
