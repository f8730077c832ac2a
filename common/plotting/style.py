"""The style of all figures: final print size, colors for color-blind readers, line styles, notes and saving.

A figure is a `PaperFigure`: it shows itself in a notebook and needs neither pyplot nor a display. The note under it is
the end of its caption, which is saved beside it as text.
"""

import io
import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import AutoLocator, FixedLocator, FuncFormatter, LogFormatterMathtext, LogLocator, NullLocator

from common.atomic import replacing
from common.results.frame import bare

SINGLE_COLUMN = 3.35  # inches
DOUBLE_COLUMN = 6.9
PNG_RESOLUTION = 300  # dots per inch

# Okabe and Ito's palette without its yellow, which is too light for a line on white paper.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = COLORS = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GRAY, BROWN = "#777777", "#8C564B"
LINE_STYLES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (7, 2)), (0, (3, 1, 1, 1, 1, 1)))
DASHED = LINE_STYLES[1]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
# The style of a single value from the material that this project reproduces.
SOURCE_LOOK: dict[str, Any] = {
    "marker": "D",
    "markersize": 6,
    "markerfacecolor": "none",
    "color": GRAY,
    "linestyle": "none",
}
# Multiples of powers of ten for the ticks of logarithmic axes, with more multiples in each entry.
_ROUND: tuple[tuple[float, ...], ...] = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 7),
    (1, 1.2, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
    (*(1 + step / 10 for step in range(10)), *range(2, 10)),
)
# The order in which groups get their colors; the first few are easy to distinguish.
_COLOR_ORDER = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK, BROWN)

# The style of a method in every figure: color, line style, marker. Methods with the exact gradient are black.
_LOOK = ("color", "linestyle", "marker")
_SOLID, _DASH, _DOT, _DASH_DOT, _LONG, _DASH_DOT_DOT = LINE_STYLES
_EXACT = ("backpropagation", "backprop", "cross-entropy", "exact gradient", "no noise", "gradient descent")
METHODS = {
    **dict.fromkeys(_EXACT, (BLACK, _SOLID, "o")),
    "exact likelihood": (BLACK, _DASH, "s"),
    "minibatches": (BLACK, _DOT, "v"),
    "clipping": (BROWN, _DASH_DOT, "<"),
    "momentum": (ORANGE, _DASH, "s"),
    "gradient descent, momentum": (ORANGE, _DASH, "s"),
    "Nesterov": (VERMILION, _DOT, "D"),
    "RMSprop": (PURPLE, _DASH_DOT, "v"),
    "Adam": (GREEN, _LONG, "P"),
    "Adam, clipped": (GREEN, _SOLID, "X"),
    "AdamW": (BROWN, _DASH_DOT_DOT, "X"),
    "Muon": (BLUE, _SOLID, "^"),
    "saddle-free Newton": (BLUE, _SOLID, "^"),
    "saddle-free Newton, momentum": (BLUE, _DASH, "<"),
    "saddle-free Newton, Gauss-Newton": (SKY, _LONG, "D"),
    "Newton, conjugate gradients": (VERMILION, _DOT, "X"),
    "likelihood": (BLUE, _SOLID, "^"),
    "smoothed accuracy": (ORANGE, _DASH, "s"),
    "moved target": (GREEN, _DOT, "D"),
    "annealed σ": (PURPLE, _DASH_DOT, "v"),
    "no backprop": (GRAY, _DOT, "X"),
    "DNI": (ORANGE, _DASH, "s"),
    "cDNI": (BLUE, _LONG, "^"),
    "weights regressed": (PURPLE, _DASH_DOT, "v"),
    "σ = 1": (VERMILION, _DASH, "s"),
    "σ = 1, recovered": (BLUE, _SOLID, "^"),
}

# Matplotlib's own defaults instead of the user's matplotlibrc, except for windows, files and clocks.
_NOT_OURS = (
    *("backend", "date.epoch", "docstring", "interactive", "savefig.directory", "timezone", "tk.", "toolbar"),
    "webagg",
)
_DEFAULTS = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith(_NOT_OURS)}
RC = _DEFAULTS | {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib includes it, so that figures are the same on every machine
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "figure.titlesize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=_COLOR_ORDER),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3,
    "lines.markeredgewidth": 0.5,
    "errorbar.capsize": 1.8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
    "figure.dpi": 150,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # TrueType, which journals require and editors can edit
    "ps.fonttype": 42,
}


def defaults() -> AbstractContextManager[None]:
    """Draw with matplotlib's own settings instead of those in the user's matplotlibrc."""
    return matplotlib.rc_context(_DEFAULTS)


_LINE = 0.105  # inches per line of the caption


class PaperFigure(Figure):
    """A matplotlib figure in this style, with its caption in the attribute `caption`."""

    caption: str = ""
    caption_lines: str = ""  # the caption as it is drawn, with line breaks

    def show_caption(self, lines: str) -> None:
        """Write lines under the panels and enlarge the figure for them; without lines, it fits its panels."""
        height = self.get_figheight() + _LINE * (len(lines.splitlines()) - len(self.caption_lines.splitlines()))
        self.caption_lines = lines
        self.set_figheight(height)
        self.supxlabel(lines, fontsize=6, color="#444444", x=0.01, ha="left")

    def draw(self, renderer: Any) -> None:
        """Draw in this style; ticks, for example, are created only now."""
        with matplotlib.rc_context(RC):
            super().draw(renderer)

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """Save in this style."""
        with matplotlib.rc_context(RC):
            super().savefig(*args, **kwargs)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
        return buffer.getvalue()


class PaperAxes(Axes):
    """Axes whose `legend` has this style, wherever it is called."""

    def legend(self, *args: Any, **kwargs: Any) -> Legend:
        """Draw a legend, see matplotlib's `Axes.legend`."""
        with matplotlib.rc_context(RC):
            return super().legend(*args, **kwargs)


def figure(
    width: float, height: float, columns: int = 1, *, rows: int = 1, **options: Any
) -> tuple[PaperFigure, list[Axes]]:
    """Return a new figure and its panels.

    Args:
        width: inches, SINGLE_COLUMN or DOUBLE_COLUMN.
        height: inches, including notes and legend.
        columns: number of panels per row.
        rows: number of rows.
        **options: arguments for `Figure.subplots`, e.g. sharey=True.

    Returns:
        The figure and its panels, row by row.
    """
    with matplotlib.rc_context(RC):
        drawn = PaperFigure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawn)
        axes = drawn.subplots(rows, columns, squeeze=False, subplot_kw={"axes_class": PaperAxes}, **options)
    return drawn, list(axes.flat)


def group_style(index: int) -> dict[str, Any]:
    """Return color, line style and marker of a group by its number; up to eight groups differ in color and marker."""
    return {
        "color": _COLOR_ORDER[index % len(_COLOR_ORDER)],
        "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def method_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the style of every method of a figure: its entry in `METHODS`, or else a style that is still unused.

    Args:
        names: names of the methods, in the order of the legend; the part after a comma may be a method's variant.
    """
    names = list(names)
    looks = {name: dict(zip(_LOOK, METHODS[name], strict=True)) for name in names if name in METHODS}
    taken = {look["color"] for look in looks.values()} | {BLACK}
    free = [index for index, color in enumerate(_COLOR_ORDER) if color not in taken]
    for name in names:
        if name not in looks:
            looks[name] = group_style(free.pop(0) if free else len(looks))
    return looks


def method_style(name: str) -> dict[str, Any]:
    """Return color, line style and marker of one method of `METHODS`."""
    return dict(zip(_LOOK, METHODS[name], strict=True))


def log_ticks(axis: Any, at: Sequence[float] | None = None, at_least: int = 4) -> None:
    """Put plain numbers on a logarithmic axis.

    Args:
        axis: `axes.xaxis` or `axes.yaxis`, already logarithmic and with its data drawn.
        at: positions of the ticks; None: round numbers, with more of them if fewer decades are shown.
        at_least: smallest number of ticks, if there are as many round numbers; narrow panels need fewer.
    """
    if at is None:
        low, high = sorted(axis.get_view_interval())
        axis.set_major_locator(LogLocator(subs=_times(low, high, at_least), numticks=20))
    else:
        axis.set_major_locator(FixedLocator(list(at)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.12g}"))


def _times(low: float, high: float, count: int) -> Sequence[float]:
    """Return the roundest multiples of powers of ten of which at least `count` lie within the limits."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for times in _ROUND:
        if sum(low <= time * 10.0**power <= high for power in range(first, last + 1) for time in times) >= count:
            return times
    return _ROUND[-1]


def power_ticks(axis: Any) -> None:
    """Put only powers of ten on a logarithmic axis whose other numbers would be too small to read."""
    with matplotlib.rc_context(RC):
        axis.set_major_locator(LogLocator(numticks=9))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(LogFormatterMathtext())


def legend(axes: Axes, above: int = 0) -> None:
    """Draw a panel's legend, with the source last; without named lines, as when every run diverged, draw none.

    Args:
        axes: the panel, with all its lines.
        above: number of columns of a legend above the panel; 0: the legend is within it, where it hides least.
    """
    entries = sorted(
        zip(*axes.get_legend_handles_labels(), strict=True), key=lambda entry: entry[1].startswith("source")
    )
    if not entries:
        return
    with matplotlib.rc_context(RC):
        if above:
            axes.figure.legend(*zip(*entries, strict=True), loc="outside upper center", ncols=above)
        else:
            axes.legend(*zip(*entries, strict=True))


def annotate(drawn: PaperFigure, note: str, caption: str, frame: pd.DataFrame) -> None:
    """Give a figure its caption, and write a warning above it if results are missing.

    The caption is under the figure in a notebook and in the PNG. The PDF has none, because a paper prints its own
    caption.

    Args:
        drawn: the figure.
        note: one or two short sentences on spread, seeds and diverged runs.
        caption: sentences that describe the figure; the note follows them.
        frame: the frame of `results.read` with its `attrs`.
    """
    width = int(drawn.get_figwidth() * 20)  # characters per line at the caption's font size
    warning = incomplete(frame)
    drawn.caption = " ".join(part for part in (caption, note, warning and f"{warning}.") if part)
    with matplotlib.rc_context(RC):
        if warning:
            text = textwrap.fill(warning, int(width * 0.7))
            # A single panel may begin far to the right, after long labels, but it ends at the page's edge.
            side: Literal["left", "right"] = "left" if len(drawn.axes) > 1 else "right"
            titled = drawn.axes[0].get_title() != ""  # the warning is above the title, which stays aligned with others
            pad = None if titled else 10
            drawn.axes[0].set_title(text + "\n" * titled, loc=side, pad=pad, color=VERMILION, fontweight="bold")
        _say_logarithmic(drawn)
        drawn.show_caption(textwrap.fill(" ".join(part for part in (caption, note) if part), width))
        _settle_ticks(drawn)


def _say_logarithmic(drawn: PaperFigure) -> None:
    """Add the word for the scale to the name of each logarithmic axis."""
    kinds = {"log": "log scale", "symlog": "symmetric log scale"}
    for axes in drawn.axes:
        for axis in (axes.xaxis, axes.yaxis):
            name, kind = axis.get_label_text(), kinds.get(axis.get_scale(), "")
            if name and kind and kind not in name:
                axis.set_label_text(f"{name}, {kind}")


def _settle_ticks(drawn: PaperFigure) -> None:
    """Fix the ticks that suit the panels' final size; the layout would make room for those of another size."""
    drawn.draw_without_rendering()
    for axes in drawn.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_locator(), AutoLocator):
                axis.set_major_locator(FixedLocator(list(axis.get_majorticklocs())))


def incomplete(frame: pd.DataFrame) -> str:
    """Return a sentence on the expected results that a frame lacks; empty if it is complete.

    Example:
        >>> frame = pd.DataFrame()
        >>> frame.attrs = {"files": ["seed0.parquet"], "missing": ["seed1.parquet"], "unreadable": ["seed2.parquet"]}
        >>> incomplete(frame)
        'INCOMPLETE: 1 of 3 result files missing, 1 unreadable'
    """
    missing, unreadable = (len(frame.attrs.get(name, ())) for name in ("missing", "unreadable"))
    files = f" of {missing + unreadable + len(frame.attrs.get('files', ()))} result files"
    kinds: list[str] = []
    for number, kind in ((missing, "missing"), (unreadable, "unreadable")):
        if number:
            kinds.append(f"{number}{'' if kinds else files} {kind}")
    return f"INCOMPLETE: {', '.join(kinds)}" if kinds else ""


def origin(frame: pd.DataFrame) -> dict[str, str]:
    """Return the origin of a frame in a few words: experiment, seeds, commits, versions.

    Args:
        frame: the frame of `results.read` with its `attrs`.

    Returns:
        "experiment", "seeds" (without those of trials), "commit" ("+changes" if tracked files differed), "tensorflow",
        "data" (start of the checksum), "status".
    """
    sources, status = frame.attrs.get("provenance", []), incomplete(frame) or "complete"
    frame = bare(frame)
    shown = frame[frame["group"] != "trial"] if "group" in frame else frame
    commits = [f"{source.get('commit') or 'unknown'}{'+changes' if source.get('dirty') else ''}" for source in sources]
    texts = {
        "experiment": frame["experiment"],
        "seeds": shown["seed"].drop_duplicates().sort_values(),
        "commit": commits or ["unknown"],
        "tensorflow": [source.get("versions", {}).get("tensorflow", "unknown") for source in sources],
        # Generated data, such as the artificial saddle's, have an empty one.
        "data": [str(source.get("data_checksum"))[:16] for source in sources if source.get("data_checksum") != ""],
    }
    fields = {key: ", ".join(dict.fromkeys(map(str, values))) for key, values in texts.items()}
    return fields | {"status": status}


def save(drawn: PaperFigure, folder: str | os.PathLike, name: str, frame: pd.DataFrame) -> list[Path]:
    """Save a figure as PDF and PNG and its caption as text; the same results give the same bytes.

    Args:
        drawn: the figure.
        folder: output folder.
        name: file name without suffix.
        frame: the frame of the figure, whose provenance goes into the files.

    Returns:
        The three paths.
    """
    provenance = "; ".join(f"{key}: {value}" for key, value in origin(frame).items())
    shared = {"Title": name, "Subject": drawn.caption, "Keywords": provenance, "CreationDate": None}
    paths = [Path(folder) / f"{name}{ending}" for ending in (".pdf", ".png", ".txt")]
    lines = drawn.caption_lines
    drawn.show_caption("")
    with replacing(paths[0]) as temporary:
        drawn.savefig(temporary, format="pdf", metadata=shared)
    drawn.show_caption(lines)
    words: Mapping[str, Any] = {"Software": None, "Title": name, "Description": drawn.caption, "Source": provenance}
    with replacing(paths[1]) as temporary:
        drawn.savefig(temporary, format="png", dpi=PNG_RESOLUTION, metadata=words)
    with replacing(paths[2]) as temporary:
        temporary.write_text(f"{drawn.caption}\n\n{provenance}\n", encoding="utf-8")
    return paths
