"""The command that repeats a stored result: papermill, with the parameters that are not the notebook's defaults."""

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
    """Return the command line that runs a notebook with these parameters, from the folder of the repository.

    Args:
        notebook: its stem, e.g. "00_one_direction".
        parameters: what a result file's provenance says of them: plain data. Files and folders are left out, as is what
            the notebook sets itself; of a notebook that cannot be read, nothing but files and folders is left out.

    Returns:
        One line for a POSIX shell. Numbers and texts are given by -p; what -p cannot say, such as a list, or a text
        that papermill would take for a number, is given by -y.

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
    """Whether a checked parameter is what the notebook sets: the check makes a list of a single value."""
    if isinstance(value, bool) or isinstance(default, bool):
        return value is default
    return value in (default, [default])


def _is_plain(value: Any) -> bool:
    """Whether papermill's -p gives this value back."""
    if value is None or isinstance(value, bool | int | float):
        return True
    return isinstance(value, str) and value not in ("True", "False", "None") and not _is_number(value)


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False
