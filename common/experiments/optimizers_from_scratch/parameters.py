"""The allowed parameters of notebook 03_optimizers_from_scratch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from common.data.load import SPECIFICATIONS
from common.experiments.fields import (
    Count,
    Counts,
    Fraction,
    Parameters,
    Positive,
    Positives,
    PositivesOrEmpty,
    Seed,
    Whole,
    as_list,
    require_at_most,
    require_each_once,
    require_own_trial_seed,
    require_parameter,
    training_examples,
)


class OptimizersFromScratch(Parameters):
    """Parameters of 03_optimizers_from_scratch."""

    notebook = "03_optimizers_from_scratch"

    dataset: Literal["diabetes", "boston_housing"]
    validation: Annotated[Whole, Field(ge=1)] | None
    hidden: Counts
    learning_rates: Positives
    learning_rate: Positive
    clipnorm: Positive
    momentum: Fraction
    batch_size: Count
    full_batch_epochs: Count
    minibatch_epochs: Count
    epochs: Count
    full_batch_record_every: Count
    record_every: Count
    newer_methods: Annotated[list[Literal["Nesterov", "RMSprop", "AdamW", "Muon"]], BeforeValidator(as_list)]
    nothing_held_out: bool
    adaptive_learning_rate: Positive
    networks: Annotated[list[Counts], Field(min_length=1)]
    network_learning_rate: Positive
    network_epochs: Count
    trial_factors: PositivesOrEmpty
    folds: Annotated[Whole, Field(ge=2, le=20)]
    trial_seed: Seed
    line_feature: Annotated[Whole, Field(ge=0)]
    line_epochs: Count

    @model_validator(mode="after")
    def _sizes(self) -> OptimizersFromScratch:
        training, fits = training_examples(self.dataset, self.validation)
        require_at_most(self, ("batch_size",), training, fits)
        features = SPECIFICATIONS[self.dataset].input_shape[0]
        columns = f"below the {features} features of {self.dataset!r}"
        require_parameter(self.line_feature < features, "line_feature", self.line_feature, columns)
        require_each_once(self, ("learning_rates", "newer_methods", "networks", "trial_factors"))
        require_own_trial_seed(self.trial_seed, self.seeds)
        return self
