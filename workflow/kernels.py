"""A kernel that runs several notebooks one after another, each as if it were the first.

A kernel's start and its imports take longer than a small training. So the jobs of a sweep share one kernel. Between two
jobs, everything that a notebook defined is deleted, and so is Keras' own state. Only the modules stay.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines

KERNEL = "python3"  # the kernel that ipykernel installs into every environment
# Errors in the notebook are stored in it, so the kernel's own log adds nothing. Nor does IPython's history, a data base
# in the home folder: kernels of many machines would wait for its lock there.
QUIET = ["--IPKernelApp.log_level=CRITICAL", "--HistoryManager.enabled=False"]
ENGINE = "kept kernel"

_FORGET = """
def _forget():
    import gc, sys
    get_ipython().reset(new_session=True)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        sys.__dict__.pop(name, None)
    gc.collect()
_forget()
"""


class KeptKernel:
    """A kernel that stays for the next notebook; as a context manager, it ends with the block.

    A new kernel replaces it after `most` notebooks or `seconds` seconds, after a failed notebook, and when it has died.
    It is also replaced when code has changed that it may have imported. A job thus always runs the code as it is when
    the job starts.

    Args:
        most: the largest number of notebooks per kernel, at least 1. Each leaves some megabytes that TensorFlow does
            not free.
        seconds: its largest age when the next notebook starts.
        code: the folder of the modules that notebooks import.
    """

    def __init__(self, most: int = 50, seconds: float = 1800.0, code: str = "common"):
        self._most, self._seconds, self._code = most, seconds, Path(code)
        self._manager: AsyncKernelManager | None = None
        self._started, self._runs = 0.0, 0
        self._files: frozenset[tuple[str, int, int]] = frozenset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """End the kernel at once; the next notebook gets a new one."""
        manager, self._manager = self._manager, None
        if manager is not None and manager.has_kernel:
            with suppress(RuntimeError):  # it has died by itself
                run_sync(manager.shutdown_kernel)(now=True)
            run_sync(manager.cleanup_resources)()

    @contextmanager
    def manager(self) -> Iterator[AsyncKernelManager]:
        """Yield the kernel manager for one notebook: the kept one, or one to be started."""
        files = self._source_files()
        too_old = time.monotonic() - self._started > self._seconds
        if too_old or self._runs >= self._most or files != self._files or not self._is_alive():
            self.end()
        if self._manager is None:
            self._manager = AsyncKernelManager(kernel_name=KERNEL)
            self._started, self._runs, self._files = time.monotonic(), 0, files
        try:
            yield self._manager
        except BaseException:
            self.end()
            raise
        self._runs += 1

    def _is_alive(self) -> bool:
        return self._manager is not None and run_sync(self._manager.is_alive)()

    def _source_files(self) -> frozenset[tuple[str, int, int]]:
        about = ((str(path), path.stat()) for path in self._code.rglob("*.py"))
        return frozenset((name, status.st_mtime_ns, status.st_size) for name, status in about)


class _KeptKernelEngine(Engine):
    """Papermill engine that runs a notebook in an existing kernel, which stays."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, *, kernel: KeptKernel, **options: Any
    ) -> None:
        known = {name: options[name] for name in ("log_output", "stdout_file", "stderr_file") if name in options}
        with kernel.manager() as manager:
            client = PapermillNotebookClient(
                nb_man, km=manager, kernel_name=kernel_name, timeout=None, extra_arguments=list(QUIET), **known
            )
            with client.setup_kernel():
                try:
                    client.execute()
                    # Papermill keeps the error of a cell for later.
                    usable = not nb_man.nb.metadata.papermill["exception"] and _forget(client)
                finally:
                    client.kc.stop_channels()
        if not usable:
            kernel.end()


def _forget(client: PapermillNotebookClient) -> bool:
    """Delete everything that the notebook left; return whether this was possible."""
    try:
        reply = client.wait_for_reply(client.kc.execute(_FORGET, silent=True, store_history=False))
    except (DeadKernelError, RuntimeError):
        return False
    return reply is not None and reply["content"]["status"] == "ok"


papermill_engines.register(ENGINE, _KeptKernelEngine)
