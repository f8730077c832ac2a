"""The site builds without a warning, and its pages need nothing that is not beside them."""

import html
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

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
    pages = [page for page in site.rglob("*.html") if "_static" not in page.parts]
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
    assert "<math" in (site / "notebooks" / "02_noisy_gradients.html").read_text(encoding="utf-8")
