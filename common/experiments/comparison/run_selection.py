"""Selection of rows of 08_comparison for figures: their order and derived values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from common import results
from common.experiments.comparison.sources import (
    ALIGNED,
    BASELINE,
    EQUAL,
    FAMILIES,
    LONGER,
    LONGER_SUFFIX,
    SOURCES,
    source,
)
from common.experiments.estimator_calls import compared
from common.plotting import captions, style
from common.plotting.curves import NothingToDraw, column, select, with_errors

COLORS = {
    "exact gradient": style.BLACK,
    "noise": style.BLUE,
    "compressed": style.SKY,
    "curvature": style.GREEN,
    "feedback": style.PURPLE,
    "decoupled": style.VERMILION,
    "forward": style.BROWN,
    "evolution": style.ORANGE,
    "yours": style.GRAY,
}
_HUES = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.VERMILION, style.SKY, style.BROWN)
_NORMALISED = "normalised_"


def color_of(name: str) -> str:
    """Return the color of a source's family."""
    return COLORS[source(name).family]


def with_places(frame: pd.DataFrame) -> pd.DataFrame:
    """Add errors, and the column `place`: the data set and network, with or without batch norm, of a comparison."""
    frame = with_errors(frame)
    networks = frame["network"].str.removeprefix(_NORMALISED).map(captions.network)
    return frame.assign(place=frame["dataset"].map(captions.DATASETS).fillna(frame["dataset"]) + " (" + networks + ")")


def places(frame: pd.DataFrame) -> list[str]:
    """Return the places with runs of equal arithmetic: mlp first, data sets as in `captions.DATASETS`."""
    runs = select(frame, group=EQUAL)[["place", "dataset", "network"]].drop_duplicates("place")
    listed = list(captions.DATASETS)

    def order(row: Any) -> tuple[bool, int]:
        return "mlp" not in row.network, listed.index(row.dataset) if row.dataset in listed else len(listed)

    return [row.place for row in sorted(runs.itertuples(), key=order)]


def at_first_place(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first of `places`.

    Raises:
        NothingToDraw: there are no runs of equal arithmetic, or none of backpropagation.
    """
    frame = with_places(frame)
    known = places(frame)
    if not known:
        raise NothingToDraw(f"the results hold no runs of the group {EQUAL!r}")
    return at_place(frame, known[0])


def at_place(frame: pd.DataFrame, place: str) -> pd.DataFrame:
    """Return a place's rows; see `with_places`.

    Raises:
        NothingToDraw: the place has no runs of backpropagation.
    """
    rows = frame[frame["place"] == place]
    if select(rows, run=BASELINE, group=EQUAL)["test_error"].dropna().empty:
        raise NothingToDraw(f"the results hold no runs of {BASELINE!r} with equal arithmetic")
    return rows


def names(frame: pd.DataFrame) -> list[str]:
    """Return the sources' names in the order of their families, and within the table's in its order."""
    known = select(frame, group=EQUAL).sort_values("order")["run"].drop_duplicates().tolist()
    listed = list(SOURCES)

    def order(name: str) -> tuple[int, int]:
        return FAMILIES.index(source(name).family), listed.index(name) if name in listed else len(listed)

    return sorted(known, key=order)


def final(frame: pd.DataFrame, group: str = EQUAL) -> pd.DataFrame:
    """Return the last rows of a group by source, with `error_ratio` to backpropagation of the same seed."""
    rows = select(results.last_rows(frame), group=group)
    rows = rows.assign(run=rows["run"].str.removesuffix(LONGER_SUFFIX))
    baseline = rows[rows["run"] == BASELINE].set_index("seed")["test_error"]
    good = rows["status"] != "diverged"
    return rows.assign(error_ratio=(rows["test_error"] / rows["seed"].map(baseline)).where(good))


def with_longer(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the last rows of equal arithmetic, of the seeds that have longer runs, and those of the longer runs.

    Raises:
        NothingToDraw: there are no longer runs.
    """
    short, longer = final(frame), final(frame, LONGER)
    if longer.empty:
        raise NothingToDraw(f"the results hold no runs of the group {LONGER!r}")
    return short[short["seed"].isin(longer["seed"])], longer


def errors_of(runs: pd.DataFrame, name: str) -> pd.Series:
    """Return the test errors, in per cent, of a source's runs of `final` that did not diverge."""
    own = runs[runs["run"] == name]
    return own["test_error"].where(own["status"] != "diverged").dropna()


def passes_of(runs: pd.DataFrame) -> int:
    """Return the arithmetic of some runs' last rows, in passes of backpropagation over the training split."""
    return round((runs["cost"] / runs["train_examples"]).mean())


def aligned(frame: pd.DataFrame, epochs: Sequence[int] | None = None) -> pd.DataFrame:
    """Return `DirectionQuality`'s measurements: a row per source, seed and epoch, with the source in the column `run`.

    A source is left out where its direction was not measured: on networks with batch norm, and with other batches than
    it trains with.

    Args:
        frame: the rows of a place.
        epochs: the epochs to return; None: all.
    """
    columns = [f"aligned_{name}" for name in ("cosine", "bias_squared", "variance", "decrease", "cost", "batch_size")]
    looked = select(frame, group=ALIGNED)
    if looked.empty or "aligned_estimators" not in looked:
        return pd.DataFrame(columns=["run", "seed", "epoch", *columns])
    rows = compared(looked, "aligned_estimators", columns)
    # Records of older code have one size for all estimators, that of the run.
    rows["aligned_batch_size"] = rows["aligned_batch_size"].fillna(rows["batch_size"])
    texts = select(frame, group=EQUAL).drop_duplicates("run")[["run", "estimator", "batch_size"]]
    texts = texts[[not source(name).normalised for name in texts["run"]]]
    rows = rows.drop(columns=["run", "estimator", "batch_size"]).merge(
        texts, left_on=["aligned_estimators", "aligned_batch_size"], right_on=["estimator", "batch_size"]
    )
    return rows if epochs is None else rows[rows["epoch"].isin(epochs)]


def gains(looked: pd.DataFrame) -> pd.DataFrame:
    """Return what a step along each direction is worth, with one row per source and epoch.

    At the end of training, some minibatches' exact gradient lowers the loss of the training examples at no length. So
    the gain is a ratio of means over the seeds, not a mean of ratios.

    Args:
        looked: rows of `aligned`, among them those of backpropagation.

    Returns:
        Columns run, epoch, gain and per_cost. The gain is the decrease of the loss by a step, divided by the exact
        gradient's; per_cost is the gain divided by the arithmetic of the direction, over the exact gradient's.
    """
    looked = looked.assign(arithmetic=looked["aligned_cost"] * looked["aligned_batch_size"])  # of a whole direction
    means = looked.groupby(["run", "epoch"])[["aligned_decrease", "arithmetic"]].mean().reset_index()
    exact = means[means["run"] == BASELINE].set_index("epoch")
    decrease, arithmetic = exact["aligned_decrease"], exact["arithmetic"]
    gain = means["aligned_decrease"] / means["epoch"].map(decrease.where(decrease > 0))
    spent = means["arithmetic"] / means["epoch"].map(arithmetic)
    return means[["run", "epoch"]].assign(gain=gain, per_cost=gain / spent)


def has_own_direction(name: str) -> bool:
    """Return whether a source's direction was compared: not for networks with batch norm.

    Rows about optimizers are left out, too, since they share backpropagation's.
    """
    row = source(name)
    return name == BASELINE or (row.family != "exact gradient" and not row.normalised)


def mean_by_source(rows: pd.DataFrame, value: str) -> pd.Series:
    """Return a value's mean over the seeds, by source."""
    return rows.groupby("run")[value].mean() if len(rows) else pd.Series(dtype=float)


def error_ratios(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return mean error ratios of the sources that two places share: columns x, of the first, and y, of the second."""
    return pd.DataFrame(
        {axis: mean_by_source(final(frame), "error_ratio") for axis, frame in (("x", first), ("y", second))}
    ).dropna()


def with_measured_seconds(runs: pd.DataFrame) -> pd.DataFrame:
    """Add `clock`: comparable seconds, timed in turns per example, times the examples seen; else as recorded."""
    measured = column(runs, "example_seconds").astype(float) * runs["step"] * runs["batch_size"]
    return runs.assign(clock=measured if is_timed(runs) else runs["seconds"].astype(float))


def with_passes(runs: pd.DataFrame) -> pd.DataFrame:
    """Add `passes`: the arithmetic so far, in passes of backpropagation over the training split."""
    return runs.assign(passes=runs["cost"] / runs["train_examples"])


def line_style(number: int) -> dict[str, Any]:
    """Return the look of a panel's line of this number, from 0; black is backpropagation's."""
    return style.group_style(number) | {"color": _HUES[number % len(_HUES)]}


def held_memory(runs: pd.DataFrame) -> pd.Series:
    """Return the bytes that a step holds beyond the weights: temporary ones, and the state of what trains."""
    return column(runs, "step_memory").astype(float) + column(runs, "kept_memory").astype(float)


def is_timed(runs: pd.DataFrame) -> bool:
    """Return whether all runs have seconds timed in turns, since two kinds of clocks are not comparable."""
    return bool(column(runs, "example_seconds").notna().all())
