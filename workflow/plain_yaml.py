"""YAML whose values are what they look like: numbers, strings, true, false, null, and lists and mappings of them."""

import itertools
import re
from collections.abc import Iterator

import yaml

from workflow.experiments import NUMBER, EachKeyOnce, NotMeantError, written_out

_TAGS = ("null", "bool", "int", "float", "str", "seq", "map", "merge", "value")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
# A few lines of anchors can stand for more values than a memory holds.
_MOST_VALUES = 1_000_000


class PlainValues(EachKeyOnce):
    """YAML loader that raises for values that YAML 1.1 reads as something else, and for impossible parameters."""

    def get_single_node(self) -> yaml.Node | None:
        """Check the whole document before any value is made."""
        node = super().get_single_node()
        if node is not None:
            _check_node(node, set(), itertools.count(1))
        return node


def _check_node(node: yaml.Node, above: set[int], count: Iterator[int]) -> None:
    line = node.start_mark.line + 1
    if id(node) in above:
        raise NotMeantError(f"the anchor in line {line} holds itself; write its values out")
    if next(count) > _MOST_VALUES:
        raise NotMeantError(f"its anchors stand for more than {_MOST_VALUES:,} values; write out what is meant")
    tag = node.tag.removeprefix("tag:yaml.org,2002:")
    if tag == "timestamp":
        raise NotMeantError(f"{node.value} in line {line} is a date to YAML; if it is a text, put it in quotes")
    if tag in ("set", "binary", "omap", "pairs"):
        kind = {"set": "a set", "binary": "bytes"}.get(tag, "an ordered mapping")
        raise NotMeantError(f"{kind} (!!{tag}) in line {line} can be no parameter; write a list, a number or a text")
    if tag not in _TAGS:
        raise NotMeantError(f"{node.tag} in line {line} is no kind of plain value; remove it")
    if isinstance(node, yaml.ScalarNode):
        _check_scalar(node, tag, line)
        return
    inner = node.value if isinstance(node, yaml.SequenceNode) else itertools.chain.from_iterable(node.value)
    for part in inner:
        _check_node(part, above | {id(node)}, count)


def _check_scalar(node: yaml.ScalarNode, tag: str, line: int) -> None:
    text = node.value
    where = f"{text} in line {line} is"
    if tag == "bool" and text.lower() not in ("true", "false"):
        truth = "true" if text.lower() in ("yes", "on") else "false"
        raise NotMeantError(f"{where} {truth} to YAML; write {truth}, or {text!r} in quotes for the text")
    if tag == "int" and _OCTAL.fullmatch(text):
        raise NotMeantError(f"{where} octal to YAML, so {int(text, 8)}; write the number that is meant without the 0")
    if tag in ("int", "float") and ":" in text:
        raise NotMeantError(f"{where} a number to the base 60 to YAML; put it in quotes, or write the number")
    if tag == "float" and text.lower().lstrip("+-") in (".inf", ".nan"):
        raise NotMeantError(f"{where} no finite number")
    if tag == "str" and node.style is None and NUMBER.fullmatch(text):
        raise NotMeantError(f"{where} a text to YAML; write the number as {written_out(text)}")
