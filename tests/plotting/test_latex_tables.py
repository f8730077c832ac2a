"""LaTeX of tables: what stands in the file. `test_latex_documents` compiles it."""

import pandas as pd
import pytest

from common.plotting import latex_tables, tables
from common.plotting.latex_text import latex_text


def body(text):
    return text.split("\\midrule\n", 1)[1].split("\n\\bottomrule")[0].splitlines()


def test_special_characters_are_escaped_and_rules_drawn():
    text = latex_tables.to_latex(pd.DataFrame({"Name": ["a_b", "50 %"], "Test (%)": ["1.0 ± 0.2", "2.0 ± 0.1"]}))
    assert r"\begin{tabular}{@{}lS[table-format=1.1]@{\,}c@{\,}S[table-format=1.1]@{}}" in text
    assert r"{Name} & \multicolumn{3}{c}{Test (\%)} \\" in text
    assert body(text)[0] == r"a\_b & 1.0 & {$\pm$} & 0.2 \\"
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("σ = 0.1 → 1", r"$\sigma = 0.1$ $\to$ 1"),
        ("Σ|λ| ≥ 2 × η²", r"$\Sigma|\lambda|$ $\ge$ 2 $\times$ $\eta^2$"),
        ("9.09e-05", r"$9.1 \times 10^{-5}$"),
        ("rate 1e-05", r"rate $10^{-5}$"),
        ("over the air, -20 dB", r"over the air, $-20$ dB"),
        ("64-64, d = 100", r"64-64, $d = 100$"),
        ("a_b & {c} ~ d^2 # $ \\", r"a\_b \& \{c\} \textasciitilde{} d\textasciicircum{}2 \# \$ \textbackslash{}"),
        ("‖ĝ − g‖ < 1", r"$\Vert\hat{g}$ $-$ g$\Vert$ $<$ 1"),
        ("Α, ο, ω, ☃", r"$A$, $\mathrm{o}$, $\omega$, \texttt{U+2603}"),
        ("naïve – “so”", "naïve -- ``so''"),
        ("ΘΙ²³", r"$\Theta I^2{}^3$"),
    ],
)
def test_symbols_and_numbers_are_mathematics(text, latex):
    assert latex_text(text) == latex


def test_a_word_among_numbers_spans_the_column_and_changes_no_alignment():
    table = pd.DataFrame(
        {"Run": ["a", "b", "c"], "Error": ["12.3 ± 0.1", "diverged", "-"], "Rate": ["0.1", "any", "2"]}
    )
    text = latex_tables.to_latex(table)
    assert "S[table-format=2.1]" in text
    assert body(text)[1] == r"b & \multicolumn{3}{c}{diverged} & {any} \\"
    assert body(text)[2] == r"c & \multicolumn{3}{c}{--} & 2 \\"


def test_numbers_with_powers_of_ten():
    text = latex_tables.to_latex(pd.DataFrame({"Run": ["a", "b"], "Rate": ["9.09e-05", "0.001"]}))
    assert body(text) == [r"a & $9.1 \times 10^{-5}$ \\", r"b & $0.001$ \\"]


def test_no_negative_zero():
    text = latex_tables.to_latex(pd.DataFrame({"Run": ["a", "b"], "Cosine": ["-0.00 ± 0.01", "-0.10 ± 0.01"]}))
    assert body(text) == [r"a & 0.00 & {$\pm$} & 0.01 \\", r"b & -0.10 & {$\pm$} & 0.01 \\"]
    assert tables.mean_and_spread(-0.001, 0.0, 2) == "0.00 ± 0.00"


def test_the_best_of_each_group_is_bold_and_so_are_its_equals():
    table = pd.DataFrame(
        {
            "Runs": ["full", "sweep", "sweep", "sweep", "full"],
            "Setting": ["full: a", "b", "c", "d", "full: e"],
            "Error (%)": ["2.0 ± 0.1", "3.0 ± 0.1", "3.0 ± 0.4", "4.0 ± 0.1", "1.0 ± 0.1"],
        }
    )
    text = latex_tables.to_latex(tables.printed(table, "Runs.", lowest=["Error (%)"], groups="Runs"))
    rows = body(text)
    assert rows[0] == r"\multicolumn{4}{@{}l}{\emph{full}} \\"
    assert rows[1] == r"a & 2.0 & {$\pm$} & 0.1 \\"  # the group's name is said once
    assert rows[2] == r"e & \bfseries 1.0 & {$\pm$} & \bfseries 0.1 \\"
    assert [r"\bfseries" in row for row in rows[5:]] == [True, True, False]
    assert "Bold: the lowest of a group." in text
    assert "detect-weight" in text


def test_a_table_of_no_rivals_has_nothing_bold():
    table = pd.DataFrame({"Run": ["a", "b"], "Error (%)": ["2.0", "2.0"]})
    assert "bfseries" not in latex_tables.to_latex(tables.printed(table, "", lowest=["Error (%)"]))


def test_columns_that_never_vary_are_left_out_and_said():
    table = pd.DataFrame(
        {"Run": ["a", "b"], "Batch": [32, 32], "Place": ["-", "-"], "Error": ["1.0", "2.0"]}
        | {"Updates": ["427 ± 0", "500 ± 0"], "Seeds": [3, 3], "Diverged": [0, 0]}
    )
    text = latex_tables.to_latex(table)
    assert "{Run} & {Error} & {Updates}" in text  # ± 0 of a number that all seeds share says nothing either
    assert r"\caption{3 seeds each. The same in all rows: Batch 32.}" in text


@pytest.mark.parametrize(
    ("seeds", "diverged", "sentence"),
    [([3, 0], [0, 3], "3 seeds each; where one diverged, all did."), ([3, 2], [0, 1], "")],
)
def test_seeds_are_a_column_where_some_of_a_setting_diverged(seeds, diverged, sentence):
    table = pd.DataFrame({"Run": ["a", "b"], "Error": ["1.0", "2.0"], "Seeds": seeds, "Diverged": diverged})
    text = latex_tables.to_latex(table)
    assert sentence in text
    assert ("{Seeds}" in text) == (not sentence)


@pytest.mark.parametrize(
    ("columns", "environment", "shrunk"), [(2, "table", False), (9, "table*", False), (40, "table*", True)]
)
def test_a_table_takes_one_column_of_a_page_or_both(columns, environment, shrunk):
    numbers = {f"Value {i}": [f"{i}.25 ± 0.01", f"{i}.50 ± 0.01"] for i in range(columns)}
    text = latex_tables.to_latex(pd.DataFrame({"Run": ["a", "b"]} | numbers))
    assert text.startswith(rf"\begin{{{environment}}}")
    assert (r"\resizebox{\textwidth}" in text) == shrunk


@pytest.mark.parametrize("missing", [[], ["seed1.parquet"]])
def test_the_file_tells_its_origin_label_packages_and_what_is_missing(tmp_path, frame, missing):
    frame.attrs["missing"] = missing
    path = latex_tables.write_latex(pd.DataFrame({"a": [1, 2]}), tmp_path, "table", frame)
    text = path.read_text()
    assert text.startswith("% experiment: 01_baseline_sgd\n% seeds: 0, 1\n% commit: 0123456789abcdef")
    assert r"% \usepackage{booktabs, siunitx}" in text
    assert r"\label{tab:table}" in text
    assert ("INCOMPLETE: 1 of 3 result files missing" in text) == bool(missing)
