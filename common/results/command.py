"""The papermill command that repeats a stored result, with the parameters that differ from the notebook's."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from common.notebook_parameters import FILES, notebook_defaults

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def papermill_command(notebook: str, parameters: Mapping[str, Any]) -> str:
    """Return the command line that runs a notebook with these parameters, from the repository's folder.

    Args:
        notebook: the notebook's stem, e.g. "00_one_direction".
        parameters: the parameters in a result file's provenance, as plain data. Files, folders and values that the
            notebook sets itself are left out. If the notebook cannot be read, only files and folders are left out.

    Returns:
        One line for a POSIX shell. Numbers and strings are passed by -p. Lists, and strings that papermill would read
        as numbers, are passed by -y.

    Example:
        >>> papermill_command("none", {"epochs": 3, "estimator": "SPSA(0.1)", "hidden": [64], "store": "results"})
        "papermill notebooks/none.ipynb out.ipynb -p epochs 3 -p estimator 'SPSA(0.1)' -y '{hidden: [64]}'"
    """
    defaults = notebook_defaults(NOTEBOOKS / f"{notebook}.ipynb")
    given = {
        name: value
        for name, value in parameters.items()
        if name not in FILES and not (name in defaults and _same(value, defaults[name]))
    }
    words = ["papermill", f"notebooks/{notebook}.ipynb", "out.ipynb"]
    for name, value in given.items():
        if _is_plain(value):
            words += ["-p", name, str(value)]
    structured = {name: value for name, value in given.items() if not _is_plain(value)}
    if structured:
        words += ["-y", _as_yaml(json.dumps(structured))]
    return shlex.join(words)


@functools.cache  # a sweep asks for the same thousands of times
def _as_yaml(text: str) -> str:
    content = json.loads(text)
    return yaml.safe_dump(content, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9).strip()


def _same(value: Any, default: Any) -> bool:
    """Return whether a checked parameter equals the notebook's; the check may have turned a value into a list."""
    if isinstance(value, bool) or isinstance(default, bool):
        return value is default
    return value in (default, [default])


def _is_plain(value: Any) -> bool:
    """Return whether papermill's -p preserves this value."""
    if value is None or isinstance(value, bool | int | float):
        return True
    return isinstance(value, str) and value not in ("True", "False", "None") and not _is_number(value)


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False
