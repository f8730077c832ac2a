"""Interrupts (Ctrl-C, a notebook's stop button) that wait until a run's state is complete and saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Hold back the first interrupt until the end of the block, which raises it; a second one raises at once.

    The function changes nothing if other code handles interrupts, or outside of the main thread.

    Yields:
        A function that returns whether there was an interrupt.

    Raises:
        KeyboardInterrupt: at the end of the block, if there was an interrupt.
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
