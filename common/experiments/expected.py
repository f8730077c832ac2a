"""What the parameters of the presets are known to give, asserted at the end of a notebook."""


def expect(condition: bool, otherwise: str) -> None:
    """Raise an AssertionError with this sentence unless the condition holds.

    Unlike the statement, it does so under PYTHONOPTIMIZE, too.
    """
    if not condition:
        raise AssertionError(otherwise)
