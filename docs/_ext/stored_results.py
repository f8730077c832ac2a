"""The stored results as pages that sort and filter: `.. stored-results::` links them, and the build writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from common import results
from common.experiments.comparison import figures
from common.plotting.page import write_page
from common.plotting.sweep_page import sweep_page
from common.plotting.tables import Page

ROOT = Path(__file__).resolve().parents[2]
LEDGER = "08_comparison"
FOLDER = "docs/results/records"  # of the site


def _title(experiment: str) -> str:
    """Return the heading of the experiment's page of results."""
    page = ROOT / "docs" / "results" / f"{experiment}.md"
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()


def _records(title: str) -> Callable[[pd.DataFrame], Page]:
    return lambda frame: sweep_page(frame, f"All records of {title}")


def _pages() -> dict[str, tuple[str, Path, Callable[[pd.DataFrame], Page]]]:
    """Return file names without ending -> the link's words, the results that the page is of, and what makes it."""
    ledgers = sorted((results.PAPER / LEDGER).glob("*.parquet"))
    pages = {
        f"ledger_{path.stem}": (f"The ledger ({path.stem}): one row per source", path, figures.page) for path in ledgers
    }
    for folder in sorted(path for path in results.PAPER.iterdir() if path.is_dir()):
        title = _title(folder.name)
        pages[folder.name] = (f"{title}: all records", folder, _records(title))
    return pages


class StoredResults(SphinxDirective):
    """A list of links to the pages."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        listed = nodes.bullet_list()
        for name, (words, _, _) in _pages().items():
            link = nodes.reference("", words, refuri=f"{Path(FOLDER).name}/{name}.html", internal=False)
            listed += nodes.list_item("", nodes.paragraph("", "", link))
        return [listed]


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, place, make) in _pages().items():
        frame = results.read(place)
        write_page(make(frame), folder, name, frame)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive; write the pages when all others are written."""
    app.add_directive("stored-results", StoredResults)
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
