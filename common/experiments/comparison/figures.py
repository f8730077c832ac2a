"""Figures and tables of 08_comparison; `common.plotting` states the contract of every figure."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from common import results
from common.experiments.comparison.agreement_figures import agreement, ranks
from common.experiments.comparison.angle_figures import angles
from common.experiments.comparison.ledger_figures import INITIALS, ledger, longer
from common.experiments.comparison.progress_figures import curves, payments, targets
from common.experiments.comparison.run_selection import (
    aligned,
    at_first_place,
    errors_of,
    final,
    gains,
    has_own_direction,
    held_memory,
    names,
    passes_of,
    with_longer,
    with_measured_seconds,
)
from common.experiments.comparison.sources import BASELINE, EQUAL, LONGER, LONGER_SUFFIX, NEEDS, source
from common.experiments.comparison.zeroth_figures import zeroth_order
from common.plotting import tables
from common.plotting.curves import NothingToDraw, column, select

MARGIN = 0.0025  # equivalence margin of accuracies, fixed before the runs
_COLUMNS = (
    *("source", "family", "error", "deviation", "difference", "low", "high", "verdict", "longer", "longer_deviation"),
    *("arithmetic", "seconds", "memory", "sent", "epsilon", "needs", "seeds"),
)


def values(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the ledger in numbers, with one row per source.

    Returns:
        Columns source and family; error and deviation of the runs of equal arithmetic, in per cent; longer and
        longer_deviation of the longer runs; difference, low and high of the paired interval to backpropagation, in
        points of error; verdict; arithmetic and seconds per example, divided by backpropagation's; memory that a step
        holds beyond the weights, temporary and kept, in bytes; sent, in bytes per step; epsilon; needs; seeds.
    """
    frame = at_first_place(frame)
    runs, longer_runs = final(frame), final(frame, LONGER)
    differences = results.paired_differences(select(frame, group=EQUAL), BASELINE, margin=MARGIN)
    examples = runs["step"] * runs["batch_size"]
    seconds = with_measured_seconds(runs)["clock"] / examples
    privacy = column(runs, "epsilon").astype(float)
    each = runs.assign(arithmetic=runs["cost"] / examples, seconds=seconds, memory=held_memory(runs), epsilon=privacy)
    each = each.assign(sent=runs["bytes_sent"] / runs["step"])
    means = each.groupby("run")[["arithmetic", "seconds", "memory", "sent", "epsilon"]].mean()
    means[["arithmetic", "seconds"]] /= means.loc[BASELINE, ["arithmetic", "seconds"]]
    rows = []
    for name in names(frame):
        errors, later = errors_of(runs, name), errors_of(longer_runs, name)
        row = {"source": name, "family": source(name).family, "error": errors.mean(), "deviation": errors.std(ddof=1)}
        row |= {"longer": later.mean(), "longer_deviation": later.std(ddof=1), "verdict": "-"}
        if name != BASELINE:
            compared = differences.loc[name]
            row |= {"difference": -100 * compared["difference"], "low": -100 * compared["high"]}
            row |= {"high": -100 * compared["low"], "verdict": compared["verdict"]}
        needs = " ".join(INITIALS[need] for need in NEEDS if need in source(name).needs)
        rows.append(row | dict(means.loc[name]) | {"needs": needs, "seeds": len(errors)})
    return pd.DataFrame(rows)[list(_COLUMNS)]


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate `values` as strings, for a page of a paper."""
    rows = []
    for row in values(frame).itertuples():
        rows.append(
            {
                "Source": row.source,
                "Error (%)": tables.mean_and_spread(row.error, row.deviation, 2),
                "Difference [95 %]": _interval(row.difference, row.low, row.high),
                "Verdict": row.verdict,
                "Arithm.": f"{row.arithmetic:.2f}",
                "Seconds": f"{row.seconds:.2f}",
                "MB held": _number(row.memory / 1e6),
                "kB sent": _number(row.sent / 1e3),
                "Needs": row.needs,
                "n": row.seeds,
            }
        )
    place = at_first_place(frame)["place"].iloc[0]
    caption = (
        f"Sources of a training direction on {place}: test error at equal arithmetic; points of error above "
        "backpropagation's, paired by seed, with the 95 % interval; arithmetic and seconds per example over "
        "backpropagation's; what a step holds beyond the weights, and sends. Needs: "
        + ", ".join(f"{letter} {need}" for need, letter in INITIALS.items())
        + "."
    )
    return tables.printed(pd.DataFrame(rows), caption, lowest=["Error (%)"])


def longer_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the longer runs: their error, what they gain over equal arithmetic, and their distance to the baseline.

    Raises:
        NothingToDraw: the results hold no longer runs.
    """
    frame = at_first_place(frame)
    runs = frame[frame["group"].isin([EQUAL, LONGER])]
    short, later = with_longer(frame)
    listed = [name for name in names(frame) if name in set(later["run"])]
    changes = results.paired_comparisons(runs, [(name + LONGER_SUFFIX, name) for name in listed], margin=MARGIN)
    others = [(name + LONGER_SUFFIX, BASELINE + LONGER_SUFFIX) for name in listed if name != BASELINE]
    differences = results.paired_comparisons(runs, others, margin=MARGIN).set_index("run")
    rows = []
    for name, change in zip(listed, changes.itertuples(), strict=True):
        difference = differences.loc[name + LONGER_SUFFIX] if name != BASELINE else None
        rows.append(
            {
                "Source": name,
                "Error (%)": _spread(errors_of(short, name)),
                "Longer (%)": _spread(errors_of(later, name)),
                "Change [95 %]": _in_points(change),
                "Difference [95 %]": "-" if difference is None else _in_points(difference),
                "Verdict": "-" if difference is None else difference["verdict"],
                "n": change.n,
            }
        )
    place = frame["place"].iloc[0]
    caption = (
        f"Test error on {place} with the arithmetic of {passes_of(short)} passes and in longer runs of "
        f"{passes_of(later)}, whose best weights on validation data are tested. Change: points of error above the "
        "same source's shorter run; difference: above backpropagation's longer run; paired by seed, with the 95 % "
        "interval."
    )
    return tables.printed(pd.DataFrame(rows), caption, lowest=["Error (%)", "Longer (%)"])


def page(frame: pd.DataFrame) -> tables.Page:
    """Return `values` for a page with sorting and filtering, with the meaning of the columns."""
    rows = values(frame)
    rows = rows.assign(memory=rows["memory"] / 1e6, sent=rows["sent"] / 1e3)
    rows = rows.assign(**{name: rows[name].round(2) for name in rows.select_dtypes("number")})
    words = (
        "One row for each source of a training direction. Error: per cent of the test images, mean over the seeds, at "
        "equal arithmetic; longer: at the larger budget. Difference, low and high: points of error above "
        "backpropagation's, paired by seed, with the 95 % interval. Arithmetic and seconds: of an example, over "
        "backpropagation's. Memory: MB that a step holds beyond the weights. Sent: kB a step. Needs: "
        + ", ".join(f"{letter} {need}" for need, letter in INITIALS.items())
        + "."
    )
    place = at_first_place(frame)["place"].iloc[0]
    return tables.Page(rows, f"Sources of a training direction on {place}", words)


def directions_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the quality of each direction at the weights of backpropagation's run.

    The cosine is that of every look. The other columns are of the look after the first pass: later, the exact gradient
    itself hardly lowers the loss of the training examples. Bias and noise are in units of the exact gradient's length;
    a bias hidden by noise is given as an upper bound, the smallest value that two standard errors would show.
    """
    frame = at_first_place(frame)
    looked, rows = aligned(frame), []
    worth = gains(looked).set_index(["run", "epoch"])
    for name in filter(has_own_direction, names(frame)):
        own = looked[looked["run"] == name]
        if own.empty:
            continue
        row: dict[str, Any] = {"Source": name}
        for epoch, at in own.groupby("epoch"):
            row[_cosine_at(int(epoch))] = _number(at["aligned_cosine"].mean(), 3)
        at = own[own["epoch"] == 1]
        if len(at):
            row |= {
                "Bias": _bias(at["aligned_bias_squared"]),
                "Noise": _number(math.sqrt(at["aligned_variance"].mean()), 2),
                "Step's gain": _number(worth.loc[(name, 1), "gain"], 3),
                "Gain ÷ arithm.": _number(worth.loc[(name, 1), "per_cost"], 3),
            }
        rows.append(row | {"n": own["seed"].nunique()})
    if not rows:
        raise NothingToDraw("the results hold no directions that were compared with the exact gradient")
    place = frame["place"].iloc[0]
    caption = (
        f"What each direction is worth on {place} at the weights of backpropagation's run: cosine with the exact "
        "gradient of the same minibatch before training and after so many passes; the rest after the first pass. Bias "
        "and noise in lengths of the exact gradient; gain: decrease of the loss by a step of the best length, over the "
        "exact gradient's."
    )
    table = pd.DataFrame(rows)
    return tables.printed(table[[*(name for name in table if name != "n"), "n"]].fillna("-"), caption)


def _cosine_at(epoch: int) -> str:
    return "Cosine, start" if epoch == 0 else f"{epoch} pass{'es' if epoch > 1 else ''}"


FIGURES = {
    "08_ledger": ledger,
    "08_longer": longer,
    "08_curves": curves,
    "08_targets": targets,
    "08_payments": payments,
    "08_agreement": agreement,
    "08_angles": angles,
    "08_zeroth_order": zeroth_order,
}
TOGETHER = {"08_ranks": ranks}
PAGES = {"08_ledger_page": page}
TABLES = {
    "08_ledger_table": table,
    "08_longer_table": longer_table,
    "08_directions_table": directions_table,
}


def _spread(errors: pd.Series) -> str:
    return tables.mean_and_spread(errors.mean(), errors.std(ddof=1), 2)


def _in_points(compared: Any) -> str:
    """Return a difference of accuracies as one of errors, in points, with its interval."""
    return _interval(-100 * compared.difference, -100 * compared.high, -100 * compared.low)


def _interval(difference: float, low: float, high: float) -> str:
    return "-" if math.isnan(difference) else "{} [{}, {}]".format(*map(tables.signed, (difference, low, high)))


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}g}" if abs(value) < 10 ** (digits - 1) else f"{value:,.0f}"


def _bias(squared: pd.Series) -> str:
    """Return the bias, or its upper bound, since its square is known up to a standard error over the seeds."""
    mean, error = squared.mean(), squared.std(ddof=1) / math.sqrt(len(squared)) if len(squared) > 1 else math.nan
    resolved = not error > 0 or mean > 2 * error  # no spread, of an exact direction, hides nothing
    known = max(mean, 0.0)
    return _number(math.sqrt(known), 2) if resolved else f"< {_number(math.sqrt(known + 2 * error), 2)}"
