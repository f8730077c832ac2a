"""Objects that consist of their settings, written as their constructor call and read back from that string.

`NoisyGradient(Backpropagation(), ConstantNoise(0.1))` is at once Python, the `repr` of the object, a notebook's
parameter, a line of a sweep file and a cell of a result. `parse` reads it as an expression tree. It evaluates only
known names, calls and literals.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

from common.checks import is_whole, nearest


class ExpressionError(ValueError):
    """A string describes no object. Jupyter shows the message without a traceback: the mistake is in the string."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class Configured:
    """An object that consists of its settings: the constructor stores every argument under its name.

    Example:
        >>> class Noise(Configured):
        ...     def __init__(self, sigma, clip_norm=None):
        ...         self.sigma, self.clip_norm = sigma, clip_norm
        >>> Noise(0.1, clip_norm=2.0)
        Noise(0.1, clip_norm=2.0)
        >>> Noise(0.1) == Noise(0.1, None)
        True
    """

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _refusing(cls.__init__)
        elif "__post_init__" in vars(cls):
            cls.__post_init__ = _refusing_after(cls.__post_init__)

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments by name, in the constructor's order."""
        return {name: getattr(self, name) for name in _parameters(type(self))}

    def __repr__(self) -> str:
        return call_text(type(self).__name__, _parameters(type(self)), self.settings)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def _refusing(constructor: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor so that it refuses unknown arguments and arguments that differ in kind from their annotation.

    The constructor's own errors, such as a value out of range, come first.
    """
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    kinds = {parameter.name: parameter.annotation for parameter in parameters}
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)

    @functools.wraps(constructor)
    def checked(self: Any, *arguments: Any, **keywords: Any) -> None:
        for name in keywords if not free else ():
            if name not in kinds:
                owner, listed = type(self).__name__, ", ".join(kinds) or "none"
                raise TypeError(f"{owner} has no argument {name!r}{nearest(name, kinds)}; its arguments are {listed}")
        given = dict(zip(kinds, arguments, strict=False)) | keywords
        with _refused_kinds(given, kinds):
            constructor(self, *arguments, **keywords)

    return checked


def _refusing_after(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap a dataclass' check so that it refuses fields that differ in kind from their annotation; see `_refusing`."""

    @functools.wraps(check)
    def checked(self: Any) -> None:
        kinds = inspect.get_annotations(type(self))
        with _refused_kinds({name: getattr(self, name, None) for name in kinds}, kinds):
            check(self)

    return checked


@contextmanager
def _refused_kinds(given: Mapping[str, Any], kinds: Mapping[str, Any]) -> Iterator[None]:
    """Raise a ValueError if a value differs in kind from its annotation; a ValueError of the block comes first."""
    try:
        yield
    except (TypeError, AttributeError):
        _refuse_wrong_kinds(given, kinds)  # a wrong kind made a comparison fail
        raise
    _refuse_wrong_kinds(given, kinds)


def _refuse_wrong_kinds(given: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    for name, value in given.items():
        annotation = kinds.get(name)
        written = annotation.__name__ if isinstance(annotation, type) else str(annotation)
        alternatives = _alternatives(written)
        if value is None and "None" in alternatives:
            continue
        checks = [_KINDS.get(kind, ("", lambda _: True)) for kind in alternatives if kind != "None"]
        if not any(is_kind(value) for _, is_kind in checks):
            allowed = " or ".join(words for words, _ in checks)
            raise ValueError(f"{name} must be {allowed}, got {value!r}") from None


# The innermost brackets of an annotation: of Callable[[int], str], those of the list go first.
_BRACKETS = re.compile(r"\[[^\[\]]*\]")


@functools.cache
def _alternatives(annotation: str) -> tuple[str, ...]:
    """Return the kinds that an annotation allows, without what stands in their brackets."""
    while (outer := _BRACKETS.sub("", annotation)) != annotation:
        annotation = outer
    return tuple(part.strip() for part in annotation.split("|"))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "float": ("a number", _is_number),
    "int": ("a whole number", is_whole),
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "str": ("a string", lambda value: isinstance(value, str)),
    "Sequence": ("a list", lambda value: isinstance(value, Sequence) and not isinstance(value, str)),
}


@functools.singledispatch
def text(value: Any) -> str:
    """Return a setting as text inside a call; other packages register their own types."""
    return repr(value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value)


@text.register(list)
@text.register(tuple)
def _(value: list | tuple) -> str:
    return f"[{', '.join(map(text, value))}]"


def call_text(name: str, parameters: Mapping[str, inspect.Parameter], settings: Mapping[str, Any]) -> str:
    """Return a constructor call: required arguments by position, others as keywords if they are not the default."""
    parts = []
    for parameter in parameters.values():
        value = settings[parameter.name]
        if parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY:
            parts.append(text(value))
        elif parameter.default is parameter.empty or text(value) != text(parameter.default):
            parts.append(f"{parameter.name}={text(value)}")
    return f"{name}({', '.join(parts)})"


def flat_settings(value: Configured) -> dict[str, Any]:
    """Return one entry `Owner.argument` for each setting of an object and of all objects in it.

    An object among the settings gives the name of its class and entries of its own. If a class occurs a second time,
    as in noise around noise, its entries are named `Owner2.argument`.
    """
    entries: dict[str, Any] = {}
    _flatten(value, entries, {})
    return entries


def _flatten(value: Configured, entries: dict[str, Any], counts: dict[str, int]) -> None:
    owner = type(value).__name__
    counts[owner] = counts.get(owner, 0) + 1
    prefix = owner if counts[owner] == 1 else f"{owner}{counts[owner]}"
    for name, setting in value.settings.items():
        if isinstance(setting, Configured):
            entries[f"{prefix}.{name}"] = type(setting).__name__
            _flatten(setting, entries, counts)
        else:
            plain = setting is None or isinstance(setting, bool | int | float | str)
            entries[f"{prefix}.{name}"] = setting if plain else text(setting)


def parse(expression: str, known: Mapping[str, Callable], what: str) -> Any:
    """Return the object that a constructor call describes.

    Args:
        expression: a call, such as "NoisyGradient(Backpropagation(), ConstantNoise(0.1))".
        known: the allowed classes by name; a dotted name such as "keras.Adam" is a name like any other.
        what: the role of the object in the error message, such as "estimator".

    Returns:
        The object.

    Raises:
        ExpressionError: a ValueError with one sentence: an unknown name, a wrong argument, a value that a constructor
            refuses, or a string that is not such an expression.

    Example:
        >>> class Noise(Configured):
        ...     def __init__(self, sigma):
        ...         self.sigma = sigma
        >>> parse("Noise(0.1)", {"Noise": Noise}, "level").sigma
        0.1
        >>> parse("Noise(sigm=0.1)", {"Noise": Noise}, "level")
        Traceback (most recent call last):
            ...
        common.settings.ExpressionError: level 'Noise(sigm=0.1)': Noise has no argument 'sigm'; did you mean 'sigma'?...
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"{what} {expression!r} is no constructor call, such as {_example(known)}") from None
    if not isinstance(tree, ast.Call):
        name = ast.unparse(tree)
        hint = f"; write {name}()" if name in known else nearest(name, known)
        raise ExpressionError(f"{what} {expression!r} is no constructor call, such as {_example(known)}{hint}")
    return _Reader(expression, known, what).value(tree)


class _Reader:
    """Reader that turns the nodes of one expression tree into values."""

    def __init__(self, expression: str, known: Mapping[str, Callable], what: str):
        self._expression, self._known, self._what = expression, known, what

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return value
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self.value(element) for element in elements]
            case ast.UnaryOp(op=ast.USub(), operand=operand) if isinstance(operand, ast.Constant | ast.Name):
                number = self.value(operand)
                if isinstance(number, int | float) and not isinstance(number, bool):
                    return -number
            case ast.Name(id="inf"):
                return float("inf")
            case ast.Call():
                return self._call(node)
            case ast.Name(id=name) if name in self._known:
                raise ExpressionError(f"{self._what} {self._expression!r}: {name} needs parentheses, {name}()")
        raise ExpressionError(
            f"{self._what} {self._expression!r}: {ast.unparse(node)!r} is neither a literal nor a call of a known name"
            + (nearest(ast.unparse(node), self._known) if isinstance(node, ast.Name) else "")
        )

    def _call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func)
        if name not in self._known:
            hint = f"{nearest(name, self._known)}; known are {', '.join(sorted(self._known))}"
            raise ExpressionError(f"{self._what} {self._expression!r}: unknown name {name!r}{hint}")
        for part in (*node.args, *node.keywords):
            if isinstance(part, ast.Starred) or (isinstance(part, ast.keyword) and part.arg is None):
                raise ExpressionError(
                    f"{self._what} {self._expression!r}: {ast.unparse(node)!r} must name its arguments"
                )
        arguments = [self.value(argument) for argument in node.args]
        keywords = {keyword.arg: self.value(keyword.value) for keyword in node.keywords}
        make = self._known[name]
        self._refuse_wrong_arguments(name, make, arguments, keywords)
        try:
            return make(*arguments, **keywords)
        except (TypeError, ValueError, AttributeError) as error:
            raise ExpressionError(f"{self._what} {self._expression!r}: {name}: {error}") from None

    def _refuse_wrong_arguments(self, name: str, make: Callable, arguments: list, keywords: dict[str, Any]) -> None:
        signature = inspect.signature(make)
        takes = [parameter.name for parameter in signature.parameters.values()]
        free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
        for keyword in keywords:
            if keyword not in takes and not free:
                listed = ", ".join(takes) or "none"
                raise ExpressionError(
                    f"{self._what} {self._expression!r}: {name} has no argument {keyword!r}{nearest(keyword, takes)}; "
                    f"its arguments are {listed}"
                )
        try:
            signature.bind(*arguments, **keywords)
        except TypeError as error:
            raise ExpressionError(
                f"{self._what} {self._expression!r}: {name}{signature_text(make)} got wrong arguments: {error}"
            ) from None


def signature_text(make: Callable) -> str:
    """Return a constructor's signature without annotations: "(inner, level, *, clip_norm=None)"."""
    signature = inspect.signature(make)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _example(known: Mapping[str, Callable]) -> str:
    return f"{sorted(known)[0]}(...)" if known else "Name(...)"


@functools.cache
def _parameters(owner: type) -> Mapping[str, inspect.Parameter]:
    # The signature of the constructor itself: a metaclass may hide it from `inspect.signature(owner)`.
    if owner.__init__ is object.__init__:  # no constructor, no settings
        return {}
    parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]
    return {parameter.name: parameter for parameter in parameters}
