"""Refusing a wrong argument in one sentence."""

from collections.abc import Iterable
from typing import Any

from common.names import nearest


def require(condition: bool, name: str, allowed: str, value: Any) -> None:
    """Raise a ValueError "`name` must be `allowed`, got `value`" unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")


def require_one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raise a ValueError that lists the known names, and the nearest, unless `value` is one of them."""
    if value not in known:
        raise ValueError(f"{name} must be one of {list(known)}, got {value!r}{nearest(value, known)}")
