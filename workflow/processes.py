"""Processes that end with the one that started them, and processes that wait for each other."""

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
    """End this process soon after its parent: a killed run must not go on in the background.

    A notebook's own process watches the one that executes it in the same way (ipykernel does that).
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class TerminatedError(KeyboardInterrupt):
    """The process was asked to end, as if by Ctrl-C."""


def end_on_terminate() -> None:
    """Take a request to end (SIGTERM, a closed terminal) for Ctrl-C."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise TerminatedError(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means it
        signal.signal(signal.SIGHUP, end)


def heed_interrupts() -> None:
    """Take Ctrl-C for what it is: a shell that starts a command in the background has it and its children ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def end_group(process: subprocess.Popen, seconds: float = 10.0) -> None:
    """End a process that leads a group, and all that are in the group: first by Ctrl-C, then by force.

    Args:
        process: the leader.
        seconds: what it gets to end in order; another Ctrl-C meanwhile ends it at once.
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
    """Wait for another process that is in here with the same file; the lock is held by the process and dies with it.

    Args:
        path: the file; its folder is made if needed.
        waits: what is printed if this process has to wait.

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
    """Hold the kernel's lock of a file, which ends with the process or, on a shared file system, with its machine.

    A file system without such locks is said to be one, and the block runs without: a lock that is a file would outlive
    a machine that dies, and its jobs would wait for it forever.

    Args:
        path: the file; its folder is there.
        wait: for another process that holds it, as long as it takes.

    Raises:
        Timeout: another process holds it, and none was to be waited for.
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
