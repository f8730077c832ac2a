"""Parsing of whole numbers in a command line or a YAML file, such as `0-4`, `0,2,5-7` or `3`, and of core counts."""

import re
from collections import Counter

_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_MOST = 100_000  # a typing error, such as 0-40000000000, must not make a huge list


def parse_numbers(text: str, name: str = "numbers") -> list[int]:
    """Return the whole numbers ≥ 0 in a string, in its order: single numbers, and ranges that include both ends.

    Args:
        text: numbers and ranges, separated by commas or spaces.
        name: the name of the numbers in the error message.

    Raises:
        ValueError: one sentence for a part that is not such a number or range, a falling range, a repeated number, no
            number at all, or more than 100,000 numbers.

    Example:
        >>> parse_numbers("0-4"), parse_numbers("0,2,5-7"), parse_numbers("3")
        ([0, 1, 2, 3, 4], [0, 2, 5, 6, 7], [3])
        >>> parse_numbers("4-0", "seeds")
        Traceback (most recent call last):
            ...
        ValueError: seeds must be whole numbers ≥ 0 and ranges of them, such as 0-4 or 0,2,5-7, got '4-0': write 0-4
    """

    def refuse(reason: str) -> ValueError:
        allowed = "whole numbers ≥ 0 and ranges of them, such as 0-4 or 0,2,5-7"
        return ValueError(f"{name} must be {allowed}, got {text!r}{reason}")

    numbers: list[int] = []
    for part in re.sub(r"\s*-\s*", "-", text).replace(",", " ").split():
        bounds = _RANGE.fullmatch(part)
        if not bounds and not (part.isascii() and part.isdecimal()):
            raise refuse(f": {part!r} is neither" if part != text.strip() else "")
        first, last = (int(end) for end in (bounds.groups() if bounds else (part, part)))
        if first > last:
            raise refuse(f": write {last}-{first}")
        if last - first + len(numbers) >= _MOST:
            raise refuse(f": {part} would make them more than {_MOST:,}")
        numbers += range(first, last + 1)
    if not numbers:
        raise refuse("")
    for number, times in Counter(numbers).items():
        if times > 1:
            raise refuse(f": {number} is there twice")
    return numbers


def parse_cores(text: str, name: str = "cores") -> int | None:
    """Return the number of cores that a string names, or None for "all".

    Raises:
        ValueError: one sentence for anything but "all" and a whole number ≥ 1.

    Example:
        >>> parse_cores("2"), parse_cores("all")
        (2, None)
        >>> parse_cores("0")
        Traceback (most recent call last):
            ...
        ValueError: cores must be 'all' or a whole number ≥ 1, got '0'
    """
    text = text.strip()
    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise ValueError(f"{name} must be 'all' or a whole number ≥ 1, got {text!r}")
    return int(text)
