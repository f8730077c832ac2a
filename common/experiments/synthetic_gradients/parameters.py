"""The allowed parameters of notebook 06_synthetic_gradients."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from common.experiments.fields import (
    Count,
    Counts,
    Images,
    Parameters,
    Positive,
    Real,
    Whole,
    as_list,
    require_at_most,
    require_each_once,
    require_parameter,
    training_examples,
)

Depths = Annotated[list[Annotated[Whole, Field(ge=2)]], BeforeValidator(as_list), Field(min_length=1)]
ConvolutionalDepths = Annotated[list[Annotated[Whole, Field(ge=3, le=4)]], BeforeValidator(as_list)]
Probabilities = Annotated[list[Annotated[Real, Field(gt=0, le=1)]], BeforeValidator(as_list), Field(min_length=1)]
PredictorLayers = Annotated[Whole, Field(ge=0, le=2)]


class SyntheticGradients(Parameters):
    """Parameters of 06_synthetic_gradients."""

    notebook = "06_synthetic_gradients"

    dataset: Images
    validation: Annotated[Whole, Field(ge=1)] | None
    source_hidden: Counts
    source_batch_size: Count
    source_steps: Count
    source_record_every: Count
    learning_rate: Positive
    source_predictor_rate: Positive
    corrected_predictor_rate: Positive
    synth_step: Count
    sample_digits: Count
    layers: Depths
    units: Count
    convolutional_layers: ConvolutionalDepths
    batch_size: Count
    epochs: Count
    convolutional_epochs: Count
    convolutional_learning_rate: Positive
    convolutional_predictor_rate: Positive
    adam_learning_rate: Positive
    predictor_learning_rate: Positive
    dni_batch_size: Count
    dni_epochs: Count
    dni_learning_rate: Positive
    dni_predictor_rate: Positive
    dni_cut: Literal["dense", "norm", "relu"]
    dni_hidden_layers: PredictorLayers
    dni_width: Count
    unlocked_layers: Annotated[Whole, Field(ge=2)]
    update_probabilities: Probabilities
    unlocked_epochs: Count
    control_layers: Whole
    alignment_examples: Count

    @model_validator(mode="after")
    def _sizes(self) -> SyntheticGradients:
        training, fits = training_examples(self.dataset, self.validation)
        limited = ("source_batch_size", "batch_size", "dni_batch_size", "alignment_examples")
        require_at_most(self, limited, training, fits)
        whole = f"a multiple of source_record_every, {self.source_record_every}"
        require_parameter(self.source_steps % self.source_record_every == 0, "source_steps", self.source_steps, whole)
        deep = "0 for no controls, or a number of layers from 2 on"
        require_parameter(
            self.control_layers == 0 or self.control_layers >= 2, "control_layers", self.control_layers, deep
        )
        require_each_once(self, ("layers", "convolutional_layers", "update_probabilities"))
        return self
