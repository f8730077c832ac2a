r"""Tables for a paper: pandas' LaTeX with the packages booktabs and siunitx, one or two columns wide.

    write_latex(tables.printed(table, "What is seen.", lowest=["Test error (%)"], groups="Runs"), folder, "name", frame)

Numbers are aligned at the decimal point, even in "mean ± standard deviation" and in columns with words such as
"diverged". Columns with the same value in all rows are left out, and the caption states the value.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.ft2font import FT2Font

from common.atomic import replacing
from common.plotting import style
from common.plotting.latex_text import latex_text, number
from common.plotting.tables import Printed

MISSING = ("-", "–", "--", "")
_SPREAD = re.compile(r"^(?P<mean>[-+]?[\d,]*\.?\d+)(?: ± (?P<std>[\d,]*\.?\d+))?$")
_POWER = re.compile(r"^[-+]?\d+(\.\d+)?e[-+]?\d+$")
_NEGATIVE_ZERO = re.compile(r"(?<![\w.])-(0(?:\.0+)?)(?![\d.])")
_PLUS_MINUS = r"{$\pm$}"
# Environments and sizes, in the order in which they are tried. In a document of 10 points, footnotesize has 8 and
# scriptsize 7; Computer Modern's characters of these sizes are as wide as those of 10 points scaled to 8.5 and 8.
_PLACES = (
    ("table", "footnotesize", 8.5, style.SINGLE_COLUMN),
    ("table", "scriptsize", 8.0, style.SINGLE_COLUMN),
    ("table*", "footnotesize", 8.5, style.DOUBLE_COLUMN),
    ("table*", "scriptsize", 8.0, style.DOUBLE_COLUMN),
)
_POINTS = 72.27  # points per inch
_SEPARATION = 3.5  # points on either side of a column
_SAFETY = 1.01  # factor on the estimated width


def write_latex(table: pd.DataFrame, folder: str | os.PathLike, name: str, frame: pd.DataFrame) -> Path:
    """Write a table as a LaTeX float, with its origin in comment lines; the same results give the same bytes.

    Args:
        table: text and numbers, from `printed` or plain.
        folder: output folder.
        name: file name without suffix; the label is "tab:" followed by it.
        frame: the frame of the table, whose provenance goes into the comments.

    Returns:
        The path of the .tex file.
    """
    path = Path(folder) / f"{name}.tex"
    comments = [f"% {key}: {value}" for key, value in style.origin(frame).items()]
    text = to_latex(table, f"tab:{name}", style.incomplete(frame))
    packages = r"\usepackage{booktabs, siunitx" + (", graphicx}" if r"\resizebox" in text else "}")
    with replacing(path) as temporary:
        temporary.write_text("\n".join([*comments, f"% {packages}", text]) + "\n", encoding="utf-8")
    return path


def to_latex(table: pd.DataFrame, label: str = "", warning: str = "") -> str:
    r"""Return a table as a LaTeX float: text left-aligned, numbers aligned at the decimal point, the best ones bold.

    Args:
        table: text and numbers, from `printed` or plain.
        label: label for \ref; empty: none.
        warning: a sentence printed bold after the caption.

    Returns:
        The environment table, or table* if it is wider than one column of a two-column page.

    Example:
        >>> from common.plotting.tables import printed
        >>> table = pd.DataFrame({"Run": ["σ = 0.1", "σ = 1"], "Error (%)": ["1.9 ± 0.1", "diverged"]})
        >>> print(to_latex(printed(table, "Runs.", lowest=["Error (%)"]), "tab:runs"))
        \begin{table}
        \centering
        \caption{Runs. $\pm$: 1 standard deviation (n $-$ 1) over the seeds.}
        \footnotesize
        \setlength{\tabcolsep}{3.5pt}
        \label{tab:runs}
        \begin{tabular}{@{}lS[table-format=1.1]@{\,}c@{\,}S[table-format=1.1]@{}}
        \toprule
        {Run} & \multicolumn{3}{c}{Error (\%)} \\
        \midrule
        $\sigma = 0.1$ & 1.9 & {$\pm$} & 0.1 \\
        $\sigma = 1$ & \multicolumn{3}{c}{diverged} \\
        \bottomrule
        \end{tabular}
        \end{table}
    """
    about = table.attrs.get("printed", Printed())
    cells = table.map(_cell_text)
    cells.attrs = {}
    groups = None
    if about.groups in cells and cells[about.groups].nunique() > 1:
        order = pd.Series(pd.factorize(cells[about.groups])[0]).argsort(kind="stable")
        cells = cells.iloc[order].reset_index(drop=True)
        groups = cells.pop(about.groups).tolist()
        names = zip(cells.iloc[:, 0], groups, strict=True)
        cells.isetitem(0, [name.removeprefix(f"{group}: ") for name, group in names])
    ranked = (*about.lowest, *about.highest)
    cells, sentences = _without_constants(cells, keep=(cells.columns[0], *ranked))
    columns = [_Column(str(name), cells[name].tolist()) for name in cells]
    for column in columns:
        if column.header in ranked:
            column.mark_best(groups, lowest=column.header in about.lowest)
    marked = any(any(column.best) for column in columns)
    environment, size, fits = _place(columns, groups)
    commands = [(size, ""), ("setlength", rf"{{\tabcolsep}}{{{_SEPARATION:g}pt}}")]
    commands += [("sisetup", "{detect-weight}")] if marked else []
    styler = _styler(columns).set_table_styles([{"selector": name, "props": f":{text};"} for name, text in commands])
    text = styler.to_latex(
        environment=environment,
        position_float="centering",
        caption=_caption(about, columns, sentences, warning) or None,
        label=label or None,
        column_format="".join(("@{}", *(column.format for column in columns), "@{}")),
        hrules=True,
        siunitx=True,
        multicol_align="c",
    )
    return _finished(text, groups, columns, shrink=not fits)


class _Column:
    """One column: its header, the cells' text, and its alignment.

    Attributes:
        kind: "number", "power" (with powers of ten), "interval" or "text".
        best: for each cell, whether it is printed bold.
    """

    def __init__(self, header: str, cells: list[str]):
        self.header, self.cells = header, cells
        self.best = [False] * len(cells)
        matches = [_SPREAD.match(cell) for cell in cells]
        powers = [bool(_POWER.match(cell)) for cell in cells]
        others = [cell for cell, match, power in zip(cells, matches, powers, strict=True) if not (match or power)]
        words = all(not any(map(str.isdigit, cell)) for cell in others)
        self.kind = "text"
        if words and any(powers):
            self.kind = "power"
        elif words and any(matches):
            self.kind = "number"
        elif any("[" in cell for cell in cells) and all(re.match(r"[-+<\d]", cell) for cell in cells if cell != "-"):
            self.kind = "interval"
        spreads = [match["std"] for match in matches if match and match["std"]]
        # If all seeds agree, as in a number of steps, the table shows no spread.
        self.exact = bool(spreads) and all(float(value.replace(",", "")) == 0 for value in spreads)
        if self.exact:
            self.cells = [match["mean"] if match else cell for cell, match in zip(cells, matches, strict=True)]
        self.spread = self.kind == "number" and bool(spreads) and not self.exact

    def parts(self, cell: str) -> list[str]:
        """Return the LaTeX of a cell: one string, or mean, ± and standard deviation if the column has them."""
        if self.kind == "number" and (match := _SPREAD.match(cell)):
            mean = match["mean"].replace(",", "")
            if not self.spread:
                return [mean]
            return [mean, _PLUS_MINUS, match["std"].replace(",", "")] if match["std"] else [mean, "", ""]
        text = "--" if cell in MISSING else latex_text(cell)
        if self.kind == "power" and cell not in MISSING:
            text = f"${number(cell)}$" if re.match(r"[-+\d]", cell) else text
        if self.spread:
            return [rf"\multicolumn{{3}}{{c}}{{{text}}}", "", ""]
        return [f"{{{text}}}" if self.kind == "number" else text]

    @property
    def format(self) -> str:
        """Return the column's letter(s) in the tabular's argument."""
        if self.kind != "number":
            return "l" if self.kind == "text" else "r"
        means, spreads = self._numbers("mean"), self._numbers("std")
        mean = _siunitx(means)
        return rf"{mean}@{{\,}}c@{{\,}}{_siunitx(spreads)}" if self.spread else mean

    def lines(self) -> list[str]:
        """Return the header in lines that are not wider than the cells, if the words allow it."""
        wide = max((len(cell) for cell in self.cells), default=1)
        words = max(map(len, self.header.split()), default=1)
        return textwrap.wrap(self.header, max(wide, words), break_long_words=False, break_on_hyphens=False) or [""]

    def latex_header(self) -> str:
        """Return the header as LaTeX, with several lines if it is wider than the cells."""
        lines = [latex_text(line) for line in self.lines()]
        side = "[l]" if self.kind == "text" else ""
        stacked = r"\\".join(lines)
        return lines[0] if len(lines) == 1 else rf"\shortstack{side}{{{stacked}}}"

    def width(self, points: float) -> float:
        """Estimate the width in points, without the space between columns, at this font size."""
        header = max(_length(line) for line in self.lines())
        if self.kind == "number":
            body = sum(map(self._width_of, ("mean", "std") if self.spread else ("mean",)))
            body += _length("±") + 0.34 if self.spread else 0
            words = (_length(cell) for cell in self.cells if not _SPREAD.match(cell))
            body = max([body, *words])
        else:
            sizes = zip(map(_length, map(_plain, self.cells)), self.best, strict=True)
            body = max((size * (1.12 if bold else 1) for size, bold in sizes), default=0.0)
        return points * max(header, body)

    def _width_of(self, part: str) -> float:
        """Return the width of means or standard deviations: that of the longest number, or of a wider bold one."""
        matches = [_SPREAD.match(cell) for cell, best in zip(self.cells, self.best, strict=True) if best]
        bold = [match[part] for match in matches if match and match[part]]
        return max([_digits(self._numbers(part)), *(1.15 * _digits([value.replace(",", "")]) for value in bold)])

    def mark_best(self, groups: list[str] | None, *, lowest: bool) -> None:
        """Mark the best mean of each group with several means; all means equal as printed are marked."""
        means = [self._mean(cell) for cell in self.cells]
        heads = groups or [""] * len(means)
        for head in dict.fromkeys(heads):
            rivals = {mean for mean, own in zip(means, heads, strict=True) if own == head and mean is not None}
            if len(rivals) > 1:
                best = min(rivals) if lowest else max(rivals)
                hits = [own == head and mean == best for mean, own in zip(means, heads, strict=True)]
                self.best = [bold or hit for bold, hit in zip(self.best, hits, strict=True)]

    def _mean(self, cell: str) -> float | None:
        match = _SPREAD.match(cell)
        return float(match["mean"].replace(",", "")) if match else None

    def _numbers(self, part: str) -> list[str]:
        matches = (_SPREAD.match(cell) for cell in self.cells)
        return [match[part].replace(",", "") for match in matches if match and match[part]]


def _cell_text(cell: Any) -> str:
    if pd.isna(cell):
        return "-"
    text = f"{cell:.6g}" if isinstance(cell, float) else str(cell)
    return _NEGATIVE_ZERO.sub(r"\1", text.strip())


def _without_constants(cells: pd.DataFrame, keep: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Leave out columns with the same value in all rows; return sentences with these values, too."""
    if len(cells) < 2:
        return cells, []
    said, sentences = [], []
    dropped = [name for name in cells if name not in keep and cells[name].nunique() == 1]
    if {"Seeds", "Diverged"} <= set(cells) and (count := _runs_each(cells)):
        failed = "; where one diverged, all did" if cells["Diverged"].ne("0").any() else ""
        sentences.append(f"{count} seed{'s' if count > 1 else ''} each{failed}.")
        dropped = [*(name for name in dropped if name not in ("Seeds", "Diverged")), "Seeds", "Diverged"]
    for name in dropped:
        value = cells[name].iloc[0]
        if value not in MISSING and not (name in ("Seeds", "Diverged") and sentences):
            said.append(f"{name} {value}")
    if said:
        sentences.append(f"The same in all rows: {', '.join(said)}.")
    return cells.drop(columns=dropped), sentences


def _runs_each(cells: pd.DataFrame) -> int:
    """Return the number of seeds that all rows share, if no row has only some diverged seeds; else 0."""
    ended, failed = cells["Seeds"].astype(int), cells["Diverged"].astype(int)
    counts = set(ended + failed)
    return counts.pop() if len(counts) == 1 and ((ended == 0) | (failed == 0)).all() else 0


def _caption(about: Printed, columns: list[_Column], sentences: list[str], warning: str) -> str:
    parts = [about.caption] if about.caption else []
    if any(column.spread for column in columns):
        parts.append("±: 1 standard deviation (n − 1) over the seeds.")
    parts += sentences
    if any(any(column.best) for column in columns):
        which = "best" if about.lowest and about.highest else "lowest" if about.lowest else "highest"
        parts.append(f"Bold: the {which}{' of a group' if about.groups else ''}.")
    text = latex_text(" ".join(parts))
    return rf"{text} \textbf{{{latex_text(warning)}.}}".lstrip() if warning else text


def _styler(columns: list[_Column]) -> Any:
    """Return a styler of LaTeX cells; a column with a spread becomes three columns under one header."""
    content, heads, bold = {}, [], []
    for place, column in enumerate(columns):
        parts = list(zip(*(column.parts(cell) for cell in column.cells), strict=True))
        for number_of_part, texts in enumerate(parts):
            key = (column.latex_header(), f"{place}.{number_of_part}")
            heads.append(key)
            content[key] = list(texts)
            bold += [(row, key) for row, best in enumerate(column.best) if best and number_of_part != 1]
    frame = pd.DataFrame(content, columns=pd.MultiIndex.from_tuples(heads))
    styler = frame.style.hide(axis="index").hide(axis="columns", level=1)
    for row, key in bold:
        styler = styler.map(lambda _: "bfseries:;", subset=([row], [key]))
    return styler


def _finished(text: str, groups: list[str] | None, columns: list[_Column], *, shrink: bool) -> str:
    r"""Add the group headings and features that pandas lacks: cells of three columns, and tables that are too wide."""
    lines = text.rstrip().splitlines()
    start = lines.index(r"\midrule") + 1
    rows = [re.sub(r"(\\multicolumn\{3\}\{c\}\{[^&]*\}) &\s*&\s*(?=&|\\\\)", r"\1 ", line) for line in lines[start:]]
    if groups:
        width = sum(3 if column.spread else 1 for column in columns)
        for row in reversed(range(len(groups))):
            if row == 0 or groups[row] != groups[row - 1]:
                head = rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{latex_text(groups[row])}}}}} \\"
                rows[row:row] = [head] if row == 0 else [r"\midrule", head]
    lines = [*lines[:start], *rows]
    if shrink:
        begin = next(i for i, line in enumerate(lines) if line.startswith(r"\begin{tabular}"))
        lines[begin] = r"\resizebox{\textwidth}{!}{" + lines[begin]
        lines[lines.index(r"\end{tabular}")] = r"\end{tabular}}"
    return "\n".join(lines)


def _place(columns: list[_Column], groups: list[str] | None) -> tuple[str, str, bool]:
    """Return the narrowest environment and font size in which the table fits, and whether it fits at all."""
    for environment, size, points, inches in _PLACES:
        width = sum(column.width(points) for column in columns) + 2 * _SEPARATION * (len(columns) - 1)
        heads = [points * _length(head) for head in groups or ()]
        if _SAFETY * max([width, *heads]) <= inches * _POINTS:
            return environment, size, True
    return environment, size, False


def _siunitx(numbers: list[str]) -> str:
    whole, decimals, signed = _lengths(numbers)
    return f"S[table-format={'-' * signed}{whole}.{decimals}]"


def _lengths(numbers: list[str]) -> tuple[int, int, bool]:
    split = [value.lstrip("+-").partition(".") for value in numbers]
    signed = any(value[:1] in "+-" for value in numbers)
    return max(len(whole) or 1 for whole, _, _ in split), max(len(decimals) for _, _, decimals in split), signed


def _digits(numbers: list[str]) -> float:
    """Return the width of the longest number in units of the font size."""
    whole, decimals, signed = _lengths(numbers)
    return 0.5 * (whole + decimals) + 0.28 * bool(decimals) + 0.78 * signed + 0.17 * (whole > 4)


def _plain(cell: str) -> str:
    """Return a string of about the characters that a typeset cell has."""
    return re.sub(r"(\d)e[-+]?\d+", r"\1 × 10-5", cell)


def _length(text: str) -> float:
    """Return a string's width in units of the font size, in TeX's Computer Modern, which matplotlib includes."""
    known = [character if character.isascii() else "m" for character in text]
    return sum(_advance(character) for character in known)


@cache
def _advance(character: str) -> float:
    font = _font()
    return font.load_char(ord(character)).linearHoriAdvance / 65536 / 100 if character.isprintable() else 0.0


@cache
def _font() -> FT2Font:
    font = FT2Font(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "cmr10.ttf")))
    font.set_size(100, 72)
    return font
