"""The allowed parameters of notebook 04_evolution_strategies."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from common.experiments.fields import (
    Count,
    Counts,
    CountsOrEmpty,
    Images,
    Network,
    NonNegative,
    Parameters,
    Positive,
    Positives,
    Whole,
    require_at_most,
    require_each_once,
    require_hidden_for_mlp,
    require_parameter,
    training_examples,
)


class EvolutionStrategies(Parameters):
    """Parameters of 04_evolution_strategies."""

    notebook = "04_evolution_strategies"

    dataset: Images
    validation: Annotated[Whole, Field(ge=1)] | None
    network: Network
    hidden: CountsOrEmpty
    batch_size: Count
    samples: Annotated[Whole, Field(ge=2)]
    source_epochs: Count
    source_learning_rate: Positive
    source_sigma: Positive
    target_rate: Positive
    eta: Positive
    gamma: NonNegative
    epochs: Count
    learning_rate: Positive
    sigma: Positive
    sweep_epochs: Count
    sample_counts: Counts
    sigmas: Positives
    alignment_examples: Count
    alignment_repeats: Annotated[Whole, Field(ge=2)]

    @model_validator(mode="after")
    def _sizes(self) -> EvolutionStrategies:
        training, fits = training_examples(self.dataset, self.validation)
        require_at_most(self, ("batch_size", "alignment_examples"), training, fits)
        require_hidden_for_mlp(self)
        pairs = "even, for they come in antithetic pairs"
        require_parameter(self.samples % 2 == 0, "samples", self.samples, pairs)
        require_parameter(
            all(count % 2 == 0 for count in self.sample_counts), "sample_counts", self.sample_counts, pairs
        )
        require_each_once(self, ("sample_counts", "sigmas"))
        return self
