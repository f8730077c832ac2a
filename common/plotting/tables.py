"""Tables of final values: mean ± standard deviation over the seeds, number of seeds, number of diverged runs.

`final_table` gives a frame of text that a notebook shows, `write_latex` writes it for a paper (package booktabs).
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from common import results
from common.atomic import replacing
from common.plotting import style

# What pdfLaTeX's text fonts do not have, or lay out as text.
_IN_LATEX = str.maketrans(
    {"±": r"$\pm$", "×": r"$\times$", "÷": r"$\div$", "≥": r"$\ge$", "≤": r"$\le$", "−": "$-$", "√": r"$\sqrt{}$"}
    | {"α": r"$\alpha$", "γ": r"$\gamma$", "ε": r"$\varepsilon$", "η": r"$\eta$", "λ": r"$\lambda$", "σ": r"$\sigma$"}
    | {"τ": r"$\tau$", "φ": r"$\varphi$", "ℓ": r"$\ell$", "Σ": r"$\Sigma$", "→": r"$\to$", "·": r"$\cdot$"}
    | {"²": "$^2$", "³": "$^3$", "–": "--"}
)


@dataclass(frozen=True)
class Value:
    """A column of a table.

    Attributes:
        header: its title.
        scale: factor on the stored value, e.g. 100 for percent.
        digits: decimals shown.
    """

    header: str
    scale: float = 1.0
    digits: int = 2


@dataclass(frozen=True)
class Page:
    """A table that is to be sorted and filtered, see `plotting.page`.

    Attributes:
        table: of text and numbers.
        title: of the page.
        words: what the columns mean.
        digits: decimals of columns of numbers.
        missing: what stands for a number that there is not, for columns of numbers.
        curves: a column of texts that are drawn as curves: for each point two digits, 00 at the bottom to 99 at the
            top, or "--" for none; empty: no such column.
        details: texts that unfold under each row, a column for each, with the table's rows; an empty text is left out.
    """

    table: pd.DataFrame
    title: str
    words: str
    digits: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    curves: str = ""
    details: pd.DataFrame | None = None


ACCURACIES = {
    "validation_metric": Value("Validation accuracy (%)", scale=100, digits=2),
    "test_metric": Value("Test accuracy (%)", scale=100, digits=2),
}


def final_table(frame: pd.DataFrame, by: Mapping[str, str], values: Mapping[str, Value]) -> pd.DataFrame:
    """Tabulate the runs' last rows, one row per setting.

    Args:
        frame: a tidy frame.
        by: column -> header of what makes a setting, in the order of the columns; rows are sorted by it.
        values: column -> how it is shown: "mean ± standard deviation" (ddof=1), the mean alone for one seed,
            "diverged" when every run did, "-" without a value.

    Returns:
        A frame of text and counts: the headers of `by` and `values`, "Seeds" (runs in the mean), "Diverged".
    """
    summaries = {name: results.summarize(frame, list(by), name) for name in values}
    first = next(iter(summaries.values()))
    table = first[list(by)].rename(columns=dict(by))
    for name, value in values.items():
        table[value.header] = [_cell(row, value) for row in summaries[name].itertuples()]
    return table.assign(Seeds=first["n"], Diverged=first["diverged"])


def accuracy_table(frame: pd.DataFrame, by: Mapping[str, str] = MappingProxyType({"run": "Run"})) -> pd.DataFrame:
    """Tabulate validation and test accuracies in the plan's order, the first of `by` as the index: for a notebook."""
    table = setting_table(frame, by, ACCURACIES)
    return table.set_index(next(iter(by.values())))


def setting_table(frame: pd.DataFrame, by: Mapping[str, str], values: Mapping[str, Value]) -> pd.DataFrame:
    """Tabulate as `final_table` does, in the order of the column `order`: that of the plan."""
    return final_table(frame, {"order": "order", **by}, values).drop(columns="order")


def mean_and_spread(mean: float, std: float, digits: int) -> str:
    """Return "mean ± standard deviation", the mean alone where one seed has no deviation, "-" without a mean.

    Args:
        mean: of `results.summarize`, scaled at will; NaN without a value.
        std: likewise; NaN for one seed.
        digits: decimals shown.

    Example:
        >>> mean_and_spread(98.127, 0.061, digits=2), mean_and_spread(98.127, math.nan, digits=2)
        ('98.13 ± 0.06', '98.13')
    """
    if math.isnan(mean):
        return "-"
    return f"{mean:.{digits}f}" if math.isnan(std) else f"{mean:.{digits}f} ± {std:.{digits}f}"


def write_latex(table: pd.DataFrame, folder: str | os.PathLike, name: str, frame: pd.DataFrame) -> Path:
    """Write a table as a LaTeX tabular with booktabs rules, its origin in comment lines.

    Args:
        table: what `final_table` returned, with columns added at will; with `attrs["wide"]` it is scaled to the width
            of the page.
        folder: where to.
        name: file name without ending.
        frame: the frame it was made from, whose provenance goes into the comments.

    Returns:
        The path of the .tex file.
    """
    path = Path(folder) / f"{name}.tex"
    comments = [f"% {key}: {value}" for key, value in style.origin(frame).items()]
    warning = style.incomplete(frame)
    tabular = to_latex(table)
    if table.attrs.get("wide"):
        comments.append("% as wide as the page: needs the package graphicx")
        tabular = rf"\resizebox{{\textwidth}}{{!}}{{\scriptsize{tabular}}}"
    lines = [*comments, tabular, *([rf"\par\textbf{{{warning}}}"] if warning else [])]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def to_latex(table: pd.DataFrame) -> str:
    r"""Return a table as a LaTeX tabular: text left, numbers right, special characters escaped.

    Example:
        >>> print(to_latex(pd.DataFrame({"Run": ["batch 32"], "Error (%)": ["1.9 ± 0.1"]})))
        \begin{tabular}{lr}
        \toprule
        Run & Error (\%) \\
        \midrule
        batch 32 & 1.9 $\pm$ 0.1 \\
        \bottomrule
        \end{tabular}
    """
    numeric = [_is_numeric(table[name]) for name in table]
    styler = table.style.hide(axis="index").format(escape="latex", na_rep="--").format_index(escape="latex", axis=1)
    text = styler.to_latex(hrules=True, column_format="".join("r" if is_number else "l" for is_number in numeric))
    return text.translate(_IN_LATEX).rstrip()


def _is_numeric(column: pd.Series) -> bool:
    shown = [str(cell).strip("-") for cell in column]
    return all(cell == "" or cell[0].isdigit() for cell in shown) or all(cell == "diverged" for cell in shown)


def _cell(row: object, value: Value) -> str:
    if not row.n and row.diverged:
        return "diverged"
    return mean_and_spread(value.scale * row.mean, value.scale * row.std, value.digits)
