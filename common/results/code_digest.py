"""The digest of the code that decides a run's numbers: some modules, and all that they import within `common`.

Of each module its syntax tree counts, without docstrings, comments and annotations of functions; layout does not.
A package's `__init__` that only exports is looked through: `from common.data import Dataset` leads to the module that
defines it, so that one more export changes no digest. What only stores, summarizes or draws results never counts.
Modules that are imported by a name made at run time are not seen.
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
    """Return the SHA-256, 64 hexadecimal digits, of the code that these modules are and import.

    The files are taken as they were when this module was imported, close to when the process imported the others: what
    is edited later does not run before the next start.

    Args:
        modules: dotted names, such as `type(estimator).__module__`; also of modules outside of `common`, of whose
            imports those within `common` are followed. Installed packages do not count: a record tells their versions.

    Raises:
        ValueError: for a module that does not exist, with the nearest one, or that has no file, such as a notebook.
    """
    return _SOURCES.digest(modules)


class Sources:
    """The source files of `common` below a folder, read at once and parsed when they are needed."""

    def __init__(self, root: Path):
        self._root = root
        self._texts = {self._name(path): path.read_bytes() for path in (root / _PACKAGE).rglob("*.py")}
        self._packages = {self._name(path) for path in (root / _PACKAGE).rglob("__init__.py")}
        self._module = functools.cache(self._parsed)

    def digest(self, modules: Iterable[str]) -> str:
        """Return the digest of these modules and all that they import."""
        digest = hashlib.sha256()
        for name in sorted(self.closure(modules)):
            digest.update(f"{name}\n{self._module(name).digest}\n".encode())
        return digest.hexdigest()

    def closure(self, modules: Iterable[str]) -> set[str]:
        """Return the names of these modules and of all that they import, but for those that never count."""
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
        ours = name.split(".")[0] == _PACKAGE
        path = self._later(name) if ours else _file_of(name)
        if ours and not path.is_file():
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
        if name.split(".")[0] != _PACKAGE:
            return not _is_installed(name)
        never = any(name == package or name.startswith(f"{package}.") for package in _NEVER)
        last = name.split(".")[-1]
        drawn = name.startswith("common.experiments.") and (last in _FIGURES or last.endswith("_figures"))
        return not never and not drawn

    def _imported_by(self, name: str) -> Iterator[str]:
        for module, imported in self._module(name).imports:
            yield from self._defining(module, imported)

    def _defining(self, module: str, imported: str | None) -> Iterator[str]:
        """Yield the module that is meant by "from module import imported", or by "import module"."""
        if module.split(".")[0] != _PACKAGE:
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
    """What one module is made of: its imports, and the digest of its tree."""

    def __init__(self, source: bytes, name: str, *, is_package: bool):
        tree = ast.parse(source, name)
        writer = _Writer()
        self.digest = hashlib.sha256(writer.written(tree).encode()).hexdigest()
        package = name if is_package else name.rpartition(".")[0]
        bound = [place for statement in writer.imports for place in _places(statement, package)]
        self.imports, self.exported = [place for _, place in bound], dict(bound)
        self.only_exports = is_package and all(_is_export(node) for node in tree.body)


class _Writer:
    """Writes a tree without positions and what decides no number, and keeps its imports.

    Unlike `ast.dump`, it writes the same in every version of Python.
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
    """Tell a docstring, or a comment that is a string."""
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
    """Yield each name that an import binds, with the module and the name there that it stands for."""
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
    top = name.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    path = _file_of(top)
    return path is not None and any(part in ("site-packages", "dist-packages") for part in path.parts)


_SOURCES = Sources(_ROOT)
