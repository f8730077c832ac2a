"""Processes that end with their parent, and processes that wait for each other."""

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout


def stop_with_parent() -> None:
    """End this process soon after its parent, since a killed run must not continue in the background.

    A notebook's own process watches the executing process in the same way, through ipykernel.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class TerminatedError(KeyboardInterrupt):
    """Exception for a request to end the process, handled like Ctrl-C."""


def end_on_terminate() -> None:
    """Treat a request to end (SIGTERM, a closed terminal) like Ctrl-C."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise TerminatedError(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means it
        signal.signal(signal.SIGHUP, end)


def heed_interrupts() -> None:
    """Restore the handling of Ctrl-C: a shell lets background commands and their children ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def end_group(process: subprocess.Popen, seconds: float = 10.0) -> None:
    """End a process that leads a group, and the whole group: first by Ctrl-C, then by force.

    Args:
        process: the leader of the group.
        seconds: the time that it gets to end in order; another Ctrl-C meanwhile ends it at once.
    """
    try:
        for number, patience in ((signal.SIGINT, seconds), (signal.SIGKILL, None)):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
    except KeyboardInterrupt:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def one_at_a_time(path: Path, waits: str) -> Iterator[None]:
    """Allow one process at a time for each file; the process holds the lock, which ends with it.

    Args:
        path: the file; its folder is created if needed.
        waits: the message printed if this process has to wait.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(lock_of(path, wait=False))
        except Timeout:
            print(waits, flush=True)
            held.enter_context(lock_of(path))
        yield


@contextmanager
def lock_of(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the kernel's lock of a file; it ends with the process or, on a shared file system, with its machine.

    On a file system without such locks, a message says so, and the block runs without a lock. A lock in the form of a
    file would outlive a dead machine, and other jobs would wait forever.

    Args:
        path: the file; its folder must exist.
        wait: whether to wait, without limit, for another process that holds it.

    Raises:
        Timeout: another process holds it, and `wait` is false.
        OSError: the file cannot be written.
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
        print(f"{path.parent} has no file locks ({error.strerror}): let no two runs of it go on at once", flush=True)
    try:
        yield
    finally:
        lock.release()
