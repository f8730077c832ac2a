"""A real pdflatex, where there is one with the packages that the tables need."""

import shutil
import subprocess

import pytest

PACKAGES = ("booktabs", "siunitx", "graphicx")
BEGIN = r"""\documentclass[10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[textwidth=6.9in, textheight=9.5in]{geometry}
\usepackage{booktabs, siunitx, graphicx}
\begin{document}
"""


def require_pdflatex():
    """Skip where pdflatex or a package is missing, and say which."""
    if not shutil.which("pdflatex") or not shutil.which("kpsewhich"):
        pytest.skip("there is no pdflatex (Debian: texlive-latex-base)")
    for name in PACKAGES:
        found_at = subprocess.run(["kpsewhich", f"{name}.sty"], capture_output=True, text=True, check=False).stdout
        if not found_at.strip():
            pytest.skip(f"pdflatex has no package {name} (Debian: texlive-science, texlive-latex-recommended)")


def compiled(content, folder):
    """Compile a document of this content; return what pdflatex says, and fail with its first error."""
    (folder / "document.tex").write_text(BEGIN + content + "\n\\end{document}\n", encoding="utf-8")
    call = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    ended = subprocess.run(call, cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    errors = [line for line in ended.stdout.splitlines() if line.startswith("!")]
    assert ended.returncode == 0, errors or ended.stdout[-2000:]
    return ended.stdout


def width(tex, folder):
    """Return the natural width of a table's tabular in points, in its size of the font and without shrinking."""
    inside = tex.split("\\begin{tabular}", 1)[1].split("\\end{tabular}")[0]
    size = "scriptsize" if r"\scriptsize" in tex else "footnotesize"
    settings = "".join(line for line in tex.splitlines() if line.startswith(("\\setlength", "\\sisetup")))
    box = rf"\{size}{settings}\setbox0=\hbox{{\begin{{tabular}}{inside}\end{{tabular}}}}\typeout{{WIDTH \the\wd0}}"
    output = compiled(f"{box}\n.", folder)
    return float(output.split("WIDTH ")[1].split("pt")[0])
