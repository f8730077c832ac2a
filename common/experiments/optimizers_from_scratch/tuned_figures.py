"""Figure and table of 03_optimizers_from_scratch on optimizers with cross-validated learning rates."""

import json

import pandas as pd

from common import results
from common.experiments.optimizers_from_scratch import run_selection as optimizer_runs
from common.experiments.optimizers_from_scratch.run_selection import TUNED
from common.plotting import style, tables
from common.plotting.curves import NothingToDraw, Series, draw_ranks, select, spread_note


def tuned(frame: pd.DataFrame) -> style.PaperFigure:
    """Draw the test error of every method at its cross-validated learning rate, the lowest on top."""
    rows = _tuned(frame)
    ranked = results.summarize(rows, ["run", "filled"], "test_metric")
    if not ranked["n"].any():
        raise NothingToDraw("every run with a cross-validated learning rate diverged")
    ranked = ranked.sort_values("mean", ascending=False, na_position="first", ignore_index=True)
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 0.75 + 0.15 * len(ranked))
    draw_ranks(axes, ranked, rows, "test_metric")
    axes.set_xlabel("Test mean squared error")
    caption = (
        f"Test error after the last epoch on {optimizer_runs.name(frame)}, standardised, all training examples used. "
        f"{_trials_said(frame)}Open: larger networks."
    )
    style.annotate(drawn, spread_note([Series("", rows)], ["run"]), caption, frame)
    return drawn


def tuned_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the learning rate, its cross-validated error and the test error of every method."""
    rows = _tuned(frame)
    trials = results.last_rows(select(optimizer_runs.labelled(frame), part="trial"))
    settings = []
    for name, runs in rows.groupby("run", sort=False):
        first = runs.iloc[0]
        tried = trials[trials["trial_of"] == f"{TUNED}: {name}"] if len(trials) else trials
        summary = results.summarize(runs, ["run"], "test_metric").iloc[0]
        rate = float(first["learning_rate"])
        # Rates are products with a factor: the same number up to rounding.
        own = tried[(tried["learning_rate"].astype(float) / rate - 1).abs() < 1e-6] if len(tried) else tried
        rates = tried["learning_rate"].astype(float) if len(tried) else pd.Series([rate])
        settings.append(
            {
                "Method": name.split(", ")[0],
                "Hidden units": "-".join(map(str, json.loads(first["hidden"]))),
                "Learning rate": f"{rate:.3g}",
                "Tried": f"{rates.min():.3g} to {rates.max():.3g}",
                "Cross-validated error": f"{own['validation_metric'].mean():.2f}" if len(own) else "-",
                "Test error": tables.mean_and_spread(summary["mean"], summary["std"], 2)
                if summary["n"]
                else "diverged",
                "Seeds": int(summary["n"] + summary["diverged"]),
            }
        )
    caption = (
        f"Mean squared error on {optimizer_runs.name(frame)}, standardised, after the last epoch. {_trials_said(frame)}"
        "The runs of the test error train on all of the examples."
    )
    return tables.printed(pd.DataFrame(settings), caption, lowest=["Cross-validated error"])


def _tuned(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the last rows of the runs with tuned rates, named without the group; `filled`: of the shared network.

    Raises:
        NothingToDraw: there are none.
    """
    rows = select(optimizer_runs.labelled(frame), part=TUNED)
    if rows.empty:
        raise NothingToDraw("the results hold no runs with cross-validated learning rates")
    rows = results.last_rows(rows).sort_values("order")
    return rows.assign(run=rows["run"].str.removeprefix(f"{TUNED}: "), filled=~rows["cosine"])


def _trials_said(frame: pd.DataFrame) -> str:
    """Return the sentence on trials; empty if there were none."""
    trials = select(optimizer_runs.labelled(frame), part="trial")
    if trials.empty:
        return ""
    rates = int(trials.groupby("trial_of")["learning_rate"].nunique().max())
    folds = int(trials.groupby("trial_of")["run"].nunique().max()) // rates
    return f"The learning rate of each is the best of {rates} by {folds}-fold cross-validation. "
