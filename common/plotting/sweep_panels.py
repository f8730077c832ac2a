"""The panel of a sweep's figure: means with their intervals, seeds, diverged runs and levels.

The error axis is vertical if the swept values are numbers. It is horizontal if they are strings, because these are
long.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from matplotlib.transforms import Transform, offset_copy

from common.plotting import style
from common.plotting.sweep_points import written

ERROR = "test_error"
_SEED: dict[str, Any] = {
    "marker": "o",
    "markersize": 2,
    "markerfacecolor": "none",
    "markeredgewidth": 0.4,
    "linestyle": "none",
}
WIDTH = 48  # characters of a name beside a panel
_BESIDE = 2.5  # points between the marks of two series at one place


@dataclass(frozen=True)
class ErrorScale:
    """The error axis, the same in all panels: it includes all seeds, and cuts wide intervals that would hide them.

    Attributes:
        log: whether the axis is logarithmic, which it is if errors differ by a factor of two.
        low: lower end; above 0 if the axis is logarithmic.
        high: upper end.
        cut: whether an interval continues beyond an end.
    """

    log: bool
    low: float
    high: float
    cut: bool

    @classmethod
    def of(cls, rows: pd.DataFrame, means: pd.DataFrame) -> ErrorScale:
        """Return the scale for the seeds in the rows and the intervals of the means."""
        errors = rows[ERROR].where(rows["status"] != "diverged")
        errors = errors[np.isfinite(errors)]
        if errors.empty:
            return cls(log=False, low=0.0, high=1.0, cut=False)
        log = errors.min() > 0 and errors.max() >= 2 * errors.min()
        first, last = (_scaled(value, log) for value in (errors.min(), errors.max()))
        reach = 0.5 * (last - first) or 0.1 * abs(last) or 0.1
        below = [_scaled(value, log) for value in means["low"].dropna()]
        above = [_scaled(value, log) for value in means["high"].dropna()]
        low, high = max(min([first, *below]), first - reach), min(max([last, *above]), last + reach)
        if (rows["metric"] == "accuracy").all():  # 0 to 100 per cent, which an interval of few seeds may exceed
            low, high = low if log else max(low, 0.0), min(high, _scaled(100.0, log))
        cut = any(value < low for value in below) or any(value > high for value in above)
        margin = 0.06 * (high - low) or reach
        low, high = low - margin, high + margin
        return cls(log, 10**low, 10**high, cut) if log else cls(log, low, high, cut)

    def set_on(self, axis: Axis) -> None:
        """Set this scale and its ticks on an axis of a panel."""
        along = "x" if axis is axis.axes.xaxis else "y"
        if self.log:
            axis.axes.set(**{f"{along}scale": "log"})
        axis.axes.set(**{f"{along}lim": (self.low, self.high)})
        if self.log:
            style.log_ticks(axis)

    def errors_of(self, means: pd.DataFrame) -> np.ndarray:
        """Return the lengths of intervals below and above their means, [2, n]; 0 if there is no interval."""
        # A logarithmic axis cannot show an interval that reaches zero: it continues beyond the axis' end.
        low = means["low"].clip(lower=self.low / 10) if self.log else means["low"]
        return np.array([(means["mean"] - low).fillna(0), (means["high"] - means["mean"]).fillna(0)])


@dataclass(frozen=True)
class Panel:
    """A panel: its axes, the direction and scale of the error, and the ordered swept values along the other axis.

    Swept values that are strings have names, or are their own names.
    """

    axes: Axes
    upright: bool
    scale: ErrorScale
    values: Sequence[Any]
    names: Sequence[str] = ()

    def series(
        self, means: pd.DataFrame, rows: pd.DataFrame, along: str, look: Mapping[str, Any], beside: float = 0.0
    ) -> None:
        """Draw means with intervals, seeds as circles, and crosses for diverged runs; lines join means over numbers.

        Args:
            means: rows of `summaries`, one per value.
            rows: one row per seed and value.
            along: the column of the values.
            look: color, line style and marker.
            beside: shift of the series, in widths of a mark, which separates it from others.
        """
        transform = self._moved(self.axes.transData, beside)
        shown = means[means["mean"].notna()]
        self._errorbar(shown, along, look, transform)
        kept = rows[(rows["status"] != "diverged") & rows[ERROR].notna()]
        pairs = self._pairs(self._places(kept[along]), kept[ERROR])
        self.axes.plot(*pairs, **_SEED, color=look["color"], alpha=0.7, transform=transform, zorder=1.9)
        failed = self._places(means[means["diverged"] > 0][along])
        if failed.empty:  # the layout would make room for a mark without a position
            return
        outside = self.axes.get_xaxis_transform() if self.upright else self.axes.get_yaxis_transform()
        cross: dict[str, Any] = {"marker": "x", "markersize": 4, "markeredgewidth": 1, "linestyle": "none"}
        cross |= {"color": look["color"], "transform": self._moved(outside, beside), "clip_on": False}
        self.axes.plot(*self._pairs(failed, [1.04 if self.upright else 1.02] * len(failed)), **cross)

    def level(self, row: Any, color: str, linestyle: Any) -> None:
        """Draw the mean and interval of a run that is the same at all values across the panel."""
        if math.isnan(row.mean):
            return
        line, span = (self.axes.axhline, self.axes.axhspan) if self.upright else (self.axes.axvline, self.axes.axvspan)
        line(row.mean, color=color, linestyle=linestyle, linewidth=0.9, zorder=1.5)
        if not math.isnan(row.low):
            low = max(row.low, self.scale.low / 10) if self.scale.log else row.low
            span(low, row.high, color=color, alpha=0.1 if color == style.BLACK else 0.05, linewidth=0, zorder=0.5)

    def set_values(self) -> None:
        """Set up the axis of the swept values: names for strings, a log scale for numbers over more than a decade."""
        if self.upright:
            _set_numbers(self.axes, np.array(self.values, float))
            return
        names = [textwrap.fill(name, WIDTH, max_lines=2, placeholder=" …") for name in self.names or self.values]
        self.axes.set_yticks(range(len(names)), names)
        self.axes.set_ylim(len(names) - 0.5, -0.5)

    def _places(self, values: pd.Series) -> pd.Series:
        return values if self.upright else values.map({value: place for place, value in enumerate(self.values)})

    def _pairs(self, places: Any, errors: Any) -> tuple[Any, Any]:
        return (places, errors) if self.upright else (errors, places)

    def _moved(self, transform: Transform, beside: float) -> Transform:
        points = {"x": beside * _BESIDE} if self.upright else {"y": -1.5 * beside * _BESIDE}  # the first on top
        return offset_copy(transform, self.axes.get_figure(root=True), **points, units="points")

    def _errorbar(self, shown: pd.DataFrame, along: str, look: Mapping[str, Any], transform: Transform) -> None:
        look = dict(look) if self.upright else {**look, "linestyle": "none"}
        bars: dict[str, Any] = {"yerr" if self.upright else "xerr": self.scale.errors_of(shown), "elinewidth": 0.8}
        x, y = self._pairs(self._places(shown[along]), shown["mean"])
        self.axes.errorbar(x, y, **bars, **look, transform=transform)


def legend_line(label: str, look: Mapping[str, Any]) -> Line2D:
    """Return the legend's entry for a line."""
    return Line2D([], [], label=label, **look)


def _scaled(value: float, log: bool) -> float:
    if not log:
        return value
    return math.log10(value) if value > 0 else -math.inf


def _set_numbers(axes: Axes, values: np.ndarray) -> None:
    positive = values[values > 0]
    wide = len(positive) > 1 and positive.max() > 10 * positive.min()
    if wide and values.min() > 0:
        axes.set_xscale("log")
        ends = np.log10(values[[0, -1]])
        axes.set_xlim(*10 ** (ends + np.ptp(ends) * np.array([-0.06, 0.06])))
    elif wide and values.min() == 0:  # linear from 0 to the smallest, so that 0 is beside the decades
        axes.set_xscale("symlog", linthresh=positive.min(), linscale=0.5)
        axes.set_xlim(-0.2 * positive.min(), 1.3 * values[-1])
    else:
        margin = 0.06 * np.ptp(values)
        axes.set_xlim(values[0] - margin, values[-1] + margin)
    axes.xaxis.set_major_locator(FixedLocator(_with_room(axes, values)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(float(value))))
    axes.xaxis.set_minor_locator(FixedLocator(list(values)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _with_room(axes: Axes, values: np.ndarray) -> list[float]:
    """Return the values whose numbers fit side by side below the axis."""
    places = axes.transData.transform([(value, 1) for value in values])[:, 0] / axes.figure.dpi
    kept, end = [], -math.inf
    for value, place in zip(values, places, strict=True):
        half = 0.028 * len(short(value)) + 0.02  # inches
        if place - half >= end:
            kept.append(float(value))
            end = place + half
    return kept


def short(value: Any) -> str:
    """Return a swept value as text for a figure: random numbers have more digits than a reader needs."""
    whole = isinstance(value, str) or float(value).is_integer()
    return written(value) if whole else f"{value:.4g}"
