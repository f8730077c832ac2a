"""Train one stored run again: `python -m workflow.retrain FILE NUMBER TO`, which `workflow.reproduce` starts.

The run has a separate process, because TensorFlow reads the number of threads from the environment at its start. The
rows go to the file TO. If the run cannot be rebuilt, TO is not written, and the last line of the output says why.
"""

import argparse
import sys
from pathlib import Path

from workflow.processes import stop_with_parent

REFUSED = 3


def main() -> int:
    """Train the run that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m workflow.retrain", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="a result file")
    parser.add_argument("number", type=int, help="which of its runs, from 0")
    parser.add_argument("to", type=Path, help="where the rows go")
    arguments = parser.parse_args()
    stop_with_parent()

    from common.experiments.reproduction import train_again
    from common.experiments.stored_settings import CannotRebuildError
    from common.results.result_file import write_table
    from common.results.stored_runs import stored_runs

    [stored] = [run for run in stored_runs(arguments.file)[0] if run.number == arguments.number]
    try:
        frame = train_again(stored)
    except CannotRebuildError as error:
        print(error, flush=True)
        return REFUSED
    write_table(frame, arguments.to, {"provenance": {}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
