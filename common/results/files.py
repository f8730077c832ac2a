"""Find result files below folders, and read them or say why they cannot be read."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.checks import most_similar
from common.results.arrays import to_frames
from common.results.result_file import UNREADABLE, ResultFile, read_table, reasons, result_file
from common.user_paths import REPOSITORY


def listed(paths: Any) -> list[Any]:
    """Return paths or frames as a list, even if there is only one."""
    if isinstance(paths, str | os.PathLike):
        return [paths]
    if not isinstance(paths, Iterable) or isinstance(paths, bytes):
        raise TypeError(f"paths must be a path, or several, got {type(paths).__name__} {paths!r}")
    return list(paths)


def nearest_path(path: Path) -> str:
    """Name the path that is most like one that does not exist, as the end of a sentence; "" where none is like it."""
    for base in dict.fromkeys([Path(), REPOSITORY]):
        parent = base
        for part in path.parts:
            if (parent / part).exists():
                parent /= part
                continue
            names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
            if name := most_similar(part, [name for name in names if not name.startswith(".")]):
                return f"; did you mean {str(parent / name)!r}?"
            break
    return ""


def files_below(root: Path) -> list[Path]:
    """List the result files of a folder and its subfolders, without hidden ones; a file is returned unchanged."""
    if not root.is_dir():
        return [root]
    inner = ((path, path.relative_to(root)) for path in root.rglob("*.parquet"))
    return [path for path, name in inner if not any(part.startswith(".") for part in name.parts)]


def result_files(roots: Iterable[str | os.PathLike]) -> list[Path]:
    """List the result files of several files and folders, each once, sorted by name."""
    return sorted({file for root in roots for file in files_below(Path(root))})


def load_all(paths: Iterable[Path]) -> tuple[dict[str, ResultFile], dict[str, str]]:
    """Read result files; return them by path, and the reasons why others cannot be read."""
    tables, loaded, unreadable = {}, {}, {}
    for path in paths:
        try:
            tables[str(path)] = read_table(path)
        except UNREADABLE as error:
            unreadable[str(path)] = reasons(error)
    for (name, table), frame in zip(tables.items(), to_frames(list(tables.values())), strict=True):
        try:
            loaded[name] = result_file(frame, table.schema.metadata)
        except UNREADABLE as error:
            unreadable[name] = reasons(error)
    return loaded, unreadable
