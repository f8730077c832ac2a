"""Figures of 02_noisy_gradients on remedies against noise; `common.plotting` states their contract."""

import pandas as pd

from common import results
from common.experiments.noisy_gradients.run_selection import (
    NOTHING_DONE,
    PLAIN,
    SERVER_ALONE,
    TUNED,
    budget,
    prepared,
    reference,
)
from common.plotting import captions, style
from common.plotting.curves import (
    NothingToDraw,
    Series,
    draw_final,
    draw_level,
    draw_ranks,
    error_name,
    select,
    set_error_axis,
    spread_note,
)

# By sketch and whether it is kept from the start: its name, in the order of the legend.
_SKETCHES = {
    ("random", True): "random, kept",
    ("random", False): "random, redrawn",
    ("public", False): "public gradients",
}
_ERROR_TICKS = (1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)  # per cent; where one decade is shown


def remedies(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final validation error at one σ under every remedy of the sweep, with the best on top."""
    frame = prepared(frame)
    rows = _remedies(frame)
    if rows["run"].nunique() < 2:
        raise NothingToDraw("the results hold no remedies at the reference noise")
    part = captions.part(frame)
    ranked = results.summarize(rows.assign(filled=_same_noise(frame, rows)), ["run", "filled"], f"{part}_error")
    ranked = ranked.sort_values("mean", ascending=False, na_position="first", ignore_index=True)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.75 + 0.125 * len(ranked))
    draw_ranks(axes, ranked, results.last_rows(rows), f"{part}_error")
    plain = ranked.loc[ranked["run"] == NOTHING_DONE, "mean"]
    axes.axvline(plain.item(), color=style.GRAY, linewidth=0.8, linestyle=style.LINE_STYLES[2], zorder=1)
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis)
    axes.set_xlabel(f"{error_name(frame, part)} (%)")
    caption = (
        f"{error_name(frame, part)} on {captions.name(frame)} at σ = {reference(frame)['sigma']:g} on every "
        f"transmitted coordinate, by what is done about it ({budget(rows)}), the best on top; dotted: nothing. "
        "Open markers: noise of a level of its own, or none."
    )
    style.annotate(drawn, spread_note([Series("", rows)], ["run"]), caption, frame)
    return drawn


def tuned(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the test error of every remedy and control whose rate was tuned by equally many trials, the best on top."""
    rates, frame = rates_said(frame), prepared(frame)
    rows = select(frame, group=TUNED)
    if rows["run"].nunique() < 2:
        raise NothingToDraw("the results hold no remedies with tuned rates")
    rows = rows.assign(run=rows["run"].str.removeprefix(f"{TUNED}: "))
    noisy = ~rows["run"].str.startswith(SERVER_ALONE)
    ranked = results.summarize(rows.assign(filled=noisy), ["run", "filled"], "test_error")
    ranked = ranked.sort_values("mean", ascending=False, na_position="first", ignore_index=True)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.75 + 0.125 * len(ranked))
    draw_ranks(axes, ranked, results.last_rows(rows), "test_error")
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis, _ERROR_TICKS)
    axes.set_xlabel("Test error (%)")
    caption = (
        f"Test error on {captions.name(frame)} at σ = {reference(frame)['sigma']:g} on every transmitted coordinate "
        f"({budget(rows[rows['run'] == NOTHING_DONE])}), the best on top. {rates}"
        "What starts from the server's training has twice the epochs, and so has one run of the server alone. Open "
        "markers: the server's public examples alone, without noise."
    )
    style.annotate(drawn, spread_note([Series("", rows)], ["run"]), caption, frame)
    return drawn


def rates_said(frame: pd.DataFrame) -> str:
    """Return a sentence on the trials of the rates; an empty string if there were none."""
    tried = select(frame, group="trial")
    if tried.empty:
        return ""
    trials = int(tried.groupby("trial_of")["run"].nunique().max())
    return f"The rate of each is the best of {trials} on validation data, with a seed of its own. "


def subspaces(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final validation error against the dimension of the subspace: random (kept or redrawn) or public."""
    frame = prepared(frame)
    runs = select(frame, group="sweep", noise="constant", momentum=0.0, averaging=0.0, devices=0)
    inside = runs[runs["sketch"] != "none"]
    if inside.empty:
        raise NothingToDraw("the results hold no run in a subspace")
    part, sigma = captions.part(frame), inside["sigma"].iloc[0]
    series = _by_sketch(inside)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.6)
    draw_final(axes, series, "dimensions", f"{part}_error")
    rate = reference(frame)["learning_rate"]
    whole = select(runs, sketch="none", sigma=sigma, schedule="LinearDecay", trained_on="all", learning_rate=rate)
    draw_level(axes, whole, f"{part}_error", f"no subspace, rate {rate:g}")
    axes.set_xscale("log")
    set_error_axis(axes, frame, part)
    style.log_ticks(axes.xaxis)
    axes.set_xlabel("Dimensions d of the subspace")
    style.legend(axes)
    caption = (
        f"{error_name(frame, part)} on {captions.name(frame)} against the dimension of a subspace, noise of σ = "
        f"{sigma:g} on each transmitted number, rate falling linearly to zero ({budget(inside)}). Random: d numbers "
        "are transmitted. Public gradients: all coordinates are, and steps are longer within the span of d gradients "
        "of public examples."
    )
    style.annotate(drawn, spread_note(series, ["dimensions"]), caption, frame)
    return drawn


def batch_sizes(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the final validation error at one σ by batch size and learning rate, constant or decayed."""
    frame = prepared(frame)
    compared, part = reference(frame), captions.part(frame)
    same = {name: value for name, value in PLAIN.items() if name != "schedule"}
    runs = select(frame, group="sweep", sigma=compared["sigma"], **same)
    sizes = select(runs, schedule="constant", learning_rate=compared["learning_rate"])
    rates = select(runs, batch_size=compared["batch_size"])
    if sizes["batch_size"].nunique() < 2 and rates["learning_rate"].nunique() < 2:
        raise NothingToDraw("the results hold one batch size and one learning rate only")
    both = pd.concat([sizes, rates]).drop_duplicates(["seed", "run", "epoch"])
    both = both.assign(run=_settings(both))
    ranked = results.summarize(both.assign(filled=True), ["order", "run", "filled"], f"{part}_error")
    ranked = ranked.sort_values("order", ascending=False, ignore_index=True)  # the first run of the plan on top
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.75 + 0.16 * len(ranked))
    draw_ranks(axes, ranked, results.last_rows(both), f"{part}_error")
    axes.set_xscale("log")
    style.log_ticks(axes.xaxis, _ERROR_TICKS)
    axes.set_xlabel(f"{error_name(frame, part)} (%)")
    epochs = int(runs["epoch"].max())
    caption = (
        f"{error_name(frame, part)} on {captions.name(frame)} at σ = {compared['sigma']:g} by batch size and learning "
        f"rate, constant or falling linearly to zero, after {epochs} epoch{'s' if epochs > 1 else ''}: a smaller batch "
        "has more updates, each with noise."
    )
    style.annotate(drawn, spread_note([Series("", both)], ["run"]), caption, frame)
    return drawn


def over_the_air(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the reduction of the final validation error by several devices compared with one, for each seed."""
    frame = prepared(frame)
    runs = frame[(frame["devices"] > 0) & (frame["group"] == "sweep")]
    if runs.empty:
        raise NothingToDraw("the results hold no over-the-air runs")
    part, runs = captions.part(frame), _beside_one_device(results.last_rows(runs), f"{captions.part(frame)}_error")
    if runs.empty:
        raise NothingToDraw("the results hold no over-the-air runs with one device and with several")
    series, levels = _by_devices(runs), sorted(runs["decibels"].unique())
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.4)
    for number, curve in enumerate(series):
        # Beside one another: the seeds of all would stand on two lines.
        shifted = curve.frame.assign(
            place=curve.frame["decibels"].map(levels.index) + 0.16 * (number - (len(series) - 1) / 2)
        )
        draw_final(axes, [Series(curve.label, shifted, {**curve.style, "linestyle": "none"})], "place", "lower")
    axes.axhline(0, color=style.BLACK, linewidth=0.8)
    axes.set_xlim(-0.6, len(levels) - 0.4)
    axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
    axes.set_xlabel("Channel signal-to-noise ratio of a device (dB)")
    axes.set_ylabel("Points of error below one device's")
    style.legend(axes)
    caption = (
        f"{error_name(frame, part)} on {captions.name(frame)} with gradients added up over the air by several devices, "
        f"below that with one device, of the same seed ({budget(runs)}). Every device meets the same power constraint, "
        "so that more devices are heard better."
    )
    style.annotate(drawn, spread_note(series, ["decibels"]), caption, frame)
    return drawn


def _remedies(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the sweep's runs at the reference noise, with annealed or relative noise, and the server's without."""
    compared = reference(frame)
    runs = select(frame, group="sweep", batch_size=compared["batch_size"])
    same = (runs["noise"] == "constant") & ((runs["sigma"] == compared["sigma"]) | (runs["trained_on"] == "public"))
    return runs[same | runs["noise"].isin(["annealed", "relative"])]


def _same_noise(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    return (rows["noise"] == "constant") & (rows["sigma"] == reference(frame)["sigma"])


def _settings(runs: pd.DataFrame) -> list[str]:
    """Return each row's batch size and learning rate in words, e.g. "batch 32, rate 0.01 → 0"."""
    ends = {"constant": "", "LinearDecay": " → 0"}
    columns = zip(runs["batch_size"], runs["learning_rate"], runs["schedule"], strict=True)
    return [f"batch {batch}, rate {rate:g}{ends.get(schedule, f', {schedule}')}" for batch, rate, schedule in columns]


def _by_sketch(inside: pd.DataFrame) -> list[Series]:
    groups = inside.assign(kept=inside["redraw_every"] == 0).groupby(["sketch", "kept", "learning_rate"])
    ordered = sorted(groups, key=lambda group: list(_SKETCHES).index(group[0][:2]))
    return [
        Series(f"{_SKETCHES[sketch, kept]}, rate {rate:g}", rows, style.group_style(i))
        for i, ((sketch, kept, rate), rows) in enumerate(ordered)
    ]


def _beside_one_device(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the runs with several devices; `lower` is the decrease of a value compared with one device's run."""
    single = rows[rows["devices"] == 1].set_index(["seed", "decibels"])[value]
    rows = rows[rows["devices"] > 1]
    beside = single.reindex(pd.MultiIndex.from_frame(rows[["seed", "decibels"]])).to_numpy()
    rows = rows.assign(lower=beside - rows[value].astype(float))
    return rows[rows["lower"].notna() | (rows["status"] == "diverged")]


def _by_devices(runs: pd.DataFrame) -> list[Series]:
    """Return one series per number of devices, and dashed ones in the same colors for skewed shares."""
    counts, series = sorted(runs["devices"].unique()), []
    for (skewed, devices), rows in runs.groupby(["label_skewed", "devices"]):
        look = style.group_style(counts.index(devices)) | {"linestyle": style.DASHED if skewed else "-"}
        face = {"markerfacecolor": "white"} if skewed else {}
        plural = "devices" if devices > 1 else "device"
        series.append(Series(f"{devices} {plural}{', skewed shares' if skewed else ''}", rows, look | face))
    return series
