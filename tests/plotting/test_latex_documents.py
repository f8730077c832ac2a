"""Every committed table compiles with pdflatex and fits its column, and so does a paper of all figures and tables."""

from pathlib import Path

import pandas as pd
import pytest
from latex_runs import compiled, require_pdflatex, width

from common.plotting import latex_tables, style, tables

FIGURES = Path(__file__).resolve().parents[2] / "figures" / "paper"
TABLES = sorted(path.name for path in FIGURES.glob("*.tex"))
POINTS = 72.27
DIFFICULT = "αβγδεζηθικλμνξοπρςστυφχψω ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ ±×÷≥≤−√·→←∞∝≈≠∈ℓĝ‖∇∂²³¹⁻½° <>| –—…“”‘’ é ☃ "
DIFFICULT += "a_b & {c} ~ d^2 # $ % \\"


@pytest.fixture(autouse=True)
def _pdflatex():
    require_pdflatex()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_compiles_and_fits_its_column(tmp_path, name):
    tex = (FIGURES / name).read_text(encoding="utf-8")
    output = compiled(tex, tmp_path)
    assert "Overfull" not in output
    assert "Float too large" not in output  # for the page
    column = style.DOUBLE_COLUMN if r"\begin{table*}" in tex else style.SINGLE_COLUMN
    assert width(tex, tmp_path) <= column * POINTS
    assert r"\resizebox" not in tex  # read at the size of the text, not shrunk


def test_a_paper_of_all_figures_and_tables_compiles(tmp_path):
    figures = sorted(path.stem for path in FIGURES.glob("*.pdf"))
    assert len(figures) > 30
    parts = [rf"\input{{{FIGURES / name}}}\clearpage" for name in TABLES]
    for name in figures:
        caption = latex_tables.latex_text((FIGURES / f"{name}.txt").read_text(encoding="utf-8").split("\n")[0])
        graphic = rf"\includegraphics{{{FIGURES / name}.pdf}}"
        parts.append(rf"\begin{{figure}}\centering{graphic}\caption{{{caption}}}\end{{figure}}\clearpage")
    output = compiled("\n".join(parts), tmp_path)
    assert "Overfull" not in output


def test_what_a_user_may_write_compiles(tmp_path):
    table = pd.DataFrame({DIFFICULT: [DIFFICULT, "b"], "Error": ["1.0 ± 0.1", "diverged"], "Rate": ["2e-05", "0.1"]})
    tex = latex_tables.to_latex(
        tables.printed(table, DIFFICULT, lowest=["Error"], groups=DIFFICULT), "tab:a_b", "a_b %"
    )
    compiled(tex, tmp_path)


def test_a_table_of_any_width_is_no_wider_than_the_page(tmp_path):
    numbers = {f"Value {i}": [f"{i}.25 ± 0.01", f"{i}.50 ± 0.01"] for i in range(40)}
    assert "Overfull" not in compiled(latex_tables.to_latex(pd.DataFrame({"Run": ["a", "b"]} | numbers)), tmp_path)
