"""The types of parameters, and the parameters that all notebooks share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from common.checks import require
from common.data.load import SPECIFICATIONS
from common.experiments.places import prepare_file, prepare_folder, resolved
from common.numbers import parse_numbers
from common.results.store import checkpoints_folder
from common.user_paths import REPOSITORY


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")
    return value


def _spelled_whole(value: Any) -> Any:
    """Convert a string such as "1e1", as YAML reads an unquoted 1e1, to the whole number that it spells."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError, OverflowError):
            return int(float(value)) if float(value).is_integer() else value
    return value


def as_list(value: Any) -> Any:
    """Convert `-p seeds 3` and `-p seeds 0,1` to the lists that they mean.

    Example:
        >>> as_list("0, 1"), as_list(3)
        (['0', '1'], [3])
    """
    if isinstance(value, str):
        return [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
    return value if isinstance(value, list | tuple) else [value]


def as_seeds(value: Any, info: ValidationInfo) -> list[Any]:
    """Convert `-p seeds 0-4`, and such a string within a list, to the seeds that it means; else as `as_list`."""
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
PositivesOrEmpty = Annotated[list[Positive], BeforeValidator(as_list)]
Images = Literal["digits", "mnist", "fashion_mnist"]
Convnet = Literal["mnist_convnet", "lenet5", "leaky_convnet", "tiny_convnet"]
Network = Literal[Convnet, "mlp"]


class Parameters(BaseModel):
    """The parameters that every notebook shares; one subclass per notebook adds the rest."""

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
        """Path of the result file: `result_file`, or one in results/own/ of this repository; see `places.resolved`."""
        return resolved(self.result_file or f"results/own/{self.notebook}.parquet")

    @property
    def result_name(self) -> str:
        """Name of the result file for messages, relative to the repository, so that no stored output names a folder."""
        path = self.result_path.resolve()
        return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(self.result_path)

    @property
    def store_path(self) -> Path:
        """Folder of finished runs: `store`, else the environment variable RUN_STORE, else results/.store."""
        return resolved(self.store or os.environ.get("RUN_STORE", "") or "results/.store")

    @property
    def weights_path(self) -> Path | None:
        """Path of the file for a network; None: it is not kept."""
        return resolved(self.weights_file) if self.weights_file else None

    @property
    def tensorboard_path(self) -> Path | str:
        """Folder of TensorBoard's logs; empty: there are none."""
        return resolved(self.tensorboard_dir) if self.tensorboard_dir else ""

    def prepare_places(self) -> None:
        """Create every folder that the notebook will write to, and try to write there.

        If the default store cannot be written, as in a read-only clone, it warns, and training continues.

        Raises:
            ValueError: nothing can be written; the message has the parameter's name and the reason. Also if
                RUN_CHECKPOINTS names a variable that is not set.
        """
        prepare_file("result_file", self.result_path)
        if self.weights_path:
            prepare_file("weights_file", self.weights_path)
        if self.tensorboard_dir:
            prepare_folder("tensorboard_dir", resolved(self.tensorboard_dir))
        if self.store:
            prepare_folder("store", self.store_path)
        checkpoints_folder()


def require_parameter(condition: bool, name: str, value: Any, allowed: str) -> None:
    """Raise a ValueError unless the condition holds; the message says in one sentence which values are allowed."""
    require(condition, f"parameter {name!r}", allowed, value)


def training_examples(dataset: str, validation: int | None) -> tuple[int, str]:
    """Return a data set's number of training examples, and the words for a limit by it."""
    known = SPECIFICATIONS[dataset]
    validation = known.default_validation if validation is None else validation
    below = f"below the {known.examples:,} examples of {dataset!r}"
    require_parameter(validation < known.examples, "validation", validation, below)
    training = known.examples - validation
    return training, f"at most the {training:,} training examples of {dataset!r}"


def require_at_most(parameters: Parameters, names: Sequence[str], limit: int, fits: str) -> None:
    """Raise a ValueError for numbers above a limit, such as the training examples; `fits` puts it in words."""
    for name in names:
        require_parameter(getattr(parameters, name) <= limit, name, getattr(parameters, name), fits)


class _OfNetwork(Protocol):
    """Parameters of a notebook that trains one network by name."""

    @property
    def hidden(self) -> list[int]: ...

    @property
    def network(self) -> str: ...


def require_hidden_for_mlp(parameters: _OfNetwork) -> None:
    """Raise a ValueError for `hidden` without mlp as `network`, and for mlp without `hidden`."""
    wanted = "the hidden layers' units for mlp, and empty for every other network"
    require_parameter(bool(parameters.hidden) == (parameters.network == "mlp"), "hidden", parameters.hidden, wanted)


def require_small_and_large(name: str, value: list[int], training: int, fits: str) -> None:
    """Raise a ValueError for batch sizes that the two-batch estimate of the gradient noise scale cannot use."""
    small, large = value
    wanted = f"[small, large] with large a multiple of small, above it, and {fits}"
    require_parameter(large > small and large % small == 0 and large <= training, name, value, wanted)


def require_own_trial_seed(seed: int, seeds: Sequence[int]) -> None:
    """Raise a ValueError if the seed of trials is among those of the runs, whose results it must not choose."""
    wanted = f"none of the seeds {seeds}, whose results it must not choose"
    require_parameter(seed not in seeds, "trial_seed", seed, wanted)


def require_validation_for_trials(validation: int | None, factors: Sequence[float], allowed: str) -> None:
    """Raise a ValueError if there are several trial factors and no validation data to choose one by.

    Args:
        validation: the parameter of this name.
        factors: the parameter "trial_factors".
        allowed: the number of factors that needs no choice, in words.
    """
    wanted = f"{allowed} where validation is 0, for no data are left to choose by"
    require_parameter(validation != 0 or len(factors) <= 1, "trial_factors", factors, wanted)


def require_each_once(parameters: Parameters, names: Sequence[str]) -> None:
    """Raise a ValueError for a repeated value, since plots would join two runs of one name."""
    for name in names:
        values = getattr(parameters, name)
        require_parameter(len(set(map(str, values))) == len(values), name, values, "each value once")
