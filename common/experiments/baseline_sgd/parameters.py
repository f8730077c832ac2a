"""The allowed parameters of notebook 01_baseline_sgd."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from common.experiments.fields import (
    Convnet,
    Count,
    Counts,
    Images,
    Parameters,
    Positive,
    Positives,
    Seed,
    SmallAndLarge,
    Whole,
    require_each_once,
    require_own_trial_seed,
    require_parameter,
    require_small_and_large,
    require_validation_for_trials,
    training_examples,
)


class BaselineSGD(Parameters):
    """Parameters of 01_baseline_sgd."""

    notebook = "01_baseline_sgd"

    dataset: Images
    validation: Annotated[Whole, Field(ge=0)] | None
    network: Convnet
    batch_sizes: Counts
    reference_batch_size: Count
    epochs: Count
    learning_rate: Positive
    trial_factors: Positives
    trial_seed: Seed
    noise_scale_batches: SmallAndLarge
    eager_steps: Count

    @model_validator(mode="after")
    def _batches(self) -> BaselineSGD:
        training, fits = training_examples(self.dataset, self.validation)
        require_parameter(max(self.batch_sizes) <= training, "batch_sizes", self.batch_sizes, fits)
        require_each_once(self, ("batch_sizes", "trial_factors"))
        require_own_trial_seed(self.trial_seed, self.seeds)
        require_validation_for_trials(self.validation, self.trial_factors, "a single one")
        listed = f"one of batch_sizes {self.batch_sizes}"
        require_parameter(
            self.reference_batch_size in self.batch_sizes,
            "reference_batch_size",
            self.reference_batch_size,
            listed,
        )
        require_small_and_large("noise_scale_batches", self.noise_scale_batches, training, fits)
        return self
