"""Find result files below folders, and read them or say why they cannot be read."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.results.arrays import to_frames
from common.results.result_file import UNREADABLE, ResultFile, read_table, reasons, result_file


def listed(paths: Any) -> list[Any]:
    """Return paths or frames as a list, even if there is only one."""
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


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
