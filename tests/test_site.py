"""The site builds without a warning, and its pages need nothing that is not beside them."""

import html
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from common import results

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build it as `make site` does."""
    folder = tmp_path_factory.mktemp("site")
    call = [sys.executable, "-m", "sphinx", "-b", "html", "-c", "docs", "--fail-on-warning", "--keep-going", "--quiet"]
    built = subprocess.run([*call, ".", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_pages_are_complete_and_need_no_network(site):
    """One test, since another process of the tests would build the site again."""
    pages = [page for page in site.rglob("*.html") if "_static" not in page.parts and "records" not in page.parts]
    assert {page.stem for page in pages} >= {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert len([page for page in pages if "results" in page.parts]) >= 7
    for page in pages:
        text = page.read_text(encoding="utf-8")
        needed = re.findall(r'<(?:img|script)[^>]* src="([^"]+)"', text)
        needed += re.findall(r'<link[^>]* rel="stylesheet"[^>]* href="([^"]+)"', text)
        for source in needed:
            if source.startswith("data:"):
                continue
            assert "://" not in source, f"{page.name} loads {source}"
            assert (page.parent / unquote(html.unescape(source)).split("?")[0]).exists(), f"{page.name} lacks {source}"
        if page.parent == site / "docs" / "results" and page.stem != "records":
            figures = re.findall(r"<figure.*?</figure>", text, flags=re.DOTALL)
            assert len(figures) == len(re.findall(r'<img[^>]* src="[^"]*_images', text)) > 0
            for figure in figures:
                words = " ".join(re.sub(r"<[^>]+>", " ", figure).split())
                assert re.search(rf"Records: results/paper/{page.stem}.*, seeds .*trained at", words), words
                assert f"Drawn by python -m common.experiments {page.stem} " in words
    assert "<math" in (site / "notebooks" / "02_noisy_gradients.html").read_text(encoding="utf-8")


def test_stored_results_are_pages_that_sort_and_need_no_network(site):
    folder = site / "docs" / "results"
    listed = (folder / "records.html").read_text(encoding="utf-8")
    names = {path.name for path in (ROOT / "results" / "paper").iterdir() if path.is_dir()}
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (folder / "records").glob("*.html")}
    assert names | {"ledger_mnist_mlp"} <= set(pages)
    for name, text in pages.items():
        assert f'href="records/{name}.html"' in listed
        assert not re.search(r'<(?:script|link)[^>]* (?:src|href)="(?!data:)', text), f"{name} loads something"
    assert "backpropagation" in pages["ledger_mnist_mlp"]
    count = results.last_rows(results.read(ROOT / "results" / "paper" / "08_comparison")).shape[0]
    assert f"One row for each of {count:,} records" in pages["08_comparison"]
