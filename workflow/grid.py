"""The grid of a sweep: axes of values (single, joint or random), and fields filled from other names."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from workflow.experiments import NUMBER, unknown, written_out

# Beyond this many points, seeds or values a file is a mistake, and would fill the memory before it could be told.
MOST = 1_000_000
NAME = re.compile(r"[^\W\d]\w*")
_FIELD = re.compile(r"\{([^{}]*)\}")
_RANGE = ("low", "high", "log")
_DIGITS = 3
_TRIES = 20

Assignment = dict[str, Any]
Axis = list[Assignment]


class MistakeError(Exception):
    """Error for a mistake in the file; the message does not contain the file's name."""


def axes_of(grid: Mapping[str, Any]) -> list[Axis]:
    """Return the factors of the grid: lists of values for one name, or for several that vary together."""
    axes: list[Axis] = []
    for name, content in grid.items():
        if name == "zip":
            axes += _zipped(content)
        elif name == "random":
            axes.append(_random(content))
        else:
            axes.append([{name: value} for value in _listed(name, content)])
    names = [name for axis in axes for name in axis[0]]
    for name in names:
        if names.count(name) > 1:
            raise MistakeError(f"grid: {name} is there twice; what varies together stands in one zip, all else once")
    return axes


def _listed(name: str, content: Any) -> list[Any]:
    if not isinstance(content, list):
        example = "" if isinstance(content, dict) or content is None else f", such as [{content}]"
        raise MistakeError(f"grid: {name} must be a list of values{example}, got {content!r}")
    if not content:
        raise MistakeError(f"grid: {name} has no values, so the product is empty")
    for value in content:
        require_plain(f"grid: {name}", value)
    return content


def require_plain(place: str, value: Any) -> None:
    """Raise for a value that no parameter can have; the message begins with the place."""
    if isinstance(value, list):
        for part in value:
            require_plain(place, part)
    elif isinstance(value, dict):
        raise MistakeError(f"{place}: {value!r} is a mapping, which no parameter is")
    elif isinstance(value, float) and not math.isfinite(value):
        raise MistakeError(f"{place}: {value!r} is no finite number")
    elif isinstance(value, str) and NUMBER.fullmatch(value):
        raise MistakeError(f"{place}: {value!r} is a text; write the number without quotes, as {written_out(value)}")


def _zipped(content: Any) -> list[Axis]:
    form = "a list of mappings, such as [{sigma: 0.1, epochs: 5}, {sigma: 1, epochs: 9}], or a list of such lists"
    if not isinstance(content, list):
        raise MistakeError(f"grid: zip must be {form}, got {content!r}")
    blocks = content if content and all(isinstance(block, list) for block in content) else [content]
    for block in blocks:
        if not block:
            raise MistakeError("grid: zip has a list without mappings, so the product is empty")
        for entry in block:
            if not isinstance(entry, dict) or not entry:
                raise MistakeError(f"grid: zip must be {form}, got {entry!r}")
            for name, value in entry.items():
                if not isinstance(name, str) or not NAME.fullmatch(name):
                    raise MistakeError(f"grid: zip: {name!r} is no name")
                require_plain(f"grid: zip: {name}", value)
            if set(entry) != set(block[0]):
                raise MistakeError(
                    f"grid: zip: every mapping has the same names, but one has {', '.join(block[0])} "
                    f"and another {', '.join(entry)}"
                )
    return blocks


def _random(content: Any) -> Axis:
    """Draw points that fill the ranges evenly; a larger number of points continues the same sequence.

    The sequence is a scrambled Halton sequence: J. H. Halton, Numerische Mathematik 2, 84 (1960).
    """
    if not isinstance(content, dict):
        raise MistakeError("grid: random must be a mapping such as {count: 20, seed: 0, sigma: {low: 0.01, high: 1}}")
    ranges = {name: range_ for name, range_ in content.items() if name not in ("count", "seed")}
    count, seed = content.get("count"), content.get("seed", 0)
    if not _is_whole(count) or not 1 <= count <= MOST:
        raise MistakeError(f"grid: random: count must be a whole number from 1 to {MOST:,}, got {count!r}")
    if not _is_whole(seed) or seed < 0:
        raise MistakeError(f"grid: random: seed must be a whole number ≥ 0, got {seed!r}")
    if not ranges:
        raise MistakeError("grid: random has no ranges; write such as sigma: {low: 0.01, high: 1}")
    for name, range_ in ranges.items():
        _check_range(name, range_)
    from scipy.stats import qmc  # takes a second

    sequence = qmc.Halton(len(ranges), scramble=True, rng=seed)
    points: dict[tuple, None] = {}
    for _ in range(_TRIES):  # rounded, two points may be the same: only the first of them counts
        for row in sequence.random(count):
            points[tuple(_within(*pair) for pair in zip(ranges.values(), row, strict=True))] = None
        if len(points) >= count:
            break
    else:
        raise MistakeError(f"grid: random: {count:,} different points are more than the ranges hold ({len(points):,})")
    return [dict(zip(ranges, point, strict=True)) for point in list(points)[:count]]


def _check_range(name: Any, range_: Any) -> None:
    place = f"grid: random: {name}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise MistakeError(f"{place} is no name")
    if not isinstance(range_, dict):
        raise MistakeError(f"{place} must be a range such as {{low: 0.01, high: 1, log: true}}, got {range_!r}")
    for key in range_:
        if key not in _RANGE:
            raise MistakeError(unknown(f"{place}: {key} is unknown", str(key), _RANGE))
    for key in ("low", "high"):
        if not _is_number(range_.get(key)):
            raise MistakeError(f"{place}: {key} must be a number, got {range_.get(key)!r}")
    if not isinstance(range_.get("log", False), bool):
        raise MistakeError(f"{place}: log must be true or false, got {range_['log']!r}")
    if range_["low"] >= range_["high"]:
        raise MistakeError(f"{place}: low must be below high, got {range_['low']} and {range_['high']}")
    if range_.get("log") and range_["low"] <= 0:
        raise MistakeError(f"{place}: on a logarithmic scale low must be above 0, got {range_['low']}")


def _within(range_: Mapping[str, Any], share: float) -> int | float:
    """Return the number at a fraction in [0, 1) of a range; it is whole if both ends are."""
    low, high = range_["low"], range_["high"]
    whole = _is_whole(low) and _is_whole(high)
    end = high + 1 if whole else high  # each whole number gets an interval of its own
    value = low * (end / low) ** float(share) if range_.get("log") else low + (end - low) * float(share)
    if whole:
        return min(math.floor(value), high)
    return min(max(float(f"{value:.{_DIGITS}g}"), low), high)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fields(value: Any) -> Iterator[str]:
    """Yield the names in braces in the strings of a value."""
    if isinstance(value, str):
        yield from _FIELD.findall(value)
    elif isinstance(value, list):
        for part in value:
            yield from _fields(part)


def fields_in(values: Mapping[str, Sequence[Any]], swept: Sequence[str]) -> dict[str, set[str]]:
    """Return the fields in the values of each name; raise for those that nothing fills.

    Braces around anything but a name, such as those of a dictionary, are not a field.
    """
    used: dict[str, set[str]] = {}
    for name, listed in values.items():
        contents = {content for value in listed for content in _fields(value)}
        for content in contents:
            first = NAME.match(content)
            if first is None:
                continue
            if first.end() < len(content) and first[0] in swept:
                raise MistakeError(f"{name}: a field is a name alone, {{{first[0]}}}, got {{{content}}}")
            if first.end() == len(content) and content not in swept:
                raise MistakeError(unknown(f"{name}: nothing that is swept fills {{{content}}}", content, swept))
        used[name] = contents & set(swept)
    return used


def refuse_circles(used: Mapping[str, set[str]]) -> None:
    """Raise for names whose values contain fields that refer back to them."""

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise MistakeError(f"the fields of {' and '.join(dict.fromkeys([*path, name]))} fill each other")
        for other in used.get(name, ()):
            visit(other, (*path, name))

    for name in used:
        visit(name, ())


def filled(value: Any, assignment: Mapping[str, Any]) -> Any:
    """Fill the fields of a value; a string that consists of a single field becomes the value itself."""
    if isinstance(value, list):
        return [filled(part, assignment) for part in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    if (field := _FIELD.fullmatch(value)) and field[1] in assignment:
        return filled(assignment[field[1]], assignment)

    def text(field: re.Match) -> str:
        if field[1] not in assignment:
            return field[0]
        content = filled(assignment[field[1]], assignment)
        return content if isinstance(content, str) else repr(content)

    return _FIELD.sub(text, value)
