"""What the parameters of notebook 04_evolution_strategies may be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from common.experiments.fields import (
    Convnet,
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
    weights_network: Convnet
    weights_batch_size: Count
    weights_keep: Annotated[Positive, Field(le=1)]
    weights_chunk: Count
    weights_pairs: Counts
    weights_sigma: Positive
    weights_learning_rate: Positive
    weights_decay: NonNegative
    weights_epochs: Count
    short_epochs: Count
    at_once_epochs: Count
    mlp_hidden: Counts
    mlp_batch_size: Count
    mlp_population: Annotated[Whole, Field(ge=2)]
    mlp_learning_rate: Positive
    mlp_epochs: Count
    weights_record_every: Count
    populations: Counts
    population_examples: Count

    @model_validator(mode="after")
    def _sizes(self) -> EvolutionStrategies:
        training, fits = training_examples(self.dataset, self.validation)
        sizes = ("batch_size", "alignment_examples", "weights_batch_size", "mlp_batch_size", "population_examples")
        require_at_most(self, sizes, training, fits)
        require_hidden_for_mlp(self)
        pairs = "even, for they come in antithetic pairs"
        require_parameter(self.samples % 2 == 0, "samples", self.samples, pairs)
        require_parameter(all(it % 2 == 0 for it in self.sample_counts), "sample_counts", self.sample_counts, pairs)
        require_each_once(self, ("sample_counts", "sigmas", "populations"))
        return self

    @model_validator(mode="after")
    def _weights(self) -> EvolutionStrategies:
        kept = round(self.weights_keep * self.weights_batch_size)
        divisor = f"a divisor of the {kept:,} examples kept (weights_keep times weights_batch_size)"
        divides = kept >= 1 and kept % self.weights_chunk == 0
        require_parameter(divides, "weights_chunk", self.weights_chunk, divisor)
        pairs = "even, for members come in antithetic pairs"
        require_parameter(self.mlp_population % 2 == 0, "mlp_population", self.mlp_population, pairs)
        require_parameter(all(it % 2 == 0 for it in self.populations), "populations", self.populations, pairs)
        return self
