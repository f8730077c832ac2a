"""Bars that redraw themselves become lines."""

import io

import pytest

from workflow.progress import ProgressLines, StatusLine, plain


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr("workflow.progress.time.monotonic", lambda: now[0])
    return now


@pytest.mark.usefixtures("clock")
def test_states_of_a_bar_become_lines_with_a_label():
    stream = io.StringIO()
    with ProgressLines("one", stream=stream) as lines:
        lines.write("\r 0%\r 5")
        lines.write("0%\r\x1b[32m100%\x1b[0m")
    assert stream.getvalue() == "one: 0%\none: 50%\none: 100%\n"


def test_lines_that_come_too_soon_are_left_out(clock):
    stream = io.StringIO()
    lines = ProgressLines("one", interval=2.0, stream=stream)
    for clock[0], text in [(0.0, "a\n"), (1.9, "b\n"), (2.0, "c\n\n"), (5.0, "c\n")]:
        lines.write(text)
    assert stream.getvalue() == "one: a\none: c\n"


def test_plain_text_has_no_colours_and_backspaces():
    assert plain("\x1b[1m\x1b[31mred\x1b[0m\x08\x08 text\x1b[K") == "red text"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.usefixtures("clock")
def test_a_state_is_one_line_that_is_rewritten_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "8")
    stream = Terminal()
    line = StatusLine(stream=stream)
    for text in ("1 done", "2 done, 3 left"):
        line.show(text)
    line.end()
    line.end()
    assert stream.getvalue() == "\r1 done\x1b[K\r2 done,\x1b[K\n"


def test_elsewhere_a_state_is_a_line_now_and_then(clock):
    stream = io.StringIO()
    line = StatusLine(interval=30.0, stream=stream)
    for clock[0], text in [(0.0, "1 done"), (29.0, "2 done"), (30.0, "3 done"), (90.0, "3 done"), (91.0, "4 done")]:
        line.show(text)
    line.end()
    assert stream.getvalue() == "1 done\n3 done\n4 done\n"
