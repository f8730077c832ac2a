"""Check a notebook's parameters and describe each mistake in one sentence."""

from __future__ import annotations

import ast
import contextlib
import importlib
import pkgutil
import time
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.checks import nearest
from common.experiments.fields import Parameters
from common.experiments.places import replaced
from common.user_settings import show_whole_tables

PARAMETER_CELL_MARK = "# Parameters"  # how papermill begins the cell that it injects; our own cells begin so too
INJECTED_PATHS = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")  # of papermill's --inject-*; they change no run
RESULT = "p"  # what every notebook calls the checked parameters
QUEUE_SECONDS = 1.0  # a front end sends all of Run All in 0.1 s, a slow browser on a busy machine in 0.4 s


class ParameterError(ValueError):
    """Error for a wrong parameter. Jupyter shows its sentence without a traceback, since the code is not at fault."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class Refused:
    """Placeholder for parameters that failed the check; every access to a parameter raises the reason."""

    def __init__(self, reason: str):
        self._sentence = f"the parameters were refused: {reason}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # no parameter; Python and Jupyter look for such names themselves
            raise AttributeError(name)
        raise ParameterError(self._sentence)

    def __repr__(self) -> str:
        return f"<{self._sentence}>"


def check(notebook: str, namespace: MutableMapping[str, Any], cells: Sequence[str] | None = None) -> Parameters:
    """Check a notebook's parameters; call `check("01_baseline_sgd", globals())` in the notebook or its script.

    First, the result of an earlier check is removed from the namespace. A wrong parameter puts a `Refused` there, and
    so does a later error in a parameters cell. If the notebook has run before, no cell can thus continue with the
    earlier parameters.

    Args:
        notebook: one of `NOTEBOOKS`.
        namespace: the namespace with their values and `p`.
        cells: the sources of the cells run so far; None: IPython's own list, `In`. The last parameter cell and those
            directly before it, which all begin with "# Parameters", define the parameters. Without a list of cells, as
            in a script, all plain values are parameters, except those that the user's own IPython defined.

    Returns:
        The checked parameters, frozen, with every number in its proper type. A 1 for a float becomes 1.0. The string
        "1e-3", as YAML reads an unquoted 1e-3, becomes 0.001.

    Raises:
        ParameterError: parameters are wrong, with one sentence for each: name, value, allowed values and the nearest
            valid name. Also if a place cannot be written.
    """
    show_whole_tables()
    former = _drop(namespace)
    try:
        checked = validate(notebook, _values(notebook, namespace.get("In", ()) if cells is None else cells, namespace))
        _prepare(checked)
    except ParameterError as error:
        _refuse(namespace, former, str(error))
        raise
    if "get_ipython" in namespace:
        namespace["get_ipython"]().events.register("post_run_cell", _after_cell)
    return checked


def _prepare(checked: Parameters) -> None:
    try:
        checked.prepare_places()
    except ValueError as error:
        raise ParameterError(str(error)) from None
    if changed := replaced(checked.result_path, checked.model_dump()):
        print(f"The last cell will replace the result in {checked.result_name}, which has {changed}.")
    if checked.weights_path and checked.weights_path.exists():
        print(f"The last cell will replace the network in {checked.weights_file}.")


def _after_cell(result: Any) -> None:
    """Invalidate the parameters if their cell ends in an error, since some would still have earlier values."""
    source = result.info.raw_cell or ""
    if result.success or not source.lstrip().startswith(PARAMETER_CELL_MARK):
        return
    from IPython import get_ipython  # only a session that runs it comes here

    namespace = get_ipython().user_ns
    former = _drop(namespace)
    for name in _parameter_names([source]):
        namespace.pop(name, None)
    _refuse(namespace, former, "the cell that sets them ended in an error")


def _drop(namespace: MutableMapping[str, Any]) -> list[str]:
    """Remove the results of earlier checks; return their names."""
    names = [name for name, value in namespace.items() if isinstance(value, Parameters | Refused)]
    names = [name for name in names if not name.startswith("_")]  # _ and _12 are IPython's
    for name in names:
        del namespace[name]
    return names


def _refuse(namespace: MutableMapping[str, Any], former: Sequence[str], reason: str) -> None:
    """Put the reason under the names of earlier parameters; a notebook's front end first sends all cells."""
    namespace.update(dict.fromkeys(former or [RESULT], Refused(reason)))
    if "get_ipython" in namespace:
        # Jupyter aborts the cells that are queued when an error comes. Run All sends one cell after the other, and the
        # error would come before the last of them: they would run.
        time.sleep(QUEUE_SECONDS)


def _values(notebook: str, cells: Sequence[str], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return names and values of the parameters that the cells have set; see `check`."""
    if any(cell.strip() for cell in cells):
        names = _parameter_names(cells)
    else:  # a script, or a client that keeps no history, such as nbval
        before = _defined_at_start(notebook, namespace)
        names = [name for name, value in namespace.items() if _is_plain(name, value) and name not in before]
    values = {name: namespace[name] for name in names if name in namespace}
    if not values:
        raise ParameterError(f"no parameters: run the cell that begins with {PARAMETER_CELL_MARK!r} before this one")
    return values


def validate(notebook: str, values: Mapping[str, Any]) -> Parameters:
    """Check the given values of a notebook's parameters, except paths that papermill injects; see `check`."""
    if notebook not in NOTEBOOKS:
        raise ParameterError(f"notebook must be one of {sorted(NOTEBOOKS)}, got {notebook!r}")
    model = NOTEBOOKS[notebook]
    try:
        return model(**{name: value for name, value in values.items() if name not in INJECTED_PATHS})
    except ValidationError as error:
        sentences = [_sentence(entry, model) for entry in error.errors()]
        # A union or a list reports one mistake several times; say it once.
        raise ParameterError("\n".join(dict.fromkeys(sentences))) from None


def _defined_at_start(notebook: str, namespace: Mapping[str, Any]) -> set[str]:
    """Return the names that IPython or its start-up files defined, without the parameters of the notebook.

    A parameter may have the value that a start-up file gave the same name.
    """
    shell = namespace["get_ipython"]() if "get_ipython" in namespace else None
    hidden = getattr(shell, "user_ns_hidden", {})
    known = NOTEBOOKS[notebook].model_fields if notebook in NOTEBOOKS else {}
    return {name for name, value in hidden.items() if name not in known and namespace.get(name) is value}


def _is_plain(name: str, value: Any) -> bool:
    known_to_ipython = name.startswith("_") or name in ("In", "Out")
    return not known_to_ipython and (value is None or isinstance(value, bool | int | float | str | list | tuple))


def _parameter_names(cells: Sequence[str]) -> list[str]:
    """Return the names assigned in the latest run of consecutive parameter cells, in order."""
    run: list[str] = []
    for source in reversed([cell for cell in cells if cell.strip()]):
        if source.lstrip().startswith(PARAMETER_CELL_MARK):
            run.append(source)
        elif run:
            break
    names: list[str] = []
    for source in reversed(run):
        with contextlib.suppress(SyntaxError):  # such a cell has set nothing
            nodes = ast.walk(ast.parse(source))
            names += [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return list(dict.fromkeys(names))


def _sentence(entry: Mapping[str, Any], model: type[Parameters]) -> str:
    """Return one pydantic error in the user's words."""
    name = str(entry["loc"][0]) if entry["loc"] else ""
    value = entry["input"]
    if entry["type"] == "extra_forbidden":
        return (
            f"unknown parameter {name!r} (= {value!r}){nearest(name, model.model_fields)}; known are {_listed(model)}"
        )
    if entry["type"] == "missing":
        return f"parameter {name!r} is missing: the parameters cell must define it"
    if not name:  # a combination, worded by _require
        return str(entry["ctx"]["error"])
    if entry["type"] == "literal_error":
        allowed = entry["ctx"]["expected"]
        return f"parameter {name!r} must be {allowed}, got {value!r}{nearest(str(value), _quoted(allowed))}"
    if entry["type"] in ("too_short", "too_long"):
        length = entry["ctx"].get("min_length") or entry["ctx"]["max_length"]
        bound = "at least" if entry["type"] == "too_short" else "at most"
        return f"parameter {name!r} must be a list of {bound} {length} value{'s' * (length > 1)}, got {value!r}"
    message = entry["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if message.startswith("parameter "):  # a sentence already, of `as_seeds`
        return message
    return f"parameter {name!r} must be {message}, got {value!r}"


def _quoted(text: str) -> list[str]:
    return text.split("'")[1::2]


def _listed(model: type[Parameters]) -> str:
    return ", ".join(sorted(model.model_fields))


def _notebooks() -> dict[str, type[Parameters]]:
    """Return each notebook's parameters by its name, from the folders beside this file."""
    for folder in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if folder.ispkg:
            importlib.import_module(f"common.experiments.{folder.name}.parameters")
    return dict(sorted((model.notebook, model) for model in Parameters.__subclasses__()))


NOTEBOOKS = _notebooks()
