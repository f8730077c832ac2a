"""The hint that ends an error about an unknown name."""

import difflib
from collections.abc import Iterable


def nearest(name: object, known: Iterable[str]) -> str:
    """Name the known name that is most like an unknown one, as the end of a sentence.

    Args:
        name: what was given, of any type; upper and lower case count as the same.
        known: the names that exist.

    Returns:
        "; did you mean 'x'?", or "" when no known name is like it.
    """
    by_lower = {one.lower(): one for one in known}
    found = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.4)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""
