"""The allowed parameters of notebook 02_noisy_gradients."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from common.experiments.fields import (
    Count,
    Counts,
    CountsOrEmpty,
    Fraction,
    Images,
    Network,
    NonNegative,
    Parameters,
    Positive,
    Positives,
    PositivesOrEmpty,
    Real,
    Seed,
    SmallAndLarge,
    Whole,
    as_list,
    require_at_most,
    require_each_once,
    require_hidden_for_mlp,
    require_own_trial_seed,
    require_parameter,
    require_small_and_large,
    require_validation_for_trials,
    training_examples,
)


class NoisyGradients(Parameters):
    """Parameters of 02_noisy_gradients."""

    notebook = "02_noisy_gradients"

    dataset: Images
    validation: Annotated[Whole, Field(ge=0)] | None
    network: Network
    hidden: CountsOrEmpty
    batch_size: Count
    epochs: Count
    learning_rate: Positive
    sigma: Positive
    recovery_learning_rate: Positive
    recovery_dimensions: Count
    amplification: Annotated[Real, Field(ge=1)]
    public_examples: Count
    refresh_every: Count
    sweep_batch_size: Count
    sweep_epochs: Count
    sigmas: Annotated[list[NonNegative], BeforeValidator(as_list), Field(min_length=1)]
    batch_sizes: Counts
    learning_rates: Positives
    etas: Positives
    gamma: NonNegative
    clip_norm: Positive
    ratio: Positive
    momentum: Fraction
    averaging: Annotated[Fraction, Field(gt=0)]
    dimensions: Counts
    public_dimensions: Counts
    devices: Counts
    decibels: Annotated[list[Real], BeforeValidator(as_list), Field(min_length=1)]
    trial_factors: PositivesOrEmpty
    trial_seed: Seed
    amplifications: Annotated[list[Annotated[Real, Field(ge=1)]], BeforeValidator(as_list)]
    public_sets: Annotated[Whole, Field(ge=0)]
    noise_scale_batches: SmallAndLarge

    @model_validator(mode="after")
    def _sizes(self) -> NoisyGradients:
        training, fits = training_examples(self.dataset, self.validation)
        require_at_most(self, ("batch_size", "sweep_batch_size", "public_examples"), training, fits)
        require_parameter(max(self.batch_sizes) <= training, "batch_sizes", self.batch_sizes, fits)
        require_hidden_for_mlp(self)
        divide = f"divisors of sweep_batch_size {self.sweep_batch_size}"
        require_parameter(
            all(self.sweep_batch_size % count == 0 for count in self.devices), "devices", self.devices, divide
        )
        divide = f"divisors of public_examples {self.public_examples}"
        for name, dimensions in {
            "recovery_dimensions": [self.recovery_dimensions],
            "public_dimensions": self.public_dimensions,
        }.items():
            good = all(self.public_examples % dimension == 0 for dimension in dimensions)
            require_parameter(good, name, getattr(self, name), divide)
        require_each_once(
            self, ("sigmas", "batch_sizes", "learning_rates", "etas", "dimensions", "devices", "decibels")
        )
        require_each_once(self, ("trial_factors", "amplifications"))
        require_own_trial_seed(self.trial_seed, self.seeds)
        require_validation_for_trials(self.validation, self.trial_factors, "at most one")
        require_small_and_large("noise_scale_batches", self.noise_scale_batches, training, fits)
        return self
