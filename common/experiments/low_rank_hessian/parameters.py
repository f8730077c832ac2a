"""The allowed parameters of notebook 05_low_rank_hessian."""

from __future__ import annotations

import ast
from typing import Annotated

from pydantic import Field, model_validator

from common.data.load import SPECIFICATIONS
from common.experiments.estimator_calls import arguments
from common.experiments.fields import (
    Accuracies,
    Count,
    Counts,
    CountsOrEmpty,
    Images,
    Network,
    Parameters,
    Positive,
    Positives,
    Seed,
    Whole,
    require_at_most,
    require_each_once,
    require_hidden_for_mlp,
    require_own_trial_seed,
    require_parameter,
    training_examples,
)

# Parameters that are constructor calls: the class, its arguments by position, and what a call may leave out.
CALLS = {
    "newton_cg": ("NewtonCG", ("inner", "iterations", "damping", "hessian_batch"), 64),
    "source": ("SaddleFreeNewton", ("inner", "rank", "damping", "hessian_batch"), 32),
}


class LowRankHessian(Parameters):
    """Parameters of 05_low_rank_hessian."""

    notebook = "05_low_rank_hessian"

    dataset: Images
    validation: Annotated[Whole, Field(ge=1)] | None
    network: Network
    hidden: CountsOrEmpty
    batch_size: Count
    epochs: Count
    large_batch_size: Annotated[Whole, Field(ge=0)]
    sweep_epochs: Count
    sweep_examples: Count
    timed_epochs: Annotated[Whole, Field(ge=0)]
    target_accuracies: Accuracies
    trial_seed: Seed
    trial_factors: Positives
    learning_rate: Positive
    newton_momentum_learning_rate: Positive
    gauss_newton_learning_rate: Positive
    cg_learning_rate: Positive
    sgd_learning_rate: Positive
    momentum_learning_rate: Positive
    adam_learning_rate: Positive
    rmsprop_learning_rate: Positive
    rate_decay: Annotated[Positive, Field(le=1)]
    rank: Count
    damping_floor: Positive
    hessian_batch: Count
    gauss_newton_batch: Count
    refresh_every: Count
    newton_cg: str
    source: str
    source_learning_rate: Positive
    ranks: Counts
    hessian_batches: Counts
    refreshes: Counts
    spectrum_examples: Count
    spectrum_steps: Count
    overlap_examples: Count
    overlap_steps: Counts
    saddle_steps: Count

    @model_validator(mode="after")
    def _sizes(self) -> LowRankHessian:
        training, fits = training_examples(self.dataset, self.validation)
        limited = ("batch_size", "large_batch_size", "sweep_examples", "spectrum_examples", "overlap_examples")
        require_at_most(self, limited, training, fits)
        fits = f"at most batch_size, {self.batch_size}"
        require_at_most(self, ("hessian_batch", "gauss_newton_batch"), self.batch_size, fits)
        for name, known in CALLS.items():
            batch = _hessian_batch(name, getattr(self, name), known)
            require_parameter(batch <= self.batch_size, name, getattr(self, name), f"one with a hessian_batch {fits}")
        require_parameter(max(self.hessian_batches) <= self.batch_size, "hessian_batches", self.hessian_batches, fits)
        fits = f"at least batch_size, {self.batch_size}"
        larger = self.large_batch_size == 0 or self.large_batch_size >= self.batch_size
        require_parameter(larger, "large_batch_size", self.large_batch_size, f"0, or {fits}")
        require_parameter(self.sweep_examples >= self.batch_size, "sweep_examples", self.sweep_examples, fits)
        require_hidden_for_mlp(self)
        most = self.gauss_newton_batch * (SPECIFICATIONS[self.dataset].classes or 1)
        wanted = f"at most {most}: the Gauss-Newton matrix of gauss_newton_batch examples has no higher rank"
        require_parameter(self.rank <= most, "rank", self.rank, wanted)
        require_own_trial_seed(self.trial_seed, self.seeds)
        require_each_once(
            self, ("target_accuracies", "trial_factors", "ranks", "hessian_batches", "refreshes", "overlap_steps")
        )
        return self


def _hessian_batch(parameter: str, call: str, known: tuple[str, tuple[str, ...], int]) -> int:
    """Return the hessian_batch of a constructor call; raise for other strings and classes before TensorFlow starts.

    Names inside the call, and the values of other arguments, are checked when the call is made.
    """
    owner, positions, default = known
    try:
        node = ast.parse(call.strip(), mode="eval").body
        good = isinstance(node, ast.Call) and ast.unparse(node.func) == owner
        batch = arguments(call.strip(), positions, {"hessian_batch": default})["hessian_batch"] if good else None
    except (SyntaxError, ValueError):
        batch = None
    wanted = f"a call such as {owner}(Backpropagation(), hessian_batch={default}), hessian_batch a whole number"
    require_parameter(type(batch) is int, parameter, call, wanted)
    return int(batch or 0)
