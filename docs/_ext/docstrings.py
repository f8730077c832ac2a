"""Docstrings as they are written here, plain text with tables of Markdown, become reStructuredText."""

import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

_NAMES = re.compile(r"(`[^`]+`)")
_NAME = re.compile(r"`([^`]+)`(\w*)")
_SEPARATOR = re.compile(r"^\|[-|]+\|$")


def _converted(lines: list[str]) -> Iterator[str]:
    in_table = False
    for line in lines:
        if line.startswith("|"):
            if not in_table:
                yield from (".. list-table::", "   :header-rows: 1", "")
            in_table = True
            if not _SEPARATOR.match(line):
                cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
                yield from (f"   {'* -' if number == 0 else '  -'} {cell}" for number, cell in enumerate(cells))
            continue
        in_table = False
        yield _NAME.sub(_with_suffix, "".join(map(_plain, _NAMES.split(line))))


def _plain(part: str) -> str:
    """Leave names; elsewhere an asterisk is a product or unpacks a shape, and a bar is a norm or an absolute value."""
    return part if part.startswith("`") else re.sub(r"[*|]", r"\\\g<0>", part)


def _with_suffix(match: re.Match) -> str:
    """Write a name and what follows it without a space, such as the s of a plural."""
    return f"`{match[1]}`" + (rf"\ {match[2]}" if match[2] else "")


def _convert(_app: Sphinx, _what: str, _name: str, _value: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = list(_converted(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Convert each docstring before its sections are read."""
    app.connect("autodoc-process-docstring", _convert, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
