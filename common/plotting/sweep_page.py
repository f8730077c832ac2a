"""A sweep as a page with one row per record: its curve, its provenance, and the command that repeats it."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from common import results
from common.notebook_parameters import FILES, notebook_defaults
from common.plotting.curves import column
from common.plotting.sweep_points import (
    ANY,
    columns_of,
    filled_columns,
    headers,
    is_numeric,
    record_numbers,
    sweep_names,
    swept_rows,
)
from common.plotting.tables import Page
from common.results.command import NOTEBOOKS, papermill_command
from common.results.frame import bare, plain

_POINTS = 40  # largest number of points of a curve
_NO_COMMAND = "unknown: the stored parameters do not tell which call made this record"
_OTHER_NOTEBOOK = "unknown: the notebook has other parameters since; the one that made this record is in its commit"


def sweep_page(frame: pd.DataFrame, title: str = "Sweep") -> Page:
    """Return a page of all records of a sweep, or of any other results; `write_page` writes it.

    Args:
        frame: a frame of `results.read`, with its `attrs`; their parameters give the command of a record.
        title: title of the page.

    Returns:
        A page with one row per record, trials included: swept values ("any" if the record does not depend on them),
        run, seed, status, final metrics, curve, seconds, cost, commit. Each row unfolds to settings, provenance and
        command.
    """
    origins = frame.attrs.get("provenance", [])
    frame = bare(frame)
    rows = swept_rows(frame, trials=True)
    rows = rows.sort_values([*columns_of(rows), *rows.columns.intersection(["order"]), "seed"], na_position="first")
    curves, ends = _curves(frame, rows)
    table, digits = _table(rows, curves)
    details = _details(rows).assign(command=_commands(frame.loc[rows.index], origins))
    missing = dict.fromkeys(table.columns[: list(table.columns).index("run")], ANY)
    return Page(table, title, _words(rows, ends), digits, missing, curves="curve", details=details)


def _words(rows: pd.DataFrame, ends: str) -> str:
    accuracy = rows["metric"] == "accuracy"
    metric = "accuracy in per cent" if accuracy.all() else "accuracy or mean squared error"
    metric = metric if accuracy.any() else "mean squared error"
    of_sweep = (
        f" at one point of the sweep. {ANY.capitalize()} stands where a record is the same whatever the value"
        if columns_of(rows)
        else ""
    )
    words = (
        f"One row for each of {len(rows):,} records: a run with one seed{of_sweep}. Test, validation and train: the "
        f"final {metric}. Seconds: of training. Cost: in gradients of one example. A click on a header sorts; the "
        "fields below the headers filter by their columns (their sign says how), the one above by all. The triangle "
        "unfolds settings, provenance, and the command that repeats the record from the repository's folder: what the "
        "store of runs holds is not trained again, unless another is named by -p store FOLDER."
    )
    return f"{words} {ends}" if ends else words


def _table(rows: pd.DataFrame, curves: Sequence[str]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the visible columns, and the number of decimals of columns of numbers."""
    own: dict[str, Any] = {"run": rows["run"], "seed": rows["seed"], "status": rows["status"]}
    digits = {"seconds": 2, "cost": 0}
    for part in ("test", "validation", "train"):
        header, values, decimals = _metric(rows, part)
        own[header], digits[header] = values.round(decimals), decimals
    own |= {"curve": curves, "seconds": rows["seconds"].astype(float).round(2)}
    own |= {"cost": rows["cost"].astype(float).round(0), "commit": _short_commits(rows)}
    names = headers(rows.drop(columns=filled_columns(rows)), own)
    swept = {header: rows[name] if is_numeric(rows, name) else rows[name].fillna(ANY) for name, header in names.items()}
    return pd.DataFrame(swept | own).reset_index(drop=True), digits


def _metric(rows: pd.DataFrame, part: str) -> tuple[str, pd.Series, int]:
    """Return the header, the values and the number of decimals of a final metric."""
    values = rows[f"{part}_metric"].astype(float)
    return (f"{part} (%)", 100 * values, 2) if (rows["metric"] == "accuracy").all() else (part, values, 4)


def _short_commits(rows: pd.DataFrame) -> pd.Series:
    short = column(rows, "commit").fillna("unknown").astype(str).str[:8]
    changed = column(rows, "dirty", False).fillna(False).astype(bool)
    return short.where(~changed, short + "+changes")


def _details(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the strings that unfold under each row: its settings and its provenance."""
    shown = {"run", "order", *columns_of(rows)}.difference(filled_columns(rows))
    names = ["group", *results.parameter_columns(rows), *results.PROVENANCE]
    names = [name for name in dict.fromkeys(names) if name in rows and name not in shown and rows[name].notna().any()]
    return pd.DataFrame({name: [_readable(value, name) for value in rows[name]] for name in names})


def _readable(value: Any, name: str) -> str:
    """Return a detail as text; it is empty if the value is unknown."""
    if isinstance(value, np.ndarray) or pd.isna(value):
        return ""
    if name == "versions":
        return ", ".join(f"{package} {version}" for package, version in json.loads(value).items())
    if name == "resumed":
        return ", ".join(map(str, json.loads(value)))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _curves(frame: pd.DataFrame, rows: pd.DataFrame) -> tuple[list[str], str]:
    """Return each record's curve in the format of `Page`, and a sentence on the common range of all curves."""
    part = "train" if frame["validation_metric"].isna().all() else "validation"
    accuracy = (frame["metric"] == "accuracy").all()
    values = frame[f"{part}_metric"].astype(float)
    values = 100 * values if accuracy else values.where(values > 0).map(math.log10)
    # With a scale per curve, the noise of a run that learned nothing would look like progress.
    low, high = values[np.isfinite(values)].quantile([0.01, 0.99])
    if not low < high:
        low, high = low - 0.5, high + 0.5
    heights = (99 * (values.clip(low, high) - low) / (high - low)).round()
    texts = heights.map(lambda height: "--" if math.isnan(height) else f"{int(height):02}")
    numbers = record_numbers(frame)
    ordered = pd.DataFrame({"record": numbers, "epoch": frame["epoch"], "text": texts}).sort_values(["record", "epoch"])
    by_record = {number: _thinned(list(points)) for number, points in ordered.groupby("record")["text"]}
    curves = [by_record[number] for number in numbers.loc[rows.index]]
    if math.isnan(low):
        return curves, ""
    name, unit = ("accuracy", " %") if accuracy else ("mean squared error, logarithmic", "")
    low, high = (low, high) if accuracy else (10**low, 10**high)
    return curves, f"Curves: {part} {name}, all from {low:.3g}{unit} (bottom) to {high:.3g}{unit} (top)."


def _thinned(points: Sequence[str]) -> str:
    if len(points) > _POINTS:
        points = [points[i] for i in np.linspace(0, len(points) - 1, _POINTS).round().astype(int)]
    return "".join(points)


def _commands(rows: pd.DataFrame, origins: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each record's command: the parameters of its result file, but only its own seed.

    Rows do not name their file; the swept values and the seed identify it.
    """
    names = sweep_names(rows)
    calls = _calls(origins, names)
    written = functools.cache(_written)
    commands = []
    for notebook, seed, *values in rows[["experiment", "seed", *columns_of(rows)]].itertuples(index=False, name=None):
        point = {name: _comparable(value) for name, value in zip(names, values, strict=True)}
        fitting: set[str] = set()
        for known, by_point in calls.items():
            swept = tuple(point[name] for name in known)
            fitting |= by_point.get((int(seed), *swept)) or by_point.get((None, *swept), set())
        commands.append(written(notebook, fitting.pop()) if len(fitting) == 1 else _NO_COMMAND)
    return commands


def _written(notebook: str, call: str) -> str:
    """Return the command of a call with JSON parameters, or a sentence if the notebook no longer has them all."""
    parameters = json.loads(call)
    known = notebook_defaults(NOTEBOOKS / f"{notebook}.ipynb")
    lost = set(parameters).difference(known, FILES) if known else ()
    return _OTHER_NOTEBOOK if lost else papermill_command(notebook, parameters)


def _calls(origins: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[tuple[str, ...], dict[tuple, set[str]]]:
    """Return notebooks' parameters as JSON: names of swept values in a file -> (seed, *values) -> parameters.

    A file has the swept values under "sweep" (name -> value), or under "parameters" if a parameter of the notebook was
    swept. A seed that the notebook does not list, such as that of a trial, is None: every call has it.
    """
    calls: dict[tuple[str, ...], dict[tuple, set[str]]] = {}
    for origin in origins:
        parameters = origin.get("parameters") or {}
        known_values = {**parameters, **(origin.get("sweep") or {})}
        known = tuple(name for name in names if name in known_values)
        values = tuple(_comparable(known_values[name]) for name in known)
        by_point = calls.setdefault(known, {})
        by_point.setdefault((None, *values), {_as_text(parameters)})
        for seed in parameters.get("seeds") or ():
            by_point.setdefault((seed, *values), set()).add(_as_text({**parameters, "seeds": [seed]}))
    return calls


def _as_text(parameters: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in parameters.items() if name not in FILES})


def _comparable(value: Any) -> Any:
    """Return a swept value in a form that columns and provenance share: a column of strings has no numbers."""
    value = plain(value)
    if pd.isna(value):
        return None
    try:
        return str(value) if isinstance(value, bool) else float(value)
    except ValueError:
        return value
