"""The allowed parameters of notebook 07_evolution_on_weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.experiments.fields import (
    Convnet,
    Count,
    Counts,
    Images,
    NonNegative,
    Parameters,
    Positive,
    Positives,
    Seed,
    Whole,
    require_at_most,
    require_each_once,
    require_own_trial_seed,
    require_parameter,
    training_examples,
)


class EvolutionOnWeights(Parameters):
    """Parameters of 07_evolution_on_weights."""

    notebook = "07_evolution_on_weights"

    dataset: Images
    validation: Annotated[Whole, Field(ge=1)] | None
    network: Convnet
    precision: Literal["float32"] = "float32"
    batch_size: Count
    keep: Annotated[Positive, Field(le=1)]
    chunk: Count
    pairs: Counts
    sigma: Positive
    learning_rate: Positive
    weight_decay: NonNegative
    epochs: Count
    passes: Count
    backpropagation_batch_size: Count
    backpropagation_learning_rate: Positive
    trial_seed: Seed
    trial_factors: Positives
    mlp_hidden: Counts
    mlp_batch_size: Count
    mlp_population: Annotated[Whole, Field(ge=2)]
    mlp_learning_rate: Positive
    mlp_epochs: Count
    record_every: Count
    populations: Counts
    population_examples: Count

    @model_validator(mode="after")
    def _sizes(self) -> EvolutionOnWeights:
        training, fits = training_examples(self.dataset, self.validation)
        sizes = ("batch_size", "backpropagation_batch_size", "mlp_batch_size", "population_examples")
        require_at_most(self, sizes, training, fits)
        require_own_trial_seed(self.trial_seed, self.seeds)
        kept = round(self.keep * self.batch_size)
        divisor = f"a divisor of the {kept:,} examples kept (keep times batch_size)"
        require_parameter(kept >= 1 and kept % self.chunk == 0, "chunk", self.chunk, divisor)
        pairs = "even, for members come in antithetic pairs"
        require_parameter(self.mlp_population % 2 == 0, "mlp_population", self.mlp_population, pairs)
        require_parameter(all(count % 2 == 0 for count in self.populations), "populations", self.populations, pairs)
        require_each_once(self, ("populations", "trial_factors"))
        return self
