"""The kinds of values that parameters have, and what all notebooks' parameters have in common."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from common.checks import require
from common.data.load import SPECIFICATIONS
from common.experiments.places import REPOSITORY, prepare_file, prepare_folder, resolved
from common.numbers import parse_numbers


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")
    return value


def _spelled_whole(value: Any) -> Any:
    """Take a text such as "1e1", which YAML makes of an unquoted 1e1, for the whole number it spells."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError, OverflowError):
            return int(float(value)) if float(value).is_integer() else value
    return value


def as_list(value: Any) -> Any:
    """Take `-p seeds 3` and `-p seeds 0,1` for the lists they mean.

    Example:
        >>> as_list("0, 1"), as_list(3)
        (['0', '1'], [3])
    """
    if isinstance(value, str):
        return [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
    return value if isinstance(value, list | tuple) else [value]


def as_seeds(value: Any, info: ValidationInfo) -> list[Any]:
    """Take `-p seeds 0-4`, and such a text within a list, for the seeds it means; all else is as in `as_list`."""
    seeds: list[Any] = []
    for part in as_list(value):
        if isinstance(part, str) and not _is_number(part):
            seeds += parse_numbers(part, f"parameter {info.field_name!r}")
        else:
            seeds.append(part)
    return seeds


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False


Real = Annotated[float, BeforeValidator(_no_boolean), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_no_boolean), BeforeValidator(_spelled_whole)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Count = Annotated[Whole, Field(ge=1)]
Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
Seeds = Annotated[list[Seed], BeforeValidator(as_seeds), Field(min_length=1)]
SeedsOrEmpty = Annotated[list[Seed], BeforeValidator(as_seeds)]
Counts = Annotated[list[Count], BeforeValidator(as_list), Field(min_length=1)]
Positives = Annotated[list[Positive], BeforeValidator(as_list), Field(min_length=1)]
Accuracies = Annotated[list[Annotated[Positive, Field(lt=1)]], BeforeValidator(as_list), Field(min_length=1)]
Fraction = Annotated[Real, Field(ge=0, lt=1)]
SmallAndLarge = Annotated[list[Count], BeforeValidator(as_list), Field(min_length=2, max_length=2)]
CountsOrEmpty = Annotated[list[Count], BeforeValidator(as_list)]
Images = Literal["digits", "mnist", "fashion_mnist"]
Convnet = Literal["mnist_convnet", "lenet5", "leaky_convnet", "tiny_convnet"]
Network = Literal[Convnet, "mlp"]


class Parameters(BaseModel):
    """What every notebook has in common; a subclass each names the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    notebook: ClassVar[str]

    seeds: Seeds
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    result_file: str = ""
    store: str = ""
    tensorboard_dir: str = ""
    weights_file: str = ""

    @model_validator(mode="after")
    def _files(self) -> Parameters:
        require_parameter(len(set(self.seeds)) == len(self.seeds), "seeds", self.seeds, "each seed once")
        good = not self.result_file or self.result_file.endswith(".parquet")
        require_parameter(good, "result_file", self.result_file, "empty or a file name that ends in .parquet")
        good = not self.weights_file or self.weights_file.endswith(".keras")
        require_parameter(good, "weights_file", self.weights_file, "empty or a file name that ends in .keras")
        return self

    @property
    def result_path(self) -> Path:
        """Where the last cell writes: `result_file`, or results/own/ of this repository; see `places.resolved`."""
        return resolved(self.result_file or f"results/own/{self.notebook}.parquet")

    @property
    def result_name(self) -> str:
        """The same for a sentence: within the repository without its folder, so that no stored output names one."""
        path = self.result_path.resolve()
        return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(self.result_path)

    @property
    def store_path(self) -> Path:
        """Where finished runs are kept: `store`, else the environment's RUN_STORE, else results/.store."""
        return resolved(self.store or os.environ.get("RUN_STORE", "") or "results/.store")

    @property
    def weights_path(self) -> Path | None:
        """Where a network is to be kept; None: nowhere."""
        return resolved(self.weights_file) if self.weights_file else None

    @property
    def tensorboard_path(self) -> Path | str:
        """The folder of TensorBoard's logs; empty: there are none."""
        return resolved(self.tensorboard_dir) if self.tensorboard_dir else ""

    def prepare_places(self) -> None:
        """Make every folder that the notebook will write to, and try to write there.

        Where the default store cannot be written, in a clone that may only be read, it warns and training goes on.

        Raises:
            ValueError: the parameter's name, and why nothing can be written.
        """
        prepare_file("result_file", self.result_path)
        if self.weights_path:
            prepare_file("weights_file", self.weights_path)
        if self.tensorboard_dir:
            prepare_folder("tensorboard_dir", resolved(self.tensorboard_dir))
        if self.store:
            prepare_folder("store", self.store_path)


def require_parameter(condition: bool, name: str, value: Any, allowed: str) -> None:
    """Refuse a parameter's value unless the condition holds, in one sentence that says what is allowed."""
    require(condition, f"parameter {name!r}", allowed, value)


def training_examples(dataset: str, validation: int | None) -> tuple[int, str]:
    """Return how many training examples a data set leaves, and the words for a limit by them."""
    known = SPECIFICATIONS[dataset]
    validation = known.default_validation if validation is None else validation
    below = f"below the {known.examples:,} examples of {dataset!r}"
    require_parameter(validation < known.examples, "validation", validation, below)
    training = known.examples - validation
    return training, f"at most the {training:,} training examples of {dataset!r}"


def require_at_most(parameters: Parameters, names: Sequence[str], limit: int, fits: str) -> None:
    """Refuse numbers above a limit, such as that of the training examples; `fits` says it in words."""
    for name in names:
        require_parameter(getattr(parameters, name) <= limit, name, getattr(parameters, name), fits)


class _OfNetwork(Protocol):
    """Parameters of a notebook that trains one network by name."""

    @property
    def hidden(self) -> list[int]: ...

    @property
    def network(self) -> str: ...


def require_hidden_for_mlp(parameters: _OfNetwork) -> None:
    """Refuse `hidden` without mlp as the `network`, and mlp without it."""
    wanted = "the hidden layers' units for mlp, and empty for every other network"
    require_parameter(bool(parameters.hidden) == (parameters.network == "mlp"), "hidden", parameters.hidden, wanted)


def require_small_and_large(name: str, value: list[int], training: int, fits: str) -> None:
    """Refuse batch sizes that the two-batch estimate of the gradient noise scale cannot use."""
    small, large = value
    wanted = f"[small, large] with large a multiple of small, above it, and {fits}"
    require_parameter(large > small and large % small == 0 and large <= training, name, value, wanted)


def require_each_once(parameters: Parameters, names: Sequence[str]) -> None:
    """Refuse a list that has a value twice: two runs of one name would be one line in every plot."""
    for name in names:
        values = getattr(parameters, name)
        require_parameter(len(set(map(str, values))) == len(values), name, values, "each value once")
