"""Run Python with a store of its own, which is removed afterwards: `python -m workflow.with_store -m pytest`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from workflow.processes import end_group, end_on_terminate

_PATIENCE = 20.0  # seconds that it gets to end in order


def main(arguments: Sequence[str] | None = None) -> int:
    """Run Python with these arguments and the environment variable RUN_STORE; return its exit code."""
    end_on_terminate()
    with tempfile.TemporaryDirectory(prefix="store-", ignore_cleanup_errors=True) as store:
        call = [sys.executable, *(sys.argv[1:] if arguments is None else arguments)]
        process = subprocess.Popen(call, env={**os.environ, "RUN_STORE": store}, start_new_session=True)
        try:
            return process.wait()
        except KeyboardInterrupt:
            end_group(process, _PATIENCE)
            return 130


if __name__ == "__main__":
    sys.exit(main())
