"""Assertions at the end of a notebook on the known results of the presets' parameters."""


def expect(condition: bool, otherwise: str) -> None:
    """Raise an AssertionError with this sentence unless the condition holds.

    Unlike the assert statement, it also works under PYTHONOPTIMIZE.
    """
    if not condition:
        raise AssertionError(otherwise)
