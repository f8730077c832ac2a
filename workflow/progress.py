"""Progress as lines: readable in a terminal, in a stored log, and when two notebooks run side by side."""

import io
import re
import sys
import time
from typing import TextIO

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x08")


def plain(text: str) -> str:
    """Remove colours and cursor movements from text that was meant for a terminal."""
    return _CONTROL.sub("", text)


class ProgressLines(io.TextIOBase):
    """A stream that prints a bar's successive states as lines that begin with a label.

    Args:
        label: what each line begins with.
        interval: seconds, at least 0; what comes sooner after a printed line is left out.
        stream: where the lines go.
    """

    def __init__(self, label: str, interval: float = 0.0, stream: TextIO | None = None) -> None:
        self._label, self._interval, self._stream = label, interval, stream or sys.stdout
        self._rest, self._printed, self._last = "", -float("inf"), ""

    def write(self, text: str) -> int:
        """Take any piece of text; print the newest line that it completes."""
        *complete, self._rest = re.split(r"[\r\n]", self._rest + text)
        for line in complete:
            self._print(plain(line).strip())
        return len(text)

    def close(self) -> None:
        """Print what no line end followed."""
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
