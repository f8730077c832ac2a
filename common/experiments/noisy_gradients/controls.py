"""Remedies of 02_noisy_gradients with equally tuned rates, and controls that say where their gain comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from common.data.load import Dataset, Split
from common.estimators import Backpropagation, PublicStart, RandomSubspace
from common.experiments.noisy_gradients.run_selection import NOTHING_DONE, TUNED
from common.experiments.run import Run
from common.experiments.tuning import choose

if TYPE_CHECKING:
    from common.experiments.noisy_gradients.parameters import NoisyGradients

PUBLIC = "public gradients d = "  # how the names of these runs begin in the notebook
REMEDIES = ("momentum ", "average ", "subspace ", PUBLIC)


def server_only(images: Dataset, examples: int) -> Dataset:
    """Return the data with only the first training examples, repeated so that an epoch has as many steps as before."""
    tiled = [np.resize(part[:examples], part.shape) for part in (images.train.x, images.train.y)]
    return replace(images, train=Split(*tiled))


def tuned(plan: Sequence[Run], images: Dataset, p: NoisyGradients, **shared: Any) -> tuple[list[Run], pd.DataFrame]:
    """Tune the rate of each remedy and of its controls, with equally many trials; their group is "tuned".

    Remedies are the plan's runs of the sweep whose noise is the reference noise on every transmitted coordinate. Their
    controls are random directions in place of public gradients, other gains and other sets of public examples, the
    server's training alone, and a start from what the server learned, with twice the steps.

    Args:
        plan: the notebook's runs.
        images: as in `choose`.
        p: the notebook's parameters.
        shared: network, experiment and store, as in `choose`.

    Returns:
        The runs with the chosen rates, and the frame of all trials; both are empty without trial factors.
    """
    if not p.trial_factors:
        return [], pd.DataFrame()
    sweep = {run.name: run for run in plan if run.group == "sweep"}
    fallen = sweep[f"rate {p.learning_rate:g} → 0"]
    public = sweep[f"{PUBLIC}{p.recovery_dimensions}, rate → 0"]
    runs = [sweep[NOTHING_DONE], fallen, *(run for name, run in sweep.items() if name.startswith(REMEDIES))]
    runs += _controls(fallen, public, images, p)
    runs = [run.but(f"{TUNED}: {run.name}", group=TUNED, diagnostics=[]) for run in runs]
    return choose(runs, images, factors=p.trial_factors, seeds=[p.trial_seed], **shared)


def _controls(fallen: Run, public: Run, images: Dataset, p: NoisyGradients) -> list[Run]:
    settings = public.estimator.settings
    settings = {name: settings[name] for name in ("dimensions", "amplification", "refresh_every")}
    noise = fallen.estimator
    runs = [
        public.but(
            f"random directions d = {p.recovery_dimensions}, rate → 0", estimator=RandomSubspace(noise, **settings)
        )
    ]
    for gain in p.amplifications:
        name = f"{PUBLIC}{p.recovery_dimensions}, gain {gain:g}, rate → 0"
        runs.append(public.with_settings(name, amplification=gain))
    alone = fallen.but(
        "server alone, rate → 0", estimator=Backpropagation(), data=server_only(images, p.public_examples)
    )
    runs.append(alone)
    for number in range(1, p.public_sets + 1):
        order = np.random.default_rng(number).permutation(len(images.train))
        others = replace(images, train=Split(images.train.x[order], images.train.y[order]))
        runs.append(public.but(f"{PUBLIC}{p.recovery_dimensions}, set {number}, rate → 0", data=others))
        runs.append(alone.but(f"server alone, set {number}, rate → 0", data=server_only(others, p.public_examples)))
    steps = p.sweep_epochs * -(-len(images.train) // p.sweep_batch_size)
    longer = {"epochs": 2 * p.sweep_epochs}
    runs.append(alone.but("server alone, twice the steps", **longer))
    for name, second in {"noise": fallen, "public gradients": public}.items():
        start = PublicStart(second.estimator, examples=p.public_examples, steps=steps)
        runs.append(second.but(f"server first, then {name}", estimator=start, **longer))
    return runs
