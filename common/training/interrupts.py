"""Interrupts (Ctrl-C, a notebook's stop button) that wait until a run's state is whole and kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Hold back the first interrupt to the end of the block, which raises it; a second one raises at once.

    Where somebody else handles interrupts, or in another thread than the main one, nothing is changed.

    Yields:
        A function that says whether there was one.

    Raises:
        KeyboardInterrupt: at the end of the block, if there was one.
    """
    requests: list[int] = []

    def note(number: int, frame) -> None:
        if requests:
            signal.default_int_handler(number, frame)
        requests.append(number)

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(requests)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if requests:
        raise KeyboardInterrupt
