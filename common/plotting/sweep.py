"""The summary of a sweep: a table, a figure chosen by the varying settings, and a page of the records.

    paths = write_summary("results/sweeps/noise_by_rate", "results/sweeps/noise_by_rate")

`sweep_points.py` defines points and the records that count once; `sweep_figures.py` chooses the figure.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pandas as pd

from common import results
from common.atomic import replacing
from common.plotting import tables
from common.plotting.draw import Drawings, write_drawings
from common.plotting.sweep_figures import sweep_figure
from common.plotting.sweep_page import sweep_page
from common.plotting.sweep_points import (
    ANY,
    columns_of,
    filled_columns,
    headers,
    summaries,
    sweep_names,
    swept_rows,
    written,
)

__all__ = ["printed_table", "sweep_figure", "sweep_names", "sweep_page", "sweep_table", "write_summary"]


def sweep_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the final metrics of a sweep, with one row per point and run; trials of a notebook are left out.

    Args:
        frame: a frame of `results.read`.

    Returns:
        A table in the order of the swept values and of the plan. Its columns are `sweep.*`, run, metric, validation
        (mean of the final validation metric, by which settings are chosen), mean (of the final test metric), low and
        high (its 95 % t interval over the seeds, NaN for one seed), n (runs in the mean) and diverged (runs in no
        mean). A run that is the same at all values has one row, with NA in `sweep.*`. Accuracies are in per cent.

    Raises:
        ValueError: a run has several records of a seed at one point.
    """
    rows = swept_rows(frame)
    scale = rows["metric"].map({"accuracy": 100.0}).fillna(1.0)
    rows = rows.assign(**{f"{part}_score": scale * rows[f"{part}_metric"] for part in ("validation", "test")})
    table = summaries(rows, "test_score")
    metrics = rows.groupby([*columns_of(rows), "run"], dropna=False, as_index=False)["metric"].first()
    table = table.merge(metrics).assign(validation=summaries(rows, "validation_score")["mean"])
    return table[[*columns_of(rows), "run", "metric", "validation", "mean", "low", "high", "n", "diverged"]]


def printed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `sweep_table` as text, for a terminal or a paper, without strings that only repeat other swept values."""
    table = sweep_table(frame)
    own: dict[str, Any] = {}
    if table["run"].nunique() > 1 or not columns_of(table):
        own["run"] = table["run"]
    for part, value in {"validation": "validation", "test": "mean"}.items():
        own[_header(table, part)] = [_cell(row[value], row) for row in table.to_dict("records")]
    own["95 % interval"] = [_interval(row) for row in table.to_dict("records")]
    own |= {"n": table["n"], "diverged": table["diverged"]}
    shown = table.drop(columns=filled_columns(table))
    swept = {
        header: [ANY if pd.isna(value) else written(value) for value in table[name]]
        for name, header in headers(shown, own).items()
    }
    chosen, kinds = _header(table, "validation"), set(table["metric"])
    caption = "Final metrics of a sweep. The interval is over the seeds of the test metric."
    text = pd.DataFrame(swept | own)
    if len(kinds) > 1:
        return tables.printed(text, caption)
    if kinds == {"accuracy"}:
        return tables.printed(text, caption, highest=[chosen])
    return tables.printed(text, caption, lowest=[chosen])


def write_summary(results_folder: str | os.PathLike, out_folder: str | os.PathLike) -> list[Path]:
    """Write the summary of a sweep; the same results give the same bytes.

    Args:
        results_folder: the sweep's folder, e.g. results/sweeps/noise_by_rate; its name is the title of the page.
        out_folder: output folder.

    Returns:
        The paths of table.tex, table.csv (the unrounded numbers), figure.pdf, figure.png, figure.txt (its caption) and
        index.html (all records). Without test metrics, there is no figure.

    Raises:
        FileNotFoundError: no result file can be read.
        ValueError: as `results.read`, `sweep_table` and `sweep_figure`.
    """
    frame = results.read(results_folder)
    title = f"Sweep {Path(results_folder).resolve().name}"
    drawings = Drawings(
        {"figure": sweep_figure}, {"table": printed_table}, {"index": lambda frame: sweep_page(frame, title)}
    )
    unsaid: list[str] = []
    paths = write_drawings(frame, out_folder, drawings, say=unsaid.append)
    numbers = Path(out_folder) / "table.csv"
    with replacing(numbers) as temporary:
        sweep_table(frame).to_csv(temporary, index=False)
    return [*paths, numbers]


def _header(table: pd.DataFrame, part: str) -> str:
    metrics = table["metric"].unique()
    if len(metrics) > 1:
        return f"{part} accuracy (%) or error"
    return f"{part} accuracy (%)" if metrics[0] == "accuracy" else f"{part} mean squared error"


def _cell(value: float, row: dict[str, Any]) -> str:
    if not row["n"] and row["diverged"]:
        return "diverged"
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if row["metric"] == "accuracy" else f"{value:.4g}"


def _interval(row: dict[str, Any]) -> str:
    return "-" if math.isnan(row["low"]) else f"[{_cell(row['low'], row)}, {_cell(row['high'], row)}]"
