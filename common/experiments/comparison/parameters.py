"""The allowed parameters of notebook 08_comparison."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from common.experiments.comparison.sources import BASELINE, SOURCES, source
from common.experiments.fields import (
    Count,
    Counts,
    CountsOrEmpty,
    Images,
    Network,
    Parameters,
    Seeds,
    SeedsOrEmpty,
    Whole,
    require_at_most,
    require_each_once,
    require_hidden_for_mlp,
    require_parameter,
    training_examples,
)
from common.experiments.one_direction.parameters import classes_of, require_known_names


def _as_names(value: object, info: ValidationInfo) -> object:
    """Convert one name to a list, and "all" to all sources that the network supports; commas are parts of names."""
    if value == "all":
        return [name for name, row in SOURCES.items() if info.data.get("network") == "mlp" or not row.normalised]
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_names), Field(min_length=1)]


class Comparison(Parameters):
    """Parameters of 08_comparison."""

    notebook = "08_comparison"

    dataset: Images
    validation: Annotated[Whole, Field(ge=1)] | None
    network: Network
    hidden: CountsOrEmpty
    sources: Names
    batch_size: Count
    passes: Count
    long_passes: Count
    long_seeds: SeedsOrEmpty
    trials: Count
    trial_seeds: Seeds
    alignment_seeds: SeedsOrEmpty
    alignment_batches: Count
    alignment_repeats: Annotated[Whole, Field(ge=2)]
    alignment_warm_up: Annotated[Whole, Field(ge=0)]
    timed_examples: Count
    timed_rounds: Annotated[Whole, Field(ge=0)]
    zeroth_hidden: list[Counts]
    zeroth_directions: CountsOrEmpty

    @model_validator(mode="after")
    def _fits(self) -> Comparison:
        training, fits = training_examples(self.dataset, self.validation)
        require_at_most(self, ("batch_size", "timed_examples"), training, fits)
        require_hidden_for_mlp(self)
        require_each_once(self, ("sources", "trial_seeds", "long_seeds", "alignment_seeds", "zeroth_directions"))
        divisors = all(self.batch_size % count == 0 for count in self.zeroth_directions)
        allowed = f"divisors of batch_size, {self.batch_size}: each direction sees its share of a batch"
        require_parameter(divisors, "zeroth_directions", self.zeroth_directions, allowed)
        for name in self.sources:
            if name not in SOURCES:
                source(name)
                require_known_names("sources", name, classes_of("estimators", "optimizers"))
            elif SOURCES[name].normalised:
                fitting = "sources without batch norm, which only the network 'mlp' can be given"
                require_parameter(self.network == "mlp", "sources", name, fitting)
        shared = sorted(set(self.seeds) & set(self.trial_seeds))
        require_parameter(not shared, "trial_seeds", self.trial_seeds, f"other seeds than the runs' own, {self.seeds}")
        good = BASELINE in self.sources
        require_parameter(
            good, "sources", self.sources, f"a list with {BASELINE!r}, which all others are compared with"
        )
        return self
