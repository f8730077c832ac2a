"""A public name of `common` that the API pages lack, or that has no docstring, is a warning, and so ends the build."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

import common

_LOG = logging.getLogger(__name__)
# Imported by the notebooks' own checks and figures alone: an experiment's parameters and drawings.
_INTERNAL = ("common.experiments.", "common.plotting.")


def _public() -> Iterator[tuple[str, Any]]:
    """Every name that a package of `common` exports, as package.name."""
    for module in pkgutil.walk_packages(common.__path__, "common."):
        if module.ispkg and not module.name.startswith(_INTERNAL):
            package = importlib.import_module(module.name)
            for name in getattr(package, "__all__", ()):
                yield f"{module.name}.{name}", getattr(package, name)


def _check(_app: Sphinx, env: Any) -> None:
    known = {name for name, *_ in env.domains["py"].get_objects()}
    for name, value in _public():
        if not (inspect.isclass(value) or inspect.isroutine(value)):  # a constant
            continue
        if name not in known:
            _LOG.warning("%s is public, and no page of docs/api/ has it", name)
        if not inspect.getdoc(value):
            _LOG.warning("%s is public and has no docstring", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Check when all pages are read."""
    app.connect("env-check-consistency", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
