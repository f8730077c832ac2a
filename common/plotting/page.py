"""A table as a page: one HTML file that sorts and filters in a browser, without a network.

DataTables (https://datatables.net) draws the table; the file contains the copy of it in `itables`. A long table is
drawn page by page, so that ten thousand rows open as fast as a hundred.
"""

import html
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from itables.javascript import JavascriptFunction, generate_init_offline_itables_html, to_html_datatable
from itables.utils import find_package_file

from common.atomic import replacing
from common.plotting import style
from common.plotting.tables import Page

_BUNDLE = find_package_file("html/dt_bundle.js")
_LONG = 100  # rows; longer tables are drawn page by page
_UNFOLD = " "  # the header of the column that unfolds the details
_FILTER = [{"target": 1, "content": ["search"]}]  # a field below each header
_NO_FILTER = {"columnControl": [{"target": 1, "content": []}], "orderable": False, "searchable": False}
_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1500px; padding: 0 1em; color: #111 }}
h1 {{ font-size: 1.4em }}
p {{ max-width: 60em }}
dl {{ display: grid; grid-template-columns: max-content auto; gap: 0 1em; color: #444; font-size: 12px; max-width: 90em;
  white-space: normal; text-align: left }}
dd {{ margin: 0; overflow-wrap: anywhere }}
.dt-layout-table {{ overflow-x: auto }}
table.dataTable td {{ white-space: nowrap }}
td button {{ border: 0; background: none; cursor: pointer; font-size: 12px; padding: 0 4px }}
td svg {{ display: block }}
td svg * {{ fill: none; stroke: #0072B2; stroke-width: 1.2; vector-effect: non-scaling-stroke }}
.command {{ font-family: monospace; user-select: all }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{words}</p>
{table}
{details}
<dl>{origin}</dl>
{script}
</body>
</html>
"""
_NUMBER = """function (number, type) {
  if (!Number.isFinite(number)) return type === 'display' ? MISSING : '';
  return type === 'display' ? WRITTEN : number;
}"""
_CURVE = """function (heights, type) {
  if (type !== 'display') return '';
  const points = heights.match(/../g) || [], step = 100 / Math.max(points.length - 1, 1);
  const lines = points.map((y, i) => y === '--' ? ' ' : `${(2 + i * step).toFixed(1)},${(21 - y / 5).toFixed(1)}`)
    .join(' ').split(/ {2,}/).map(line => line.trim()).filter(line => line);
  const marks = lines.map(line => line.includes(' ') ? `<polyline points="${line}"/>`
    : `<circle r="1.5" cx="${line.split(',')[0]}" cy="${line.split(',')[1]}"/>`);
  return `<svg width="104" height="23" viewBox="0 0 104 23" role="img">${marks.join('')}</svg>`;
}"""
_BUTTON = """function (data, type) {
  return type === 'display' ? '<button type="button" aria-expanded="false" aria-label="details">▸</button>' : '';
}"""
# Called after each draw. The first call makes the buttons unfold the details of their row. Details are set as text, so
# that no part of them is interpreted as HTML.
_UNFOLDING = """function (settings) {
  if (settings.unfolds) return;
  settings.unfolds = true;
  const table = this.api(), columns = JSON.parse(document.getElementById(DETAILS).textContent);
  table.on('click', 'tbody td button', event => {
    const button = event.target, row = table.row(button.closest('tr'));
    const shown = row.child.isShown();
    button.textContent = shown ? '▸' : '▾';
    button.setAttribute('aria-expanded', String(!shown));
    if (shown) return row.child.hide();
    const list = document.createElement('dl');
    for (const {name, texts, rows} of columns) {
      const text = texts[rows.length ? rows[row.index()] : 0];
      if (!text) continue;
      const term = document.createElement('dt'), definition = document.createElement('dd');
      term.textContent = name;
      definition.textContent = text;
      if (name === 'command') definition.className = 'command';
      list.append(term, definition);
    }
    row.child(list).show();
  });
}"""


def write_page(page: Page, folder: str | os.PathLike, name: str, frame: pd.DataFrame) -> Path:
    """Write a table as a page that sorts by a click on a header and filters by typed text; the bytes are reproducible.

    Args:
        page: table, title and explanation.
        folder: output folder.
        name: file name without suffix.
        frame: the frame of the table, whose provenance is shown below it.

    Returns:
        The path of the .html file.
    """
    origin = {key: value for key, value in style.origin(frame).items() if key != "status"}
    warning = style.incomplete(frame)
    text = _TEMPLATE.format(
        title=html.escape(page.title),
        words=html.escape(f"{warning}. {page.words}" if warning else page.words),
        table=_datatable(page, name),
        details=_details(page, name),
        origin=_definitions(origin),
        script=generate_init_offline_itables_html(_BUNDLE),
    )
    path = Path(folder) / f"{name}.html"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _datatable(page: Page, name: str) -> str:
    options: dict[str, Any] = {"table_id": f"table-{name}", "show_df_type": False, "connected": False}
    # Otherwise a click on the arrow in a header sorts, and a click on the header does not.
    options |= {"text_in_header_can_be_selected": False}
    options |= {"columnControl": _FILTER, "columnDefs": list(_columns(page))}
    layout = {"topStart": "search", "topEnd": "info", "bottomStart": None, "bottomEnd": None}
    if len(page.table) > _LONG:
        options |= {"paging": True, "pageLength": 50, "deferRender": True, "autoWidth": False}
        layout |= {"bottomStart": "pageLength", "bottomEnd": "paging"}
    else:
        options |= {"paging": False}
    table = page.table
    if page.details is not None:
        table = pd.concat([pd.Series("", table.index, name=_UNFOLD), table], axis=1)
        place = json.dumps(_details_id(name))
        options |= {"drawCallback": JavascriptFunction(_UNFOLDING.replace("DETAILS", place))}
    options |= {"maxBytes": 0, "maxRows": 0, "maxColumns": 0}  # no limit
    return to_html_datatable(
        table, showIndex=False, allow_html=False, layout=layout, display_logo_when_loading=False, **options
    )


def _columns(page: Page) -> Iterator[dict[str, Any]]:
    """Yield DataTables' settings of the columns, by their position."""
    first = 0 if page.details is None else 1
    if first:
        yield {"targets": 0, "render": JavascriptFunction(_BUTTON)} | _NO_FILTER
    for place, name in enumerate(page.table.columns, first):
        if name == page.curves:
            yield {"targets": place, "render": JavascriptFunction(_CURVE)} | _NO_FILTER
        elif pd.api.types.is_numeric_dtype(page.table[name]) and (name in page.digits or name in page.missing):
            yield {"targets": place, "render": JavascriptFunction(_number(page, name))}
        elif not pd.api.types.is_numeric_dtype(page.table[name]):
            yield {"targets": place, "type": "string"}  # a commit that has only digits is not a number


def _number(page: Page, name: str) -> str:
    digits = page.digits.get(name)
    decimals = f"{{minimumFractionDigits: {digits}, maximumFractionDigits: {digits}}}"
    written = "String(number)" if digits is None else f"number.toLocaleString('en', {decimals})"
    missing = json.dumps(html.escape(page.missing.get(name, "")))
    return _NUMBER.replace("WRITTEN", written).replace("MISSING", missing)


def _details(page: Page, name: str) -> str:
    """Return the details as data in the page, with each string of a column once."""
    if page.details is None:
        return ""
    columns = []
    for column in page.details:
        rows, texts = pd.factorize(page.details[column])
        columns.append({"name": column, "texts": list(texts), "rows": rows.tolist() if len(texts) > 1 else []})
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c")  # no part of a string may end the element
    return f'<script type="application/json" id="{_details_id(name)}">{text}</script>'


def _details_id(name: str) -> str:
    return f"table-{name}-details"


def _definitions(origin: Mapping[str, str]) -> str:
    return "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in origin.items())
