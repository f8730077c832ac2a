"""Programs of the system that checks need: they are installed, run, and ended with all that they started."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil

INSTALL = 300  # seconds, on a machine that is busy with other work


class SkippedError(Exception):
    """This machine cannot run the checks; the message gives the reason."""


def failure(command: list, seconds: float = INSTALL, folder: Path | None = None, **variables: str) -> str:
    """Run a command in a folder with extra variables; return its last line if it failed, else an empty string."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"} | variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd=folder,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return "" if done.returncode == 0 else (lines or ["no message"])[-1]


def install(*packages: str) -> str:
    """Install Debian's packages; return the reason if that failed, else an empty string."""
    failure(["apt-get", "-qq", "update"])
    return failure(["apt-get", "-qq", "-y", "--no-install-recommends", "install", *packages])


def free_ports(count: int) -> list[int]:
    """Return unused ports."""
    with contextlib.ExitStack() as sockets:
        servers = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def end_processes_of(folder: Path) -> None:
    """End all processes started here: they have the folder in their command or environment."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        ours = [process for process in psutil.process_iter() if belongs_to(process, folder)]
        for process in ours:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        psutil.wait_procs(ours, timeout=10)


def belongs_to(process: psutil.Process, folder: Path) -> bool:
    """Return whether a process, other than this one, was started here."""
    if process.pid == os.getpid():
        return False
    with contextlib.suppress(psutil.Error, OSError):
        named = [*process.cmdline(), *process.environ().values()]
        return any(str(folder) in text for text in named)
    return False
