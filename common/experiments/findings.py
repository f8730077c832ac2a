"""One comparison from each notebook's stored results, for README: what cog writes there."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from common.experiments.comparison.sources import BASELINE, EQUAL
from common.plotting.curves import select
from common.plotting.markdown import ACCURACY_MARGIN, as_markdown, comparisons, stored
from common.results.summary import with_verdicts


@dataclass(frozen=True)
class Finding:
    """A question that a notebook answers, and the two runs whose difference says most of the answer.

    Attributes:
        question: one sentence.
        experiment: the notebook; its page in docs/results has the same name.
        run: its name in the records.
        baseline: the run that it is compared with, seed by seed.
        words: what README says of the two.
        margin: equivalence margin, in units of the metric.
        variant: of the preset, if the notebook has variants.
        group: the group of runs in which names are unique; "": all runs.
    """

    question: str
    experiment: str
    run: str
    baseline: str
    words: str
    margin: float = ACCURACY_MARGIN
    variant: str = ""
    group: str = ""


FINDINGS = (
    Finding(
        "How good is plain SGD, and do `fit` and our loop agree?",
        "01_baseline_sgd",
        "Keras fit, dropout on",
        "dropout on",
        "`fit` against our loop",
    ),
    Finding(
        "What does noise in the gradient cost, and what brings the accuracy back?",
        "02_noisy_gradients",
        "tuned: public gradients d = 5, rate → 0",
        "tuned: server alone, rate → 0",
        "all noisy, 500 public, against these alone",
    ),
    Finding(
        "What do the classic optimizers do, written from their formulas?",
        "03_optimizers_from_scratch",
        "minibatches, standardised",
        "minibatches",
        "standardised inputs against raw ones",
        0.5,
    ),
    Finding(
        "Can a network learn from right or wrong alone?",
        "04_evolution_strategies",
        "full: likelihood",
        "full: cross-entropy",
        "200 samples against the exact gradient",
    ),
    Finding(
        "Do a few eigenpairs of the Hessian give a better direction?",
        "05_low_rank_hessian",
        "saddle-free Newton",
        "Adam",
        "saddle-free Newton against Adam",
    ),
    Finding(
        "Can a module update before the gradient arrives?",
        "06_synthetic_gradients",
        "6 layers, cDNI",
        "6 layers, backprop",
        "cDNI against backpropagation, 6 layers",
    ),
    Finding(
        "How far does a network get with no backpropagation at all?",
        "07_evolution_on_weights",
        "a layer at a time",
        "at once, alike",
        "a layer at a time against all at once",
    ),
    Finding(
        "What does every source achieve, tuned alike, with the same arithmetic?",
        "08_comparison",
        "local losses",
        BASELINE,
        "local losses against backpropagation",
        variant="mnist_mlp",
        group=EQUAL,
    ),
)


def show_findings() -> None:
    """Print a row for each notebook: its question, the difference of two of its runs, and where to read on.

    Holm's method corrects for the number of rows, as within every table.
    """
    compared, units = [], []
    for finding in FINDINGS:
        frame = stored(finding.experiment, finding.variant)
        if finding.group:
            frame = select(frame, group=finding.group)
        pair = comparisons(frame, [(finding.run, finding.baseline)], margin=finding.margin)
        compared.append(pair.assign(margin=finding.margin))
        units.append("points" if frame["metric"].iloc[0] == "accuracy" else "MSE")
    together = with_verdicts(pd.concat(compared, ignore_index=True))
    rows = []
    for finding, row, unit in zip(FINDINGS, together.itertuples(), units, strict=True):
        page, notebook = f"docs/results/{finding.experiment}.md", f"notebooks/{finding.experiment}.ipynb"
        rows.append(
            {
                "question": finding.question,
                "two of its runs": finding.words,
                "difference in error [95 %]": f"{row.error} [{row.interval}] {unit}",
                "seeds": row.n,
                "verdict": row.verdict,
                "read on": f"[page]({page}), [{finding.experiment[:2]}]({notebook})",
            }
        )
    print(as_markdown(pd.DataFrame(rows)))
