"""What the parameters of notebook 05_low_rank_hessian may be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from common.data.load import SPECIFICATIONS
from common.experiments.fields import (
    Accuracies,
    Count,
    Counts,
    CountsOrEmpty,
    Fraction,
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
    require_parameter,
    training_examples,
)


class LowRankHessian(Parameters):
    """Parameters of 05_low_rank_hessian."""

    notebook = "05_low_rank_hessian"

    dataset: Images
    validation: Annotated[Whole, Field(ge=1)] | None
    network: Network
    hidden: CountsOrEmpty
    batch_size: Count
    epochs: Count
    short_epochs: Count
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
    momentum: Fraction
    rate_decay: Annotated[Positive, Field(le=1)]
    rank: Count
    damping_floor: Positive
    averaging: Fraction
    hessian_batch: Count
    gauss_newton_batch: Count
    refresh_every: Count
    first_interval: Count
    cg_iterations: Count
    cg_damping: Positive
    cg_hessian_batch: Count
    source_damping: Positive
    source_rank: Count
    source_learning_rate: Positive
    source_hessian_batch: Count
    ranks: Counts
    hessian_batches: Counts
    refreshes: Counts
    spectrum_examples: Count
    spectrum_steps: Count
    overlap_examples: Count
    overlap_steps: Counts
    saddle_mu: Positive
    saddle_steps: Count

    @model_validator(mode="after")
    def _sizes(self) -> LowRankHessian:
        training, fits = training_examples(self.dataset, self.validation)
        limited = ("batch_size", "sweep_examples", "spectrum_examples", "overlap_examples")
        require_at_most(self, limited, training, fits)
        fits = f"at most batch_size, {self.batch_size}"
        limited = ("hessian_batch", "gauss_newton_batch", "cg_hessian_batch", "source_hessian_batch")
        require_at_most(self, limited, self.batch_size, fits)
        require_parameter(max(self.hessian_batches) <= self.batch_size, "hessian_batches", self.hessian_batches, fits)
        fits = f"at least batch_size, {self.batch_size}"
        require_parameter(self.sweep_examples >= self.batch_size, "sweep_examples", self.sweep_examples, fits)
        require_hidden_for_mlp(self)
        most = self.gauss_newton_batch * SPECIFICATIONS[self.dataset].classes
        wanted = f"at most {most}: the Gauss-Newton matrix of gauss_newton_batch examples has no higher rank"
        require_parameter(self.rank <= most, "rank", self.rank, wanted)
        wanted = f"none of the seeds {self.seeds}, whose results it must not choose"
        require_parameter(self.trial_seed not in self.seeds, "trial_seed", self.trial_seed, wanted)
        require_each_once(
            self, ("target_accuracies", "trial_factors", "ranks", "hessian_batches", "refreshes", "overlap_steps")
        )
        return self
