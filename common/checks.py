"""Checks that refuse a wrong argument in one sentence, with the nearest valid name."""

import difflib
from collections.abc import Iterable
from numbers import Integral
from typing import Any


def require(condition: bool, name: str, allowed: str, value: Any) -> None:
    """Raise a ValueError "`name` must be `allowed`, got `value`" unless `condition` holds.

    Example:
        >>> require(0.1 >= 0, "sigma", "≥ 0", 0.1)
        >>> require(-1 >= 0, "sigma", "≥ 0", -1)
        Traceback (most recent call last):
            ...
        ValueError: sigma must be ≥ 0, got -1
    """
    if not condition:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number; True, False and 2.0 are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def require_count(name: str, value: Any, least: int = 1) -> None:
    """Raise a ValueError unless `value` is a whole number ≥ `least`.

    Example:
        >>> require_count("epochs", 3)
        >>> require_count("epochs", "3")
        Traceback (most recent call last):
            ...
        ValueError: epochs must be a whole number ≥ 1, got '3'
    """
    # The message for a number out of range need not name its kind.
    require(is_whole(value), name, f"a whole number ≥ {least}", value)
    require(value >= least, name, f"≥ {least}", value)


def require_one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raise a ValueError that lists the known names, and the nearest, unless `value` is one of them."""
    if value not in known:
        raise ValueError(f"{name} must be one of {list(known)}, got {value!r}{nearest(value, known)}")


def nearest(name: object, known: Iterable[str]) -> str:
    """Return the end of a sentence that suggests the known name most similar to an unknown one.

    Args:
        name: the given value, of any type; case is ignored.
        known: the names that exist.

    Returns:
        "; did you mean 'x'?", or "" if no known name is similar.

    Example:
        >>> nearest("mnits", ["mnist", "digits"])
        "; did you mean 'mnist'?"
        >>> nearest("x", ["mnist", "digits"])
        ''
    """
    match = most_similar(name, known)
    return "" if match is None else f"; did you mean {match!r}?"


def most_similar(name: object, known: Iterable[str]) -> str | None:
    """Return the known name most similar to an unknown one, case ignored; None if no known name is similar.

    Example:
        >>> most_similar("Mnits", ["mnist", "digits"])
        'mnist'
    """
    by_lower = {known_name.lower(): known_name for known_name in known}
    matches = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.4)
    return by_lower[matches[0]] if matches else None
