"""Progress as lines, readable in a terminal, in a stored log, and when two notebooks run side by side."""

import io
import re
import shutil
import sys
import time
from typing import TextIO

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x08")


def plain(text: str) -> str:
    """Remove colours and cursor movements from text for a terminal."""
    return _CONTROL.sub("", text)


def clock(seconds: float) -> str:
    """Write a duration as minutes:seconds, or hours:minutes:seconds.

    Example:
        >>> clock(75), clock(3675)
        ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


class ProgressLines(io.TextIOBase):
    """A stream that prints a bar's successive states as lines that begin with a label.

    Args:
        label: the beginning of each line.
        interval: seconds, at least 0; states that come sooner after a printed line are left out.
        stream: the output of the lines.
    """

    def __init__(self, label: str, interval: float = 0.0, stream: TextIO | None = None) -> None:
        self._label, self._interval, self._stream = label, interval, stream or sys.stdout
        self._rest, self._printed, self._last = "", -float("inf"), ""

    def write(self, text: str) -> int:
        """Accept any piece of text; print the newest line that it completes."""
        *complete, self._rest = re.split(r"[\r\n]", self._rest + text)
        for line in complete:
            self._print(plain(line).strip())
        return len(text)

    def close(self) -> None:
        """Print the last line, even if it is incomplete."""
        self.write("\n")
        super().close()

    def _print(self, line: str) -> None:
        now = time.monotonic()
        if not line or line == self._last or now - self._printed < self._interval:
            return
        self._printed, self._last = now, line
        # One write per line, so that the lines of two processes never mix.
        self._stream.write(f"{self._label}: {line}\n")
        self._stream.flush()


class StatusLine:
    """One line that is rewritten on a terminal; elsewhere, occasional lines.

    Args:
        interval: seconds between the lines without a terminal; a line without news is left out.
        stream: the output; None: the standard output.
    """

    def __init__(self, interval: float = 30.0, stream: TextIO | None = None) -> None:
        self._interval, self._stream = interval, stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._printed, self._last = -float("inf"), ""

    def show(self, text: str) -> None:
        """Show the newest state."""
        now = time.monotonic()
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be rewritten
            self._write(f"\r{text[:width]}\x1b[K")
        elif text != self._last and now - self._printed >= self._interval:
            self._printed = now
            self._write(f"{text}\n")
        self._last = text

    def end(self) -> None:
        """Leave the line; the next output begins a new one."""
        if self._terminal and self._last:
            self._write("\n")
        self._last = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
