"""The digest of the code that determines a run's numbers: given modules and all their imports within `common`.

The digest covers each module's syntax tree, without docstrings, comments and annotations of functions. Layout does not
count. A package's `__init__` that only exports is resolved: `from common.data import Dataset` leads to the module that
defines it. One more export therefore changes no digest. Code that only stores, summarizes or draws results never
counts. Modules imported by a name made at run time are not found.
"""

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from common.checks import nearest

_PACKAGE = "common"
_ROOT = Path(__file__).resolve().parents[2]
_NEVER = ("common.plotting", "common.results")
_TYPE_CHECKING = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
_FIGURES = ("figures", "bands")


def code_digest(modules: Iterable[str]) -> str:
    """Return the SHA-256, 64 hexadecimal digits, of the code of these modules and their imports.

    The files are read when this module is imported, at about the same time as the process imports the others. Later
    edits do not run before the next start.

    Args:
        modules: dotted names, such as `type(estimator).__module__`. For modules outside of `common`, imports within
            `common` are followed. Installed packages do not count: a record has their versions.

    Raises:
        ValueError: a module does not exist, and the message gives the nearest one; or it has no file, such as a
            notebook.
    """
    return _SOURCES.digest(modules)


class Sources:
    """The source files of `common` below a folder, read at once and parsed on demand."""

    def __init__(self, root: Path):
        self._root = root
        self._texts = {self._name(path): path.read_bytes() for path in (root / _PACKAGE).rglob("*.py")}
        self._packages = {self._name(path) for path in (root / _PACKAGE).rglob("__init__.py")}
        self._module = functools.cache(self._parsed)

    def digest(self, modules: Iterable[str]) -> str:
        """Return the digest of these modules and of all their imports."""
        digest = hashlib.sha256()
        for name in sorted(self.closure(modules)):
            digest.update(f"{name}\n{self._module(name).digest}\n".encode())
        return digest.hexdigest()

    def closure(self, modules: Iterable[str]) -> set[str]:
        """Return the names of these modules and of all their imports, except those that never count."""
        waiting = [name for name in modules if self._counts(name)]
        reached = set()
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += (other for other in self._imported_by(name) if self._counts(other))
        return reached

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self._root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _parsed(self, name: str) -> "_Module":
        return _Module(self._text(name), name, is_package=name in self._packages)

    def _text(self, name: str) -> bytes:
        if name in self._texts:
            return self._texts[name]
        ours = name.split(".", maxsplit=1)[0] == _PACKAGE
        path = self._later(name) if ours else _file_of(name)
        if ours and path is not None and not path.is_file():
            raise ValueError(f"module {name!r} does not exist{nearest(name, self._texts)}")
        if path is None:
            raise ValueError(f"module {name!r} has no source file, so its code has no digest; move it to a file")
        return path.read_bytes()

    def _exists(self, name: str) -> bool:
        # A module that was written after the start may be imported all the same.
        return name in self._texts or (name.startswith(f"{_PACKAGE}.") and self._later(name).is_file())

    def _later(self, name: str) -> Path:
        return self._root.joinpath(*name.split(".")).with_suffix(".py")

    def _counts(self, name: str) -> bool:
        if name.split(".", maxsplit=1)[0] != _PACKAGE:
            return not _is_installed(name)
        never = any(name == package or name.startswith(f"{package}.") for package in _NEVER)
        last = name.rsplit(".", maxsplit=1)[-1]
        drawn = name.startswith("common.experiments.") and (last in _FIGURES or last.endswith("_figures"))
        return not never and not drawn

    def _imported_by(self, name: str) -> Iterator[str]:
        for module, imported in self._module(name).imports:
            yield from self._defining(module, imported)

    def _defining(self, module: str, imported: str | None) -> Iterator[str]:
        """Yield the module to which "from module import imported", or "import module", refers."""
        if module.split(".", maxsplit=1)[0] != _PACKAGE:
            return
        if imported is not None and self._exists(f"{module}.{imported}"):
            module, imported = f"{module}.{imported}", None
        parsed = self._module(module)
        if not parsed.only_exports:
            yield module
        elif imported in parsed.exported:
            yield from self._defining(*parsed.exported[imported])
        elif imported in (None, "*") or "*" in parsed.exported:  # all of it may be used
            for place in parsed.exported.values():
                yield from self._defining(*place)


class _Module:
    """The parts of one module: its imports and the digest of its tree."""

    def __init__(self, source: bytes, name: str, *, is_package: bool):
        tree = ast.parse(source, name)
        writer = _Writer()
        self.digest = hashlib.sha256(writer.written(tree).encode()).hexdigest()
        package = name if is_package else name.rpartition(".")[0]
        bound = [place for statement in writer.imports for place in _places(statement, package)]
        self.imports, self.exported = [place for _, place in bound], dict(bound)
        self.only_exports = is_package and all(_is_export(node) for node in tree.body)


class _Writer:
    """Writer of a tree, without positions and without parts that change no number; it collects the imports.

    Unlike `ast.dump`, its output is the same in every version of Python.
    """

    def __init__(self):
        self.imports: list[ast.Import | ast.ImportFrom] = []

    def written(self, node: Any) -> str:
        """Write a node, a list of nodes or a plain value."""
        if isinstance(node, list):
            return f"[{','.join([self.written(part) for part in node if not _is_text(part)])}]"
        if not isinstance(node, ast.AST):
            return f"{type(node).__name__}:{node!r}"
        if isinstance(node, ast.If) and ast.unparse(node.test) in _TYPE_CHECKING:
            return self.written(node.orelse)
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.imports.append(node)
        elif isinstance(node, ast.FunctionDef):
            _drop_annotations(node)
        return f"{type(node).__name__}({','.join(self._fields(node))})"

    def _fields(self, node: ast.AST) -> Iterator[str]:
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != []:
                yield f"{name}={self.written(value)}"


def _is_text(node: Any) -> bool:
    """Return whether a statement is a docstring, or a comment in the form of a string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _drop_annotations(node: ast.FunctionDef) -> None:
    # `register` of functools.singledispatch looks at them.
    if any(isinstance(part, ast.Attribute) and part.attr == "register" for part in node.decorator_list):
        return
    node.returns, arguments = None, node.args
    named = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    for argument in filter(None, (*named, arguments.vararg, arguments.kwarg)):
        argument.annotation = None


def _places(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Yield each name that an import binds, with its module and its name in that module."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name, (alias.name, None)
        return
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    module = ".".join([*above, *filter(None, [node.module])])
    for alias in node.names:
        yield alias.asname or alias.name, (module, alias.name)


def _is_export(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):  # it only says what there is
        return node.name == "__dir__"
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets] == ["__all__"]
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Pass) or _is_text(node)


def _file_of(name: str) -> Path | None:
    module = sys.modules.get(name)
    if module is not None:
        file = getattr(module, "__file__", None)
    else:
        try:
            specification = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        file = specification.origin if specification and specification.has_location else None
    return Path(file) if file and file.endswith(".py") else None


def _is_installed(name: str) -> bool:
    top = name.split(".", maxsplit=1)[0]
    if top in sys.stdlib_module_names:
        return True
    path = _file_of(top)
    return path is not None and any(part in ("site-packages", "dist-packages") for part in path.parts)


_SOURCES = Sources(_ROOT)
