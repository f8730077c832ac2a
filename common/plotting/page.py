"""A table as a page: one HTML file that sorts and filters in a browser, without a network.

The table is drawn by DataTables (https://datatables.net), of which `itables` brings a copy that goes into the file.
"""

import html
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from itables.javascript import generate_init_offline_itables_html, to_html_datatable
from itables.utils import find_package_file

from common.atomic import replacing
from common.plotting import style
from common.plotting.tables import Page

_BUNDLE = find_package_file("html/dt_bundle.js")
_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1500px; padding: 0 1em; color: #111 }}
h1 {{ font-size: 1.4em }}
p {{ max-width: 60em }}
dl {{ display: grid; grid-template-columns: max-content auto; gap: 0 1em; color: #444; font-size: 12px }}
dd {{ margin: 0; overflow-wrap: anywhere }}
table.dataTable td {{ white-space: nowrap }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{words}</p>
{table}
<dl>{origin}</dl>
{script}
</body>
</html>
"""


def write_page(page: Page, folder: str | os.PathLike, name: str, frame: pd.DataFrame) -> Path:
    """Write a table as a page that sorts by a click on a header and filters by what is typed; the same bytes each time.

    Args:
        page: table, title and words.
        folder: where to.
        name: file name without ending.
        frame: the frame it was made from, whose provenance stands below.

    Returns:
        The path of the .html file.
    """
    origin = {key: value for key, value in style.origin(frame).items() if key != "status"}
    warning = style.incomplete(frame)
    text = _TEMPLATE.format(
        title=html.escape(page.title),
        words=html.escape(f"{warning}. {page.words}" if warning else page.words),
        table=_datatable(page.table, name),
        origin=_definitions(origin),
        script=generate_init_offline_itables_html(_BUNDLE),
    )
    path = Path(folder) / f"{name}.html"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _datatable(table: pd.DataFrame, name: str) -> str:
    options = {"paging": False, "table_id": f"table-{name}", "show_df_type": False, "connected": False}
    layout = {"topStart": "search", "topEnd": "info", "bottomStart": None, "bottomEnd": None}
    return to_html_datatable(
        table, maxBytes=0, showIndex=False, allow_html=False, layout=layout, display_logo_when_loading=False, **options
    )


def _definitions(origin: Mapping[str, str]) -> str:
    return "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in origin.items())
