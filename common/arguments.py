"""Refusing a wrong argument in one sentence."""

from typing import Any


def require(condition: bool, name: str, allowed: str, value: Any) -> None:
    """Raise a ValueError "`name` must be `allowed`, got `value`" unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
