r"""Text of tables and captions for pdfLaTeX: special characters are escaped, symbols and numbers become formulas."""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {character: rf"\{character}" for character in "&%$#_{}"}

# LaTeX names Greek letters as Unicode does, except these.
_GREEK = {"ε": "varepsilon", "φ": "varphi", "ο": "mathrm{o}", "ς": "varsigma", "λ": "lambda", "Λ": "Lambda"}
_LIKE_LATIN = {"Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N", "Ο": "O"}
_LIKE_LATIN |= {"Ρ": "P", "Τ": "T", "Υ": "Y", "Χ": "X"}
_SYMBOLS = {
    **{"±": r"\pm", "×": r"\times", "÷": r"\div", "≥": r"\ge", "≤": r"\le", "−": "-", "√": r"\surd", "·": r"\cdot"},
    **{"→": r"\to", "←": r"\leftarrow", "∞": r"\infty", "∝": r"\propto", "≈": r"\approx", "≠": r"\ne", "∈": r"\in"},
    **{"ℓ": r"\ell", "ĝ": r"\hat{g}", "‖": r"\Vert", "∇": r"\nabla", "∂": r"\partial", "²": "^2", "³": "^3"},
    **{"¹": "^1", "⁻": "^-", "½": r"\frac12", "°": r"^\circ"},
    **{character: character for character in "<>|"},  # OT1's text fonts have other characters in their places
}
_TEXT = {
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "\u00a0": "~",
    "\u202f": r"\,",
}

_NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_EQUATION = re.compile(rf"(?<![\w\\])([a-zA-Z]|[α-ωΑ-Ω]) ([=≥≤<>→]) (-?{_NUMBER})(?![\w.]\w)")
_SMALL = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)e([-+]?\d+)(?!\w)")
_SIGNED = re.compile(rf"(?<![\w.)+-])([-+])({_NUMBER})")
_RELATIONS = {"=": "=", "<": "<", ">": ">", "≥": r"\ge", "≤": r"\le", "→": r"\to"}


def latex_text(text: str) -> str:
    r"""Return a string as pdfLaTeX source that needs no packages beyond siunitx, booktabs and their requirements.

    Example:
        >>> latex_text("σ = 0.1, 9.09e-05 & -20 dB, a_b")
        '$\\sigma = 0.1$, $9.1 \\times 10^{-5}$ \\& $-20$ dB, a\\_b'
    """
    escaped = "".join(_SPECIAL.get(character, character) for character in text)
    held: list[str] = []  # parts that are formulas already and must not change again

    def hold(mathematics: str) -> str:
        held.append(f"${mathematics}$")
        return f"\0{len(held) - 1}\0"

    def equation(match: re.Match) -> str:
        name, relation, value = match.groups()
        return hold(f"{_character(name)} {_RELATIONS[relation]} {number(value)}")

    marked = _EQUATION.sub(equation, escaped)
    marked = _SMALL.sub(lambda match: hold(number(match[0])), marked)
    marked = _SIGNED.sub(lambda match: hold(f"{match[1]}{match[2]}"), marked)
    shown = "".join(character if character.isascii() and character not in "<>|" else _shown(character, hold)
                    for character in marked)  # fmt: skip
    text = re.sub("\0(\\d+)\0", lambda match: held[int(match[1])], shown)
    # Adjacent formulas become one: an exponent then has one base, and no letter joins the command before it.
    text = re.sub(r"(?<=\^.)\$\$(?=\^)", "{}", text)
    return re.sub(r"\$\$(.)", lambda match: " " * match[1].isalpha() + match[1], text)


def number(text: str) -> str:
    r"""Return a number as a formula: with two digits and a power of ten if it is written with an exponent.

    Example:
        >>> number("9.09e-05"), number("1e-05"), number("0.004")
        ('9.1 \\times 10^{-5}', '10^{-5}', '0.004')
    """
    if "e" not in text:
        return text
    mantissa, exponent = f"{float(text):.1e}".split("e")
    power = f"10^{{{int(exponent)}}}"
    return power if mantissa == "1.0" else rf"{mantissa.removesuffix('.0')} \times {power}"


def _shown(character: str, hold) -> str:
    if character in _TEXT:
        return _TEXT[character]
    symbol = _character(character)
    if symbol != character or character in "<>|":
        return hold(symbol)
    # pdfLaTeX's text fonts have letters with accents; any other character would be an error.
    letter = unicodedata.normalize("NFKD", character)[0].isascii() and unicodedata.category(character)[0] == "L"
    return character if letter else rf"\texttt{{U+{ord(character):04X}}}"


def _character(character: str) -> str:
    """Return a character as a formula; a letter of its own stays as it is."""
    if character in _SYMBOLS:
        return _SYMBOLS[character]
    if character in _LIKE_LATIN:
        return _LIKE_LATIN[character]
    if character in _GREEK:
        return rf"\{_GREEK[character]}"
    name = unicodedata.name(character, "").split()
    if name[:1] == ["GREEK"] and name[2:3] == ["LETTER"] and len(name) == 4:
        return rf"\{name[3].lower() if name[1] == 'SMALL' else name[3].capitalize()}"
    return character
