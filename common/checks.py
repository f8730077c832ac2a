"""Refusing a wrong argument in one sentence, with the nearest valid name."""

import difflib
from collections.abc import Iterable
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


def require_one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raise a ValueError that lists the known names, and the nearest, unless `value` is one of them."""
    if value not in known:
        raise ValueError(f"{name} must be one of {list(known)}, got {value!r}{nearest(value, known)}")


def nearest(name: object, known: Iterable[str]) -> str:
    """Name the known name that is most like an unknown one, as the end of a sentence.

    Args:
        name: what was given, of any type; upper and lower case count as the same.
        known: the names that exist.

    Returns:
        "; did you mean 'x'?", or "" when no known name is like it.

    Example:
        >>> nearest("mnits", ["mnist", "digits"])
        "; did you mean 'mnist'?"
        >>> nearest("x", ["mnist", "digits"])
        ''
    """
    by_lower = {known_name.lower(): known_name for known_name in known}
    matches = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.4)
    return f"; did you mean {by_lower[matches[0]]!r}?" if matches else ""
