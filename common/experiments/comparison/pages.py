"""Tables of the ledger's stored results for pages, as Markdown; see `common.plotting.markdown`."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from scipy import stats

from common.experiments.comparison import figures
from common.experiments.comparison.agreement_figures import predictors, rank_correlation
from common.experiments.comparison.run_selection import at_first_place, error_ratios, names, select
from common.experiments.comparison.sources import EQUAL, settings, source
from common.experiments.targets import spent_until
from common.plotting.markdown import as_markdown, stored
from common.plotting.tables import mean_and_spread
from common.results.summary import validation_scores

# A few of each family, from the exact gradient to two evaluations.
_ROWS = (
    *("backpropagation", "Gauss-Newton pairs", "local losses", "rank 2", "right or wrong, 200 samples"),
    *("direct feedback alignment", "noise, σ 0.1", "evolution, a layer at a time", "SPSA"),
)
_COLUMNS = ("Error (%)", "Difference [95 %]", "Verdict", "Arithm.", "Seconds")
TRIALS = 16  # of each source, in the paper's preset
_ESTIMATORS = Path(__file__).resolve().parents[2] / "estimators"
# The notebook that is about a folder of estimators; the others are the comparison's own.
_NOTEBOOKS = {
    "": "01_baseline_sgd",
    "noise": "02_noisy_gradients",
    "newton": "05_low_rank_hessian",
    "decoupled": "06_synthetic_gradients",
    "evolution": "07_evolution_on_weights",
}
_OF_CLASSES = {"LogitEvolution": "04_evolution_strategies", "LocalLosses": "08_comparison"}


def show_ledger(variant: str) -> None:
    """Print the whole table of a variant of the preset, such as "mnist_mlp"."""
    print(as_markdown(figures.table(stored("08_comparison", variant))))


def show_longer(variant: str) -> None:
    """Print the longer runs of a variant beside those of equal arithmetic."""
    print(as_markdown(figures.longer_table(stored("08_comparison", variant))))


def show_rows(variant: str, sources: Sequence[str] = _ROWS) -> None:
    """Print some rows of it, the file and the notebook of each, and the columns that most readers ask for."""
    ledger = figures.table(stored("08_comparison", variant)).set_index("Source")
    rows = ledger.loc[list(sources), list(_COLUMNS)].reset_index()
    places = [_place(source(name).estimator) for name in sources]
    rows.insert(1, "File, notebook", places)
    print(as_markdown(rows))


def _place(estimator: str) -> str:
    """Return links to the file that defines the outermost class of an expression, and to its notebook."""
    name = estimator.partition("(")[0]
    for path in sorted(_ESTIMATORS.rglob("*.py")):
        if re.search(rf"^class {name}\b", path.read_text(encoding="utf-8"), re.MULTILINE):
            break
    else:
        raise ValueError(f"no file of {_ESTIMATORS.name}/ defines the class {name!r}")
    inner = path.relative_to(_ESTIMATORS)
    notebook = _OF_CLASSES.get(name) or _NOTEBOOKS.get("/".join(inner.parts[:-1]), "08_comparison")
    return f"[{name}](common/estimators/{inner.as_posix()}), [{notebook[:2]}](notebooks/{notebook}.ipynb)"


def show_settings(variant: str) -> None:
    """Print the settings that each source's trials chose, and the lowest and highest value tried."""
    rows = []
    for name, values in chosen_settings(stored("08_comparison", variant)).items():
        trials = settings(source(name), TRIALS)
        for field, value in values.items():
            tried = sorted(setting[field] for setting in trials)
            edge = "largest" if value == tried[-1] else "smallest" if value == tried[0] else ""
            row = {"Source": name, "Setting": field.replace("_", " "), "Chosen": f"{value:.3g}"}
            rows.append(row | {"Tried": f"{tried[0]:.3g} to {tried[-1]:.3g}", "Of those tried the": edge})
    print(as_markdown(pd.DataFrame(rows)))


def chosen_settings(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the settings of each source's best trial on validation data, by name; see `tuning.best_of`."""
    frame = at_first_place(frame)
    scores = validation_scores(frame[frame["group"] == "trial"])

    def best(name: str) -> int:
        return max(range(TRIALS), key=lambda number: scores[f"{name}: trial {number + 1}"])

    return {name: settings(source(name), TRIALS)[best(name)] for name in names(frame)}


def show_arithmetic_to(variant: str, error: float) -> None:
    """Print the arithmetic that sources spent until their validation error, in per cent, first was at most this.

    Sources that got there in fewer than half of their seeds are left out. The means are over the seeds that did.
    """
    runs = select(at_first_place(stored("08_comparison", variant)), group=EQUAL)
    spent = spent_until(runs, error)
    spent["spent"] /= runs["train_examples"].iloc[0]
    by_source = spent.groupby("run")["spent"].agg(["mean", "std", "count", "size"])
    by_source = by_source[2 * by_source["count"] >= by_source["size"]].sort_values("mean")
    passes = [mean_and_spread(row.mean, row.std, digits=1) for row in by_source.itertuples()]
    reached = [f"{row.count} of {row.size}" for row in by_source.itertuples()]
    print(as_markdown(pd.DataFrame({"Source": by_source.index, "Passes": passes, "Seeds": reached})))


def show_agreement(first: str, second: str) -> None:
    """Print the rank correlation of two variants' error ratios, and the rows whose verdicts differ.

    Verdicts depend on the number of seeds, too: fewer of them tell fewer sources apart.
    """
    frames = [at_first_place(stored("08_comparison", variant)) for variant in (first, second)]
    ratios = error_ratios(*frames)
    correlation = stats.spearmanr(ratios["x"], ratios["y"]).statistic
    tables = [figures.table(frame).set_index("Source") for frame in frames]
    verdicts = pd.concat([table["Verdict"] for table in tables], axis=1, join="inner", keys=("first", "second"))
    verdicts = verdicts[verdicts["first"] != "-"]
    differing = verdicts.index[verdicts["first"] != verdicts["second"]]
    print(
        f"Spearman's rank correlation of the mean error ratios is {correlation:+.2f} over {len(ratios)} sources. "
        f"{len(verdicts) - len(differing)} of {len(verdicts)} verdicts are the same"
        f"{'.' if differing.empty else '; the others:'}"
    )
    if not differing.empty:
        rows = {
            f"{frame['place'].iloc[0]}: {column}": table.loc[differing, column]
            for frame, table in zip(frames, tables, strict=True)
            for column in ("Difference [95 %]", "Verdict")
        }
        print("", as_markdown(pd.DataFrame(rows).reset_index()), sep="\n")


def show_directions(variant: str) -> None:
    """Print the quality of each direction at the weights of backpropagation's run."""
    print(as_markdown(figures.directions_table(stored("08_comparison", variant))))


def show_prediction(variant: str) -> None:
    """Print how far a direction's quality after the first pass orders the errors of training along it."""
    cosine, gain = map(rank_correlation, predictors(at_first_place(stored("08_comparison", variant))).values())
    print(
        f"Spearman's rank correlation with the error ratio is {cosine} for the cosine, and {gain} for the gain of a "
        "step divided by its arithmetic."
    )
